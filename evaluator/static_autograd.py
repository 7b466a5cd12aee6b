"""What the static gate allows of `torch.autograd.Function`: its methods may keep things on their own `ctx`, no more."""

import ast
from collections.abc import Iterator

from tilewright.evaluator.static_scope import FileScope, root_name

FUNCTION_PATHS = frozenset({"torch.autograd.Function", "torch.autograd.function.Function"})
_METHODS = frozenset({"forward", "backward", "setup_context"})


def context_names(scope: FileScope) -> dict[ast.AST, str]:
    """Return the methods of a file's autograd functions that get a context, each with its name for it.

    A context is made for each call of `apply` and dies with it, so what is kept on it outlives nothing.
    """
    found: dict[ast.AST, str] = {}
    for name in _functions(scope):
        for statement in scope.classes[name].body:
            if isinstance(statement, ast.FunctionDef) and statement.name in _METHODS and statement.args.args:
                context = statement.args.args[0].arg
                if not _rebinds(statement, context):
                    found[statement] = context
    return found


def _rebinds(function: ast.FunctionDef, name: str) -> bool:
    """Whether a function gives one of its parameters another value."""
    names = (node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == name)
    return any(isinstance(node.ctx, ast.Store) for node in names)


def direct_uses(tree: ast.Module, scope: FileScope) -> Iterator[ast.Attribute]:
    """Yield uses of an autograd function's methods other than by `apply`: the context could be any object then.

    Names of the file's top level that are no module's class count too, for they may stand for one.
    """
    functions = _functions(scope)
    if not functions:
        return
    modules = set(scope.classes) - functions
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr in _METHODS:
            root = root_name(node.value)
            is_super = isinstance(node.value, ast.Call)
            if not is_super and root != "self" and root not in modules:
                yield node


def _functions(scope: FileScope) -> frozenset[str]:
    """Return the names of classes that derive from `torch.autograd.Function`, directly or not."""
    found: set[str] = set()
    for _ in scope.classes:
        for name, node in scope.classes.items():
            if any(scope.path(base) in FUNCTION_PATHS or root_name(base) in found for base in node.bases):
                found.add(name)
    return frozenset(found)
