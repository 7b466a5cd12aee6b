"""Kernels as Python functions that follow the compiler's rules where plain Python differs.

Assigned numbers become typed scalars, loop variables are int32 scalars, `is` looks through constants, and `min`,
`max` and `range` accept tensors.
"""

import ast
import builtins
import inspect
import operator
import textwrap
from collections.abc import Callable, Iterator
from types import CodeType, FunctionType
from typing import SupportsIndex

import triton.language as tl
from triton.language.semantic import TritonSemantic

Kernel = Callable[..., object]

_ASSIGN, _UNWRAP = "_tilewright_assign", "_tilewright_unwrap"


class _Rewriter(ast.NodeTransformer):
    """Puts the compiler's rules into the source of one kernel."""

    def visit_Assign(self, node: ast.Assign) -> ast.AST:
        """Turn `x = 1` into a typed scalar, as the compiler does."""
        self.generic_visit(node)
        node.value = _call(_ASSIGN, node.value)
        return node

    def visit_AugAssign(self, node: ast.AugAssign) -> ast.AST:
        """Turn `x += 1` into `x = x + 1`."""
        if not isinstance(node.target, ast.Name):
            return self.generic_visit(node)
        current = ast.Name(id=node.target.id, ctx=ast.Load())
        return self.visit_Assign(
            ast.Assign(targets=[node.target], value=ast.BinOp(left=current, op=node.op, right=node.value))
        )

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        """Keep constants as they are; treat any other annotation as none."""
        if node.value is None or "constexpr" in ast.unparse(node.annotation):
            return self.generic_visit(node)
        return self.visit_Assign(ast.Assign(targets=[node.target], value=node.value))

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Let `x is None` look through constants."""
        self.generic_visit(node)
        if isinstance(node.ops[0], ast.Is | ast.IsNot):
            node.left = _call(_UNWRAP, node.left)
            node.comparators = [_call(_UNWRAP, one) for one in node.comparators]
        return node

    def visit_Attribute(self, node: ast.Attribute) -> ast.AST:
        """Let `BLOCK.value` work on constants, which are plain Python values here."""
        self.generic_visit(node)
        return _call(_UNWRAP, node.value) if node.attr == "value" and isinstance(node.ctx, ast.Load) else node


def _call(name: str, argument: ast.expr) -> ast.Call:
    return ast.Call(func=ast.Name(id=name, ctx=ast.Load()), args=[argument], keywords=[])


def rewrite(kernel: FunctionType, semantic: TritonSemantic) -> Kernel:
    """Return a kernel that the interpreter can run; line numbers stay those of its file."""
    lines, first = inspect.getsourcelines(kernel)
    tree = ast.parse(textwrap.dedent("".join(lines)))
    definition = tree.body[0]
    if not isinstance(definition, ast.FunctionDef):
        raise TypeError(f"expected a function definition of {kernel.__name__}, got {type(definition).__name__}")
    _strip(definition)
    definition.body = [_Rewriter().visit(statement) for statement in definition.body]
    ast.increment_lineno(ast.fix_missing_locations(tree), first - 1)
    module = compile(tree, kernel.__code__.co_filename, "exec")
    code = next(one for one in module.co_consts if isinstance(one, CodeType) and one.co_name == kernel.__name__)
    function = FunctionType(code, _namespace(kernel, semantic), kernel.__name__, kernel.__defaults__)
    function.__kwdefaults__ = kernel.__kwdefaults__
    return function


def _strip(definition: ast.FunctionDef) -> None:
    """Remove what is only evaluated when a function is defined: decorators, annotations and defaults."""
    definition.decorator_list = []
    definition.returns = None
    definition.args.defaults = []
    definition.args.kw_defaults = [None] * len(definition.args.kwonlyargs)
    for argument in (*definition.args.posonlyargs, *definition.args.args, *definition.args.kwonlyargs):
        argument.annotation = None


def _namespace(kernel: FunctionType, semantic: TritonSemantic) -> dict[str, object]:
    """Return a kernel's global names, what it closes over, and the compiler's versions of Python's own functions."""
    assign, loop = _assigner(semantic), loop_over(semantic)
    supplied = {
        "range": loop,
        "min": _extreme(builtins.min, tl.core.builtin_min),
        "max": _extreme(builtins.max, tl.core.builtin_max),
        "print": lambda *_values: None,
    }
    cells = kernel.__closure__ or ()
    closed = {name: cell.cell_contents for name, cell in zip(kernel.__code__.co_freevars, cells, strict=True)}
    return {**supplied, **kernel.__globals__, **closed, _ASSIGN: assign, _UNWRAP: unwrap}


def loop_over(semantic: TritonSemantic) -> Callable[..., Iterator[tl.tensor]]:
    """Return what `range` and `tl.range` mean in a kernel: a loop over typed scalars; hints are ignored."""

    def loop(
        first: SupportsIndex,
        last: SupportsIndex | None = None,
        step: SupportsIndex = 1,
        **_hints: object,
    ) -> Iterator[tl.tensor]:
        bounds = (0, first, step) if last is None else (first, last, step)
        types = [semantic.to_tensor(one).dtype for one in bounds]
        widest = max(types, key=lambda one: one.int_bitwidth)
        start, stop, stride = (operator.index(one) for one in bounds)
        steps: Iterator[tl.tensor] = semantic.builder.iterate(range(start, stop, stride), widest)
        return steps

    return loop


def unroll(first: SupportsIndex, last: SupportsIndex | None = None, step: SupportsIndex = 1) -> range:
    """Stand for `tl.static_range`: a loop over constants."""
    return range(0, first, step) if last is None else range(first, last, step)


def unwrap(value: object) -> object:
    """Return what a constexpr stands for; anything else as it is."""
    return value.value if isinstance(value, tl.constexpr) else value


def _assigner(semantic: TritonSemantic) -> Callable[[object], object]:
    def assign(value: object) -> object:
        if isinstance(value, tl.tensor):
            return value
        value = unwrap(value)
        if isinstance(value, bool | int | float):
            return semantic.to_tensor(value)
        if type(value) is tuple:
            return tuple(assign(one) for one in value)
        return value

    return assign


def _extreme(python: Callable[..., object], triton: Callable[..., object]) -> Callable[..., object]:
    def choose(*values: object) -> object:
        if any(isinstance(value, tl.tensor) for value in values):
            return triton(*values)
        return python(*(unwrap(value) for value in values))

    return choose
