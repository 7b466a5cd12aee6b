"""The literal `KNOBS` table of a candidate's file and the `knobs` that its launcher reads."""

import ast
from dataclasses import dataclass

from tilewright.evaluator.static_names import MAX_KNOB_MAGNITUDE, MAX_KNOB_VALUES, MAX_KNOBS
from tilewright.tasks.candidate import KnobRange


class KnobsError(Exception):
    """The table is malformed; the candidate's fault, turned into a failure by the gate.

    Attributes:
        line: Line of the file.
        message: What was expected and what came.
        right_form: What to write instead.
    """

    def __init__(self, line: int, message: str, right_form: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message
        self.right_form = right_form


_FORM = 'write KNOBS = {"BLOCK_N": (1024, 2048), "num_warps": (4, 8)}'


@dataclass(frozen=True, slots=True, kw_only=True)
class _Table:
    """An assignment to a name and its line."""

    line: int
    value: ast.expr


def read_knobs(tree: ast.Module) -> tuple[KnobRange, ...]:
    """Return the rows of `KNOBS`; empty if the file has none.

    Raises:
        KnobsError: It is not a literal dict of distinct integers, or `knobs` disagrees with it.
    """
    table = _assigned(tree, "KNOBS")
    if table is None:
        return ()
    ranges = tuple(_row(name, values, table.line) for name, values in _literal(table).items())
    if len(ranges) > MAX_KNOBS:
        raise KnobsError(table.line, f"KNOBS has {len(ranges)} names, at most {MAX_KNOBS} are allowed", _FORM)
    _check_defaults(_assigned(tree, "knobs"), ranges, table.line)
    return ranges


def _assigned(tree: ast.Module, name: str) -> _Table | None:
    """Return the one top-level assignment to a name, or None.

    Raises:
        KnobsError: It is assigned more than once or elsewhere than at the top level.
    """
    found: list[_Table] = []
    for node in tree.body:
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == name for target in targets):
                found.append(_Table(line=node.lineno, value=node.value))
    stores = [n for n in ast.walk(tree) if isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store)]
    if name == "KNOBS" and len(stores) != len(found):
        raise KnobsError(stores[0].lineno, "KNOBS must be assigned at the top level of the file", _FORM)
    if len(found) > 1:
        raise KnobsError(found[1].line, f"{name} is assigned {len(found)} times, once is allowed", _FORM)
    return found[0] if found else None


def _literal(table: _Table) -> dict[object, object]:
    """Return the literal dict of a table."""
    try:
        value: object = ast.literal_eval(table.value)
    except (ValueError, TypeError, SyntaxError):
        raise KnobsError(table.line, "KNOBS must be a literal: no names, calls or comprehensions", _FORM) from None
    if not isinstance(value, dict):
        raise KnobsError(table.line, f"KNOBS must be a dict, got {type(value).__name__}", _FORM)
    if isinstance(table.value, ast.Dict) and len(table.value.keys) != len(value):
        raise KnobsError(table.line, "KNOBS names one knob twice", _FORM)
    return value


def _row(name: object, values: object, line: int) -> KnobRange:
    """Return one row of the table, checked."""
    if not isinstance(name, str) or not name.isidentifier():
        raise KnobsError(line, f"a knob's name must be an identifier, got {name!r}", _FORM)
    if not isinstance(values, tuple | list) or not values:
        raise KnobsError(line, f"KNOBS[{name!r}] must be a non-empty tuple of integers", _FORM)
    numbers = tuple(value for value in values if type(value) is int and abs(value) <= MAX_KNOB_MAGNITUDE)
    if len(numbers) != len(values):
        raise KnobsError(line, f"KNOBS[{name!r}] must hold 32-bit integers only", _FORM)
    if len(set(numbers)) != len(numbers):
        raise KnobsError(line, f"KNOBS[{name!r}] names a value twice", _FORM)
    if len(numbers) > MAX_KNOB_VALUES:
        raise KnobsError(
            line, f"KNOBS[{name!r}] has {len(numbers)} values, at most {MAX_KNOB_VALUES} are allowed", _FORM
        )
    return KnobRange(name=name, values=numbers)


def _check_defaults(table: _Table | None, ranges: tuple[KnobRange, ...], line: int) -> None:
    """Check that `knobs` holds the first value of each row; a comprehension over KNOBS does by construction."""
    form = "write knobs = {" + ", ".join(f'"{one.name}": {one.values[0]}' for one in ranges) + "}"
    if table is None:
        if ranges:
            raise KnobsError(line, "KNOBS stands without `knobs`, which the launcher must read", form)
        return
    if isinstance(table.value, ast.DictComp | ast.Call):
        if not any(isinstance(node, ast.Name) and node.id == "KNOBS" for node in ast.walk(table.value)):
            raise KnobsError(table.line, "knobs must be a literal or made from KNOBS", form)
        return
    try:
        chosen: object = ast.literal_eval(table.value)
    except (ValueError, TypeError, SyntaxError):
        raise KnobsError(table.line, "knobs must be a literal or made from KNOBS", form) from None
    if chosen != {one.name: one.values[0] for one in ranges}:
        raise KnobsError(table.line, "knobs must hold the first value of each row of KNOBS, and nothing else", form)
