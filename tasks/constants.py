"""The size constants of a task file: which integers of its source a case may replace."""

import ast
import operator
from collections import Counter
from collections.abc import Callable, Iterator

import msgspec

from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import Size

# Literals inside get_inputs and get_init_inputs below this are options (a stride, an axis), not extents.
_LEAST_HIDDEN_EXTENT = 17
_HIDDEN_IN = ("get_inputs", "get_init_inputs")
_ARITHMETIC: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
}


class _Place(msgspec.Struct, frozen=True, kw_only=True):
    """An integer expression of the source and the name under which a case replaces it."""

    name: str
    value: int
    position: tuple[int, int]


def find_constants(source: str) -> tuple[Size, ...]:
    """Return every integer of a task file that a case may replace, with the file's own value.

    These are module-level assignments of constant integer expressions (`rows = 8 * 1024`), also unpacked
    (`depth, height = 16, 32`, by their names) and inside tuples and lists (`input_shape[0]`), and integer
    literals from 17 up inside `get_inputs` and `get_init_inputs` (`get_inputs.0`, counted from the top).
    A name assigned twice, a number that is not positive and a constant computed from others are none.

    Raises:
        TaskError: The file does not parse.
    """
    return tuple(Size(name=place.name, value=place.value) for place in _find_places(parse(source)))


def override(source: str, sizes: tuple[Size, ...]) -> ast.Module:
    """Return the tree of a task file with constants replaced; what is computed from them follows.

    Raises:
        TaskError: The file does not parse, or a size names no constant of it.
    """
    tree = parse(source)
    places = {place.name: place for place in _find_places(tree)}
    unknown = [size.name for size in sizes if size.name not in places]
    if unknown:
        expected = ", ".join(places) or "none (the file has no integer constants)"
        raise TaskError(f"expected sizes among {expected}; got {unknown[0]!r}: name a constant of the file")
    values = {places[size.name].position: size.value for size in sizes if size.value != places[size.name].value}
    if values:
        _Replacement(values).generic_visit(tree)
        ast.fix_missing_locations(tree)
    return tree


def parse(source: str) -> ast.Module:
    """Parse a task file.

    Raises:
        TaskError: The file does not parse.
    """
    try:
        return ast.parse(source)
    except SyntaxError as error:
        raise TaskError(f"expected Python; got a syntax error in line {error.lineno}: {error.msg}") from error
    except ValueError as error:  # null bytes
        raise TaskError(f"expected a Python text file; got {error}") from error


class _Replacement(ast.NodeTransformer):
    """Puts new integers at known positions."""

    def __init__(self, values: dict[tuple[int, int], int]) -> None:
        self.values = values

    def visit(self, node: ast.AST) -> ast.AST:
        """Replace the expression, or go on below it."""
        if isinstance(node, ast.expr) and (value := self.values.get(_position(node))) is not None and _fold(node):
            return ast.copy_location(ast.Constant(value), node)
        return self.generic_visit(node)


def _position(node: ast.expr) -> tuple[int, int]:
    return node.lineno, node.col_offset


def _find_places(tree: ast.Module) -> tuple[_Place, ...]:
    places: list[_Place] = []
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and not isinstance(statement.value, ast.Name):
            places += _in_assignment(statement.targets[0], statement.value)
        elif isinstance(statement, ast.AnnAssign) and statement.value is not None:
            places += _in_assignment(statement.target, statement.value)
        elif isinstance(statement, ast.FunctionDef) and statement.name in _HIDDEN_IN:
            hidden = [node for node in _literals(statement) if (_fold(node) or 0) >= _LEAST_HIDDEN_EXTENT]
            places += [_place(f"{statement.name}.{index}", node) for index, node in enumerate(hidden)]
    times = Counter(place.name for place in places)
    return tuple(place for place in places if times[place.name] == 1)


def _place(name: str, node: ast.expr) -> _Place:
    return _Place(name=name, value=_fold(node) or 0, position=_position(node))


def _in_assignment(target: ast.expr, value: ast.expr) -> Iterator[_Place]:
    if isinstance(target, ast.Tuple | ast.List) and isinstance(value, ast.Tuple | ast.List):
        for one, expression in zip(target.elts, value.elts, strict=False):
            yield from _in_assignment(one, expression)
    elif isinstance(target, ast.Name):
        yield from _in_value(target.id, value)


def _in_value(name: str, value: ast.expr) -> Iterator[_Place]:
    if (_fold(value) or 0) > 0:
        yield _place(name, value)
    elif isinstance(value, ast.Tuple | ast.List):
        for index, element in enumerate(value.elts):
            if (_fold(element) or 0) > 0:
                yield _place(f"{name}[{index}]", element)
    elif isinstance(value, ast.BinOp) and isinstance(value.op, ast.Mult) and isinstance(value.left, ast.List):
        yield from _in_value(name, value.left)  # [1024] * 16: the repeated number


def _literals(function: ast.FunctionDef) -> list[ast.expr]:
    """Return the largest constant integer expressions of a function's body, in the order of the source.

    Subscripts and keyword arguments hold indices and options, not extents.
    """
    found: list[ast.expr] = []

    def walk(node: ast.AST) -> None:
        if isinstance(node, ast.keyword):
            return
        if isinstance(node, ast.Subscript):
            walk(node.value)
            return
        if isinstance(node, ast.expr) and _fold(node) is not None:
            found.append(node)
            return
        for child in ast.iter_child_nodes(node):
            walk(child)

    for statement in function.body:
        walk(statement)
    return sorted(found, key=_position)


def _fold(node: ast.expr) -> int | None:
    """Return the value of an expression of integer literals, or None if it is something else."""
    if isinstance(node, ast.Constant):
        return node.value if type(node.value) is int else None
    if not isinstance(node, ast.BinOp):
        return None
    left, right = _fold(node.left), _fold(node.right)
    if left is None or right is None:
        return None
    if isinstance(node.op, ast.Pow | ast.LShift):
        return (left**right if isinstance(node.op, ast.Pow) else left << right) if 0 <= right <= 62 else None
    fold = _ARITHMETIC.get(type(node.op))
    return None if fold is None or (isinstance(node.op, ast.FloorDiv) and right == 0) else fold(left, right)
