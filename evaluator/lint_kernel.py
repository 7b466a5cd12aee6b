"""A kernel as the lint sees it: its names, which of them are blocks, and their types as far as the text shows."""

import ast
from dataclasses import dataclass
from enum import Enum

from tilewright.evaluator.static_scope import FileScope
from tilewright.evaluator.triton_names import words


class Shape(Enum):
    """What a name holds, as far as the text shows."""

    BLOCK = "block"
    SCALAR = "scalar"
    CONSTANT = "constant"
    UNKNOWN = "unknown"


_BLOCK_MAKERS = words("arange zeros full zeros_like dot trans broadcast_to expand_dims cat join ravel flip sort topk")
_REDUCTIONS = words("sum max min argmax argmin xor_sum reduce")
_SCALAR_MAKERS = words("program_id num_programs")
_FLOAT_TYPES = words("float16 bfloat16 float32 float64")
_FLOAT32_MAKERS = words("exp exp2 log log2 sqrt rsqrt sigmoid softmax erf sin cos")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelView:
    """One `@triton.jit` function and what the file says of it.

    Attributes:
        node: The function.
        nodes: Everything in it but its decorators, outermost first.
        scope: What the file binds.
        constants: Names of `tl.constexpr` parameters.
        runtime: Names of the other parameters.
        assigned: Values that each local name is assigned, in the order of the text.
        literals: Integers that the file gives to a name, in `KNOBS` or as a launch keyword.
        global_constants: Top-level names that a kernel may read: `X = tl.constexpr(...)`.
    """

    node: ast.FunctionDef
    nodes: tuple[ast.AST, ...]
    scope: FileScope
    constants: frozenset[str]
    runtime: frozenset[str]
    assigned: dict[str, tuple[ast.expr, ...]]
    literals: dict[str, tuple[int, ...]]
    global_constants: frozenset[str]

    def calls(self) -> tuple[tuple[str, ast.Call], ...]:
        """Return every call of a `triton.language` function, with its name below `tl`."""
        named = ((self.tl_name(one.func), one) for one in self.nodes if isinstance(one, ast.Call))
        return tuple((name, call) for name, call in named if name is not None)

    def tl_name(self, node: ast.AST) -> str | None:
        """Return the name below `triton.language` of an expression, or None."""
        path = self.scope.path(node)
        prefix = "triton.language."
        return path.removeprefix(prefix) if path is not None and path.startswith(prefix) else None

    def shape(self, node: ast.AST, seen: frozenset[str] = frozenset()) -> Shape:
        """Return what an expression holds, as far as the text shows."""
        parts: tuple[ast.expr, ...]
        match node:
            case ast.Constant():
                return Shape.CONSTANT
            case ast.Name(id=name):
                return self._name_shape(name, seen)
            case ast.Call():
                return self._call_shape(node, seen)
            case ast.Subscript():
                return self.shape(node.value, seen)
            case ast.BinOp(left=left, right=right):
                parts = (left, right)
            case ast.Compare(left=left, comparators=comparators):
                parts = (left, *comparators)
            case ast.UnaryOp(operand=operand):
                parts = (operand,)
            case ast.BoolOp(values=values):
                parts = tuple(values)
            case _:
                return Shape.UNKNOWN
        return _widest(tuple(self.shape(one, seen) for one in parts))

    def _name_shape(self, name: str, seen: frozenset[str]) -> Shape:
        """Return what a name holds: a block if any of its values is one."""
        if name in self.constants or name in self.global_constants:
            return Shape.CONSTANT
        if name in self.runtime:
            return Shape.SCALAR
        if name in seen or name not in self.assigned:
            return Shape.UNKNOWN
        return _widest(tuple(self.shape(value, seen | {name}) for value in self.assigned[name]))

    def _call_shape(self, node: ast.Call, seen: frozenset[str]) -> Shape:
        """Return what a call gives."""
        name = self.tl_name(node.func)
        if name is None:
            is_method = isinstance(node.func, ast.Attribute) and node.func.attr == "to"
            return (
                self.shape(node.func.value, seen)
                if is_method and isinstance(node.func, ast.Attribute)
                else Shape.UNKNOWN
            )
        if name in _BLOCK_MAKERS:
            return Shape.BLOCK
        if name in _SCALAR_MAKERS:
            return Shape.SCALAR
        if name in _REDUCTIONS or not node.args:
            return Shape.UNKNOWN  # a scalar for blocks of rank one, a block above
        return _widest(tuple(self.shape(one, seen) for one in node.args))

    def dtype(self, node: ast.AST, seen: frozenset[str] = frozenset()) -> str | None:
        """Return the floating type of an expression, `loaded` for what a bare tl.load gives, or None."""
        match node:
            case ast.Name(id=name) if name in self.assigned and name not in seen:
                found = {self.dtype(value, seen | {name}) for value in self.assigned[name]}
                return found.pop() if len(found) == 1 else None
            case ast.Call(func=ast.Attribute(attr="to"), args=[kind, *_]):
                return self._type_name(kind)
            case ast.Call():
                return self._call_dtype(node, seen)
            case ast.BinOp(left=left, right=right):
                found = {self.dtype(left, seen), self.dtype(right, seen)}
                return "float32" if "float32" in found else None
        return None

    def _call_dtype(self, node: ast.Call, seen: frozenset[str]) -> str | None:
        """Return the floating type of a call's value."""
        name = self.tl_name(node.func)
        if name == "load":
            return "loaded"
        if name in _FLOAT32_MAKERS or name == "dot":
            return "float32"
        if name in {"zeros", "full"}:
            given = [k.value for k in node.keywords if k.arg == "dtype"] or node.args[-1:]
            return self._type_name(given[0]) if given else None
        if name == "trans" and node.args:
            return self.dtype(node.args[0], seen)
        return None

    def _type_name(self, node: ast.AST) -> str | None:
        """Return the name of a floating type such as `tl.float32`."""
        name = self.tl_name(node)
        return name if name in _FLOAT_TYPES else None


def _widest(shapes: tuple[Shape, ...]) -> Shape:
    """Return what an operation on several values gives: a block wins, then the unknown, then a scalar."""
    for shape in (Shape.BLOCK, Shape.UNKNOWN, Shape.SCALAR):
        if shape in shapes:
            return shape
    return Shape.CONSTANT if shapes else Shape.UNKNOWN


def read_kernel(node: ast.FunctionDef, tree: ast.Module, scope: FileScope) -> KernelView:
    """Return a kernel's view of itself and of its file."""
    # a lambda of @triton.heuristics is the launcher's Python, not the kernel's
    decoration = {id(one) for decorator in node.decorator_list for one in ast.walk(decorator)}
    nodes = tuple(one for one in ast.walk(node) if id(one) not in decoration)
    every = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    constants = frozenset(one.arg for one in every if _is_constexpr(one.annotation, scope))
    assigned: dict[str, tuple[ast.expr, ...]] = {}
    for one in nodes:
        if isinstance(one, ast.Assign | ast.AugAssign | ast.AnnAssign) and one.value is not None:
            targets = one.targets if isinstance(one, ast.Assign) else [one.target]
            for target in targets:
                if isinstance(target, ast.Name):
                    assigned[target.id] = (*assigned.get(target.id, ()), one.value)
    loops = [one.target.id for one in nodes if isinstance(one, ast.For) and isinstance(one.target, ast.Name)]
    runtime = (frozenset(one.arg for one in every) | frozenset(loops)) - constants
    return KernelView(
        node=node,
        nodes=nodes,
        scope=scope,
        constants=constants,
        runtime=runtime,
        assigned=assigned,
        literals=_literals(tree),
        global_constants=_global_constants(tree, scope),
    )


def _is_constexpr(annotation: ast.expr | None, scope: FileScope) -> bool:
    """Whether a parameter is annotated `tl.constexpr`, quoted or not."""
    if annotation is None:
        return False
    if isinstance(annotation, ast.Constant):
        return "constexpr" in str(annotation.value)
    return (scope.path(annotation) or "").endswith(".constexpr")


def _literals(tree: ast.Module) -> dict[str, tuple[int, ...]]:
    """Return the integers that the file gives to names, in dict literals and as keywords of calls."""
    found: dict[str, tuple[int, ...]] = {}
    for node in ast.walk(tree):
        pairs: list[tuple[str, ast.expr]] = []
        if isinstance(node, ast.Dict):
            pairs = [
                (str(k.value), v) for k, v in zip(node.keys, node.values, strict=True) if isinstance(k, ast.Constant)
            ]
        elif isinstance(node, ast.Call):
            pairs = [(k.arg, k.value) for k in node.keywords if k.arg is not None]
        for name, value in pairs:
            parts = value.elts if isinstance(value, ast.Tuple | ast.List) else [value]
            numbers = tuple(p.value for p in parts if isinstance(p, ast.Constant) and type(p.value) is int)
            found[name] = (*found.get(name, ()), *numbers)
    return found


def _global_constants(tree: ast.Module, scope: FileScope) -> frozenset[str]:
    """Return top-level names that hold a `tl.constexpr` or a type of Triton."""
    found: set[str] = set()
    for node in tree.body:
        if (
            isinstance(node, ast.AnnAssign)
            and isinstance(node.target, ast.Name)
            and _is_constexpr(node.annotation, scope)
        ):
            found.add(node.target.id)
        elif isinstance(node, ast.Assign):
            value = node.value.func if isinstance(node.value, ast.Call) else node.value
            if (scope.path(value) or "").startswith("triton.language."):
                found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return frozenset(found)
