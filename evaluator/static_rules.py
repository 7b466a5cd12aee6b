"""The rules of the static gate: what a candidate's Python may not say, each with its line and the right form."""

import ast
import re
from dataclasses import dataclass

from tilewright.evaluator import static_names as names
from tilewright.evaluator.findings import Finding
from tilewright.evaluator.static_autograd import FUNCTION_PATHS, context_names, direct_uses
from tilewright.evaluator.static_paths import (
    import_problems,
    is_allowed,
    is_dunder,
    only_imports,
    path_problem,
    prefixes,
)
from tilewright.evaluator.static_scope import (
    FileScope,
    FunctionNode,
    arguments_of,
    borrowed_names,
    bound_names,
    dotted,
    is_kernel,
    is_own_method,
    layer_calls,
    root_name,
)
from tilewright.sandbox.failure import FailureKind

_OTHER_DEVICE = re.compile(r"(cuda|hip|xpu):[1-9][0-9]*")
_BASES = FUNCTION_PATHS | {"torch.nn.Module", "typing.NamedTuple"}
_CONSTRUCTORS = frozenset({"__init__", "reset_parameters", "_init_weights", "init_weights"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """A finding that refuses the candidate, and the kind of failure that it is."""

    kind: FailureKind
    finding: Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """Where in the file a node stands.

    Attributes:
        local: Names bound by the enclosing functions.
        borrowed: Local names that stand for something that outlives a call, such as `self.table`.
        is_function: Whether the node runs when a function is called, not when the file is executed.
        is_kernel: Whether the node is in the body of a `@triton.jit` function.
        is_constructor: Whether the node is in a method that builds the module.
        saved: Name of the context in which an autograd function keeps things for its backward, or empty.
    """

    local: frozenset[str] = frozenset()
    borrowed: frozenset[str] = frozenset({"self", "cls"})
    is_function: bool = False
    is_kernel: bool = False
    is_constructor: bool = False
    saved: str = ""


class Gate:
    """Walks a file and collects violations, in the order of the walk."""

    def __init__(self, scope: FileScope) -> None:
        self.scope = scope
        self._contexts = context_names(scope)
        self.violations: list[Violation] = []

    def refuse(self, node: ast.AST, rule: str, message: str, right_form: str = "") -> None:
        """Note a FORBIDDEN violation at a node's line."""
        self._note(FailureKind.FORBIDDEN, node, rule, message, right_form)

    def _refuse_all(self, findings: tuple[Finding, ...]) -> None:
        """Note FORBIDDEN violations."""
        self.violations += [Violation(kind=FailureKind.FORBIDDEN, finding=one) for one in findings]

    def _path(self, node: ast.expr, path: str, context: Context) -> None:
        """Refuse a dotted name of an imported module that is not on the whitelist."""
        problem = path_problem(path, node.lineno, in_constructor=context.is_constructor)
        self._refuse_all((problem,) if problem else ())

    def _note(self, kind: FailureKind, node: ast.AST, rule: str, message: str, right_form: str) -> None:
        """Note a violation of any kind."""
        line = getattr(node, "lineno", 1)
        finding = Finding(line=line, rule=rule, message=message, right_form=right_form)
        self.violations.append(Violation(kind=kind, finding=finding))

    def walk(self, node: ast.AST, context: Context) -> None:
        """Check a node and everything below it."""
        match node:
            case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
                self._function(node, context)
                return
            case ast.ClassDef():
                self._class(node)
            case ast.Import() | ast.ImportFrom():
                self._refuse_all(import_problems(node))
            case ast.Attribute():
                if self._attribute(node, context):
                    return
            case ast.Name():
                self._name(node, context)
            case ast.Call():
                self._call(node, context)
            case _:
                self._statement(node, context)
        for child in ast.iter_child_nodes(node):
            self.walk(child, context)

    def _function(self, node: FunctionNode, context: Context) -> None:
        """Check a function's decorators and defaults where it is defined, its body where it runs."""
        defaults = [one for one in (*node.args.defaults, *node.args.kw_defaults) if one is not None]
        kernel = is_kernel(node, self.scope)
        for default in defaults:
            if not kernel and isinstance(
                default, ast.List | ast.Dict | ast.Set | ast.ListComp | ast.DictComp | ast.Call
            ):
                self.refuse(default, "state", "a mutable default argument keeps state between calls", "use None")
            self.walk(default, context)
        for argument in arguments_of(node):
            if argument.arg in self.scope.imports:
                self.refuse(argument, "monkeypatch", f"rebinds the import `{argument.arg}`", "choose another name")
        if not isinstance(node, ast.Lambda):
            self._named_function(node, context)
        local = context.local | bound_names(node)
        inner = Context(
            local=local,
            borrowed=(context.borrowed | borrowed_names(node, self.scope, local)),
            is_function=True,
            is_kernel=kernel or context.is_kernel,
            is_constructor=context.is_constructor or getattr(node, "name", "") in _CONSTRUCTORS,
            saved=self._contexts.get(node, ""),
        )
        body = node.body if isinstance(node.body, list) else [node.body]
        for statement in body:
            self.walk(statement, inner)

    def _named_function(self, node: ast.FunctionDef | ast.AsyncFunctionDef, context: Context) -> None:
        """Check the name, the decorators and the annotations of a `def`."""
        if is_dunder(node.name) and node.name not in names.ALLOWED_DUNDERS:
            self.refuse(node, "dunder", f"`def {node.name}` changes how Python treats the object", "leave it out")
        for decorator in node.decorator_list:
            self.walk(decorator, context)
        for annotation in (
            *(one.annotation for one in arguments_of(node)),
            node.returns,
            *getattr(node, "type_params", ()),
        ):
            if annotation is not None:
                self.walk(annotation, context)

    def _class(self, node: ast.ClassDef) -> None:
        """Refuse base classes other than nn.Module, autograd's Function and the file's own, and metaclasses."""
        for base in node.bases:
            own = isinstance(base, ast.Name) and base.id in self.scope.classes
            if not own and self.scope.path(base) not in _BASES:
                self.refuse(
                    base, "class", f"class {node.name} derives from `{ast.unparse(base)}`", "derive from nn.Module"
                )
        if node.keywords:
            self.refuse(node, "class", f"class {node.name} has a metaclass or class keywords", "leave them out")

    def _attribute(self, node: ast.Attribute, context: Context) -> bool:
        """Check an attribute chain; True if it is rooted in an import and nothing below needs a look."""
        path = self.scope.path(node, context.local)
        if not isinstance(node.ctx, ast.Load):
            self._attribute_store(node, path, context)
        if path is not None:
            self._path(node, path, context)
            return True
        self._attribute_name(node, context)
        return False

    def _attribute_store(self, node: ast.Attribute, path: str | None, context: Context) -> None:
        """Refuse writes to attributes, except to `self` while the module is built and to autograd's context."""
        if path is not None:
            self.refuse(node, "monkeypatch", f"assigns to `{path}`", "leave libraries as they are")
        elif dotted(node) == (context.saved, node.attr):
            return
        elif dotted(node)[:1] != ("self",) or not context.is_constructor:
            where = f"writes the attribute `{ast.unparse(node)}`, which outlives the call"
            self.refuse(node, "state", where, "set attributes of self in __init__ only; pass values as arguments")

    def _attribute_name(self, node: ast.Attribute, context: Context) -> None:
        """Refuse dunder, private and dangerous attributes of any object."""
        name = node.attr
        if is_dunder(name) and name not in names.ALLOWED_DUNDERS:
            self.refuse(node, "dunder", f"reads `.{name}`", "dunder attributes reach outside the kernel")
        elif name in names.FORBIDDEN_ATTRIBUTES:
            self.refuse(node, "attribute", f"uses `.{name}`", names.FORBIDDEN_ATTRIBUTES[name])
        elif name.startswith("_") and not is_dunder(name) and not context.is_kernel:
            owner = root_name(node.value)
            if owner not in {"self", "cls"} and owner not in self.scope.classes:
                self.refuse(node, "attribute", f"uses the private attribute `.{name}`", "use public attributes")

    def _name(self, node: ast.Name, context: Context) -> None:
        """Check a bare name."""
        path = self.scope.path(node, context.local)
        is_own = node.id in context.local or node.id in self.scope.names
        if is_dunder(node.id) and node.id not in {"__name__", "__all__"}:
            self.refuse(node, "dunder", f"uses `{node.id}`", "dunder names reach outside the kernel")
        elif node.id in names.FORBIDDEN_BUILTINS and not (is_own and node.id in names.HARMLESS_BUILTINS):
            self.refuse(node, "builtin", f"uses `{node.id}`", "write the name or the value itself")
        elif isinstance(node.ctx, ast.Store) and node.id in self.scope.imports:
            self.refuse(node, "monkeypatch", f"rebinds the import `{node.id}`", "choose another name")
        elif path is not None and isinstance(node.ctx, ast.Load):
            self._path(node, path, context)

    def _call(self, node: ast.Call, context: Context) -> None:
        """Check what is called, by name, by method and by where it runs."""
        path = self.scope.path(node.func, context.local)
        if path is not None and path.startswith("torch.") and not context.is_function:
            self._import_time_call(node, path)
        if path is None and isinstance(node.func, ast.Attribute) and not context.is_kernel:
            self._method(node, node.func, context)

    def _import_time_call(self, node: ast.Call, path: str) -> None:
        """Refuse torch functions that make or change tensors while the file is executed."""
        if not prefixes(path) & names.IMPORT_TIME_NAMES and is_allowed(path, in_constructor=False):
            form = "make tensors in forward, parameters in __init__"
            self._note(FailureKind.WORK_OUTSIDE_FORWARD, node, "import-time", f"calls `{path}` at import", form)

    def _method(self, node: ast.Call, function: ast.Attribute, context: Context) -> None:
        """Refuse methods that compute, read the host or change what outlives the call."""
        method = function.attr
        root = root_name(function.value)
        outlives = root in context.borrowed or (root in self.scope.names and root not in context.local)
        if method in names.HOST_READS and not context.is_constructor:
            form = "the host never sees data: decide from shapes, or in the kernel"
            self._note(FailureKind.HOST_READ, node, "host-read", f"`.{method}()` reads data on the host", form)
        elif (
            method in names.COMPUTING_METHODS and not context.is_constructor and not is_own_method(function, self.scope)
        ):
            self.refuse(node, "computes", f"`.{method}()` computes with PyTorch", "compute it in a @triton.jit kernel")
        elif method in names.MUTATING_METHODS and outlives and context.is_function and not context.is_constructor:
            what = f"`{ast.unparse(function)}()` changes something that outlives the call"
            self.refuse(node, "state", what, "launchers keep no state between calls")

    def _statement(self, node: ast.AST, context: Context) -> None:
        """Check statements and operators."""
        match node:
            case ast.Global() | ast.Nonlocal():
                self.refuse(node, "state", "`global` and `nonlocal` keep state between calls", "return the value")
            case ast.Match():
                self.refuse(node, "attribute", "`match` reads attributes by name", "use `if` and `==`")
            case ast.Try() | ast.TryStar():
                if context.is_function or not only_imports(node):
                    form = "let a broken path fail; a fallback hides it"
                    self.refuse(node, "fallback", "`try` around launcher code", form)
            case ast.BinOp(op=ast.MatMult()) | ast.AugAssign(op=ast.MatMult()):
                if not context.is_kernel:
                    self.refuse(node, "computes", "`@` multiplies with PyTorch", "use tl.dot in a @triton.jit kernel")
            case ast.Subscript(ctx=ast.Store() | ast.Del()):
                self._subscript_store(node, context)
            case ast.Constant(value=str(text)) if _OTHER_DEVICE.fullmatch(text):
                self.refuse(node, "device", f"names the device `{text}`", "stay on the device of the inputs")
            case ast.Expr(value=ast.Call(func=function)):
                self._bare_call(node, function, context)

    def _subscript_store(self, node: ast.Subscript, context: Context) -> None:
        """Refuse writes into containers that outlive the call."""
        if context.is_kernel or not context.is_function:
            return
        root = root_name(node)
        is_built = context.is_constructor and root == "self"
        if not is_built and (root is None or root not in context.local or root in context.borrowed):
            what = f"writes into `{ast.unparse(node.value)}`, which outlives the call"
            self.refuse(node, "state", what, "launchers keep no state between calls")

    def _bare_call(self, node: ast.AST, function: ast.expr, context: Context) -> None:
        """Refuse calls made for their effect while the file is executed."""
        is_list = isinstance(function, ast.Attribute) and function.attr in names.MUTATING_METHODS
        if not context.is_function and not is_list and self.scope.path(function) != "triton.set_allocator":
            self.refuse(
                node, "import-time", f"calls `{ast.unparse(function)}` at import", "leave out test and set-up code"
            )


def violations_of(tree: ast.Module, scope: FileScope) -> tuple[Violation, ...]:
    """Return everything in a file that the gate refuses, by line."""
    gate = Gate(scope)
    gate.walk(tree, Context())
    for one in layer_calls(scope):
        gate.refuse(
            one, "computes", f"`{ast.unparse(one.func)}(...)` runs a PyTorch layer", "launch a kernel on its weight"
        )
    for use in direct_uses(tree, scope):
        gate.refuse(use, "autograd", f"uses `{ast.unparse(use)}`", "call an autograd function by its apply()")
    return tuple(sorted(gate.violations, key=lambda one: one.finding.line))
