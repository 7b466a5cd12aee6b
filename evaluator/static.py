"""The static gate: whether a candidate's file may be run at all, decided from its syntax tree alone."""

import ast

import msgspec

from tilewright.evaluator.findings import Finding
from tilewright.evaluator.lint import lint_tree
from tilewright.evaluator.static_knobs import KnobsError, read_knobs
from tilewright.evaluator.static_names import MAX_SOURCE_CHARS
from tilewright.evaluator.static_rules import violations_of
from tilewright.evaluator.static_scope import FileScope, read_scope
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.tasks.candidate import KnobRange

_SHOWN_FINDINGS = 20


class StaticOutcome(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What reading a candidate's source gives.

    Attributes:
        failure: Why it is refused, or None.
        findings: What the gate refuses, then what the lint doubts; the lint alone refuses nothing.
        knobs: Rows of the literal `KNOBS` table.
        kernels: Names of its `@triton.jit` functions.
    """

    failure: Failure | None
    findings: tuple[Finding, ...] = ()
    knobs: tuple[KnobRange, ...] = ()
    kernels: tuple[str, ...] = ()


def check(source: str) -> StaticOutcome:
    """Check a candidate's file without running it.

    It is the first gate, not the only one: what tensors really do is decided when the launcher is
    recorded, and the process that runs it is locked down. Not covered: values that no syntax shows,
    such as answers that depend on the shape.

    Args:
        source: The Python file.
    """
    if len(source) > MAX_SOURCE_CHARS:
        message = f"expected at most {MAX_SOURCE_CHARS} characters, got {len(source)}"
        return StaticOutcome(failure=_failure(FailureKind.FORBIDDEN, message, "write a shorter file"))
    try:
        return _check_tree(ast.parse(source))
    except SyntaxError as error:
        message = f"line {error.lineno or 1}: {error.msg}"
        return StaticOutcome(failure=_failure(FailureKind.SYNTAX, message, "write valid Python 3.11"))
    except (ValueError, RecursionError, MemoryError) as error:
        # Null bytes, lone surrogates and nesting beyond the parser's depth.
        message = f"line 1: the file cannot be parsed: {type(error).__name__}"
        return StaticOutcome(failure=_failure(FailureKind.SYNTAX, message, "write plain, flat Python"))


def _check_tree(tree: ast.Module) -> StaticOutcome:
    """Check a parsed file, the gravest rules first."""
    scope = read_scope(tree)
    violations = violations_of(tree, scope)
    refused = tuple(one.finding for one in violations)
    findings = refused + lint_tree(tree, scope)
    knobs: tuple[KnobRange, ...] = ()
    failure: Failure | None = None
    if violations:
        first = violations[0]
        detail = "\n".join(one.sentence for one in refused[:_SHOWN_FINDINGS])
        message = f"line {first.finding.line}: {first.finding.message}"
        failure = _failure(first.kind, message, first.finding.right_form, detail)
    else:
        failure = _model_failure(scope) or _kernel_failure(tree, scope)
    if failure is None:
        try:
            knobs = read_knobs(tree)
        except KnobsError as error:
            failure = _failure(FailureKind.BAD_KNOBS, f"line {error.line}: {error.message}", error.right_form)
    return StaticOutcome(failure=failure, findings=findings, knobs=knobs, kernels=scope.kernels)


def _failure(kind: FailureKind, message: str, hint: str, detail: str = "") -> Failure:
    """Return a failure of the static stage."""
    return Failure(kind=kind, stage=Stage.STATIC, message=message, hint=hint, detail=detail)


def _model_failure(scope: FileScope) -> Failure | None:
    """Return a failure unless the file defines `class ModelNew(nn.Module)` with a forward."""
    form = "write class ModelNew(nn.Module) with __init__ and forward"
    model = scope.classes.get("ModelNew")
    if model is None:
        return _failure(FailureKind.NO_MODEL, "expected a class ModelNew, got none", form)
    lineage = _lineage(model, scope)
    where = f"line {model.lineno}: ModelNew"
    if not any(scope.path(base) == "torch.nn.Module" for one in lineage for base in one.bases):
        return _failure(FailureKind.NO_MODEL, f"{where} does not derive from nn.Module", form)
    methods = {s.name for one in lineage for s in one.body if isinstance(s, ast.FunctionDef)}
    if "forward" not in methods:
        return _failure(FailureKind.NO_MODEL, f"{where} has no forward", form)
    return None


def _lineage(model: ast.ClassDef, scope: FileScope) -> tuple[ast.ClassDef, ...]:
    """Return a class and the classes of the file that it derives from."""
    lineage = [model]
    for one in lineage:
        for base in one.bases:
            parent = scope.classes.get(base.id) if isinstance(base, ast.Name) else None
            if parent is not None and parent not in lineage:
                lineage.append(parent)
    return tuple(lineage)


def _kernel_failure(tree: ast.Module, scope: FileScope) -> Failure | None:
    """Return a failure unless ModelNew launches a kernel of the file."""
    form = "write a @triton.jit function and launch it in forward: kernel[grid](...)"
    if not scope.kernels:
        return _failure(FailureKind.NO_KERNEL, "expected a @triton.jit kernel, got none", form)
    reached = _reached(tree, scope)
    launched = _launched(reached, scope)
    if not launched:
        names = ", ".join(scope.kernels)
        return _failure(FailureKind.NO_KERNEL, f"ModelNew launches none of its kernels: {names}", form)
    return None


def _reached(tree: ast.Module, scope: FileScope) -> tuple[ast.AST, ...]:
    """Return ModelNew and every top-level definition that it names, directly or not, kernels left out."""
    values = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    defined: dict[str, ast.AST] = {**values, **scope.functions, **scope.classes}
    waiting, seen = ["ModelNew"], {"ModelNew"}
    reached: list[ast.AST] = []
    while waiting:
        node = defined[waiting.pop()]
        reached.append(node)
        named = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)} & set(defined)
        fresh = named - seen - set(scope.kernels)
        seen |= fresh
        waiting += sorted(fresh)
    return tuple(reached)


def _launched(reached: tuple[ast.AST, ...], scope: FileScope) -> bool:
    """Whether code subscripts a kernel, by its name or by a local name that stands for it."""
    aliases = set(scope.kernels)
    nodes = [one for node in reached for one in ast.walk(node)]
    for one in nodes:
        if isinstance(one, ast.Assign) and _names(one.value) & aliases:
            aliases |= {target.id for target in one.targets if isinstance(target, ast.Name)}
            aliases |= {target.attr for target in one.targets if isinstance(target, ast.Attribute)}
    return any(isinstance(one, ast.Subscript) and _names(one.value) & aliases for one in nodes)


def _names(node: ast.AST) -> set[str]:
    """Return the names and attributes that an expression mentions."""
    found = {one.id for one in ast.walk(node) if isinstance(one, ast.Name)}
    return found | {one.attr for one in ast.walk(node) if isinstance(one, ast.Attribute)}
