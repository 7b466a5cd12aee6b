"""The lint's rules on control flow: loops, branches and what they leave in a name."""

import ast
from collections.abc import Callable, Iterator

from tilewright.evaluator.findings import Finding
from tilewright.evaluator.lint_kernel import KernelView, Shape

_Loop = ast.For | ast.While


def _finding(node: ast.AST, rule: str, message: str, right_form: str) -> Finding:
    return Finding(line=getattr(node, "lineno", 1), rule=rule, message=message, right_form=right_form)


def loop_exits(view: KernelView) -> Iterator[Finding]:
    """Find break, continue and return inside loops; an early return outside of loops is fine."""
    for loop in view.nodes:
        if not isinstance(loop, _Loop):
            continue
        for node in ast.walk(loop):
            if isinstance(node, ast.Break | ast.Continue | ast.Return):
                word = type(node).__name__.lower()
                form = "mask the work with tl.where, or compute the loop's bound before it"
                yield _finding(node, "loop-exit", f"`{word}` inside a loop", form)


def block_conditions(view: KernelView) -> Iterator[Finding]:
    """Find blocks as conditions of if, while and conditional expressions."""
    for node in view.nodes:
        if isinstance(node, ast.If | ast.While | ast.IfExp) and view.shape(node.test) is Shape.BLOCK:
            text = f"`{ast.unparse(node.test)}` is a block, a condition must be a scalar"
            yield _finding(node, "condition", text, "write tl.where(condition, a, b)")


def carried_types(view: KernelView) -> Iterator[Finding]:
    """Find names that start as a Python integer and become something else inside a loop."""
    for loop in view.nodes:
        if not isinstance(loop, _Loop):
            continue
        for node in ast.walk(loop):
            if isinstance(node, ast.Assign | ast.AugAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                for target in targets:
                    if isinstance(target, ast.Name) and _changes(view, target.id, node, loop):
                        form = f"start with {target.id} = tl.zeros(shape, tl.float32), or 0.0"
                        text = f"`{target.id}` starts as an integer and changes its type in the loop"
                        yield _finding(node, "carried-type", text, form)


def _changes(view: KernelView, name: str, node: ast.Assign | ast.AugAssign, loop: _Loop) -> bool:
    """Whether a name is an integer literal before the loop and gets a float or a block inside."""
    inside = {id(one) for one in ast.walk(loop)}
    before = [value for value in view.assigned.get(name, ()) if id(value) not in inside]
    starts = any(isinstance(value, ast.Constant) and type(value.value) is int for value in before)
    return starts and len(before) == 1 and _is_float_or_block(view, node.value)


def _is_float_or_block(view: KernelView, value: ast.expr) -> bool:
    """Whether an expression is a block, a reduction of one, a float or a quotient."""
    for node in ast.walk(value):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            return True
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
            return True
        if isinstance(node, ast.Call) and view.tl_name(node.func) in {"sum", "load", "exp", "max", "min", "dot"}:
            return True
    return view.shape(value) is Shape.BLOCK


def one_branch_names(view: KernelView) -> Iterator[Finding]:
    """Find names that only one branch of a runtime `if` defines and that are used after it."""
    known = view.constants | view.runtime
    for body in _bodies(view.node):
        for position, statement in enumerate(body):
            if not isinstance(statement, ast.If) or view.shape(statement.test) is Shape.CONSTANT:
                continue
            before = known | _stored(view.node, until=statement.lineno)
            lopsided = (_stores(statement.body) ^ _stores(statement.orelse)) - before
            used = {n.id for after in body[position + 1 :] for n in ast.walk(after) if isinstance(n, ast.Name)}
            if any(isinstance(last, ast.Return) for last in (*statement.body[-1:], *statement.orelse[-1:])):
                continue
            for name in sorted(lopsided & used):
                form = f"define {name} before the if, with the type that it gets inside"
                yield _finding(statement, "one-branch", f"`{name}` is defined in one branch only", form)


def _bodies(node: ast.AST) -> Iterator[list[ast.stmt]]:
    """Yield every list of statements below a node."""
    for one in ast.walk(node):
        for field in ("body", "orelse"):
            body = getattr(one, field, None)
            if isinstance(body, list):
                yield body


def _stores(body: list[ast.stmt]) -> frozenset[str]:
    """Return names that statements bind."""
    found = (one for statement in body for one in ast.walk(statement))
    return frozenset(one.id for one in found if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store))


def _stored(node: ast.AST, *, until: int) -> frozenset[str]:
    """Return names that are bound above a line."""
    return frozenset(
        one.id
        for one in ast.walk(node)
        if isinstance(one, ast.Name) and isinstance(one.ctx, ast.Store) and one.lineno < until
    )


FLOW_RULES: tuple[Callable[[KernelView], Iterator[Finding]], ...] = (
    loop_exits,
    block_conditions,
    carried_types,
    one_branch_names,
)
