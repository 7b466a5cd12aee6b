"""What a candidate's file binds: imports, kernels, functions, classes, and what each name stands for."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True, kw_only=True)
class FileScope:
    """Names bound at a file's top level.

    Attributes:
        imports: Local name to the dotted name that it stands for.
        kernels: Names of `@triton.jit` functions and of their decorated aliases.
        classes: Top-level classes by name.
        functions: Top-level functions by name, kernels included.
        names: Every name bound at the top level.
    """

    imports: dict[str, str]
    kernels: tuple[str, ...]
    classes: dict[str, ast.ClassDef]
    functions: dict[str, ast.FunctionDef | ast.AsyncFunctionDef]
    names: frozenset[str]

    def path(self, node: ast.AST, local: frozenset[str] = frozenset()) -> str | None:
        """Return the dotted name that an expression stands for, or None if it is not rooted in an import."""
        parts = dotted(node)
        if not parts or parts[0] in local or parts[0] not in self.imports:
            return None
        return ".".join((self.imports[parts[0]], *parts[1:]))


def dotted(node: ast.AST) -> tuple[str, ...]:
    """Return the names of an attribute chain such as `a.b.c`; empty if it is rooted in anything but a name."""
    parts: list[str] = []
    while isinstance(node, ast.Attribute):
        parts.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return ()
    return (node.id, *reversed(parts))


def root_name(node: ast.AST) -> str | None:
    """Return the name that attributes and subscripts are taken of, or None if it is no name."""
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def arguments_of(function: FunctionNode) -> tuple[ast.arg, ...]:
    """Return every parameter of a function, `*args` and `**kwargs` included."""
    arguments = function.args
    starred = (one for one in (arguments.vararg, arguments.kwarg) if one is not None)
    return (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred)


def bound_names(function: FunctionNode) -> frozenset[str]:
    """Return the parameters of a function and the names that its body binds."""
    names = {one.arg for one in arguments_of(function)}
    body = function.body if isinstance(function.body, list) else [function.body]
    for statement in body:
        names |= _stored_names(statement)
    return frozenset(names)


def _stored_names(statement: ast.AST) -> set[str]:
    """Return names that a statement binds, functions and classes included."""
    names: set[str] = set()
    for node in ast.walk(statement):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
    return names


def read_scope(tree: ast.Module) -> FileScope:
    """Return what a file binds at its top level."""
    imports = _imports(tree)
    functions = {n.name: n for n in tree.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)}
    classes = {n.name: n for n in tree.body if isinstance(n, ast.ClassDef)}
    names: set[str] = set(functions) | set(classes)
    for statement in tree.body:
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names |= _stored_names(statement)
    scope = FileScope(imports=imports, kernels=(), classes=classes, functions=functions, names=frozenset(names))
    return FileScope(
        imports=imports,
        kernels=_kernels(tree, scope),
        classes=classes,
        functions=functions,
        names=scope.names,
    )


def _imports(tree: ast.Module) -> dict[str, str]:
    """Return each imported local name with the dotted name that it stands for."""
    imports: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                local = alias.asname or alias.name.split(".")[0]
                imports[local] = alias.name if alias.asname else local
        elif isinstance(node, ast.ImportFrom) and node.module:
            imports |= {alias.asname or alias.name: f"{node.module}.{alias.name}" for alias in node.names}
    return imports


def is_kernel(function: ast.AST, scope: FileScope) -> bool:
    """Whether a function is decorated with `@triton.jit`, called or not."""
    if not isinstance(function, ast.FunctionDef):
        return False
    return any(_decorator_path(one, scope) == "triton.jit" for one in function.decorator_list)


def borrowed_names(node: FunctionNode, scope: FileScope, local: frozenset[str]) -> frozenset[str]:
    """Return local names assigned from `self.x` or from a name of the file's top level."""
    found: set[str] = set()
    for one in ast.walk(node):
        if not isinstance(one, ast.Assign) or not isinstance(one.value, ast.Name | ast.Attribute | ast.Subscript):
            continue
        root = root_name(one.value)
        outlives = root == "self" or (root in scope.names and root not in local)
        found |= {t.id for t in one.targets if isinstance(t, ast.Name) and outlives}
    return frozenset(found)


def is_own_method(function: ast.Attribute, scope: FileScope) -> bool:
    """Whether `self.name` names a method that a class of the file defines."""
    own = {s.name for c in scope.classes.values() for s in c.body if isinstance(s, ast.FunctionDef)}
    return isinstance(function.value, ast.Name) and function.value.id == "self" and function.attr in own


def _decorator_path(decorator: ast.expr, scope: FileScope) -> str | None:
    """Return the dotted name of a decorator, its call left out."""
    return scope.path(decorator.func if isinstance(decorator, ast.Call) else decorator)


def _kernels(tree: ast.Module, scope: FileScope) -> tuple[str, ...]:
    """Return names of kernels: decorated functions, and names assigned from `triton.jit(f)` or a decorator's call."""
    kernels = [name for name, function in scope.functions.items() if is_kernel(function, scope)]
    for node in tree.body:
        if not isinstance(node, ast.Assign) or not isinstance(node.value, ast.Call):
            continue
        passed = {one.id for one in ast.walk(node.value) if isinstance(one, ast.Name)}
        is_jit = scope.path(node.value.func) == "triton.jit"
        if is_jit or (passed & set(kernels) and _is_decoration(node.value, scope)):
            kernels += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return tuple(kernels)


def _is_decoration(call: ast.Call, scope: FileScope) -> bool:
    """Whether a call is `triton.autotune(...)(kernel)` or `triton.heuristics(...)(kernel)`."""
    return isinstance(call.func, ast.Call) and scope.path(call.func.func) in {"triton.autotune", "triton.heuristics"}


def layer_calls(scope: FileScope) -> Iterator[ast.Call]:
    """Yield calls of `self.x` where `self.x` was made by a layer of torch.nn."""
    holders = {f"torch.nn.{name}" for name in ("Parameter", "Module", "ParameterList", "ParameterDict", "Buffer")}
    for cls in scope.classes.values():
        layers: set[str] = set()
        for node in ast.walk(cls):
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
                path = scope.path(node.value.func) or ""
                if path.startswith("torch.nn.") and path not in holders:
                    layers |= {t.attr for t in node.targets if isinstance(t, ast.Attribute)}
        calls = (node for node in ast.walk(cls) if isinstance(node, ast.Call))
        yield from (call for call in calls if dotted(call.func) in {("self", layer) for layer in layers})
