"""Which dotted names of imported modules a candidate may use, and what is wrong with the others."""

import ast

from tilewright.evaluator import static_names as names
from tilewright.evaluator.findings import Finding
from tilewright.evaluator.static_autograd import FUNCTION_PATHS
from tilewright.evaluator.triton_names import TL_NAMES

_IMPORT_FORM = "import torch, torch.nn, torch.autograd, math, typing, triton, triton.language and libdevice only"
# Methods are not taken off these.
_CLASSES = ("torch.Tensor.", "torch.nn.Parameter.", "torch.nn.Module.", "torch.nn.Buffer.")
_LAUNCHER_FORM = "launchers allocate, view and launch; the work belongs in a @triton.jit kernel"


def is_dunder(name: str) -> bool:
    """Whether a name starts with two underscores."""
    return name.startswith("__")


def is_allowed(path: str, *, in_constructor: bool) -> bool:
    """Whether a dotted name, or a name that it lies below, is on the whitelist."""
    parts = path.split(".")
    if parts[0] == "triton" and names.FORBIDDEN_TRITON_PARTS & set(parts):
        return parts[:3] == ["triton", "language", "core"] and len(parts) == 4 and parts[3] in TL_NAMES
    allowed = names.LAUNCHER_NAMES | names.CONSTRUCTOR_NAMES if in_constructor else names.LAUNCHER_NAMES
    return bool(prefixes(path) & allowed)


def prefixes(path: str) -> frozenset[str]:
    """Return a dotted name and every name that it lies below."""
    parts = path.split(".")
    return frozenset(".".join(parts[: end + 1]) for end in range(len(parts)))


def import_problems(node: ast.Import | ast.ImportFrom) -> tuple[Finding, ...]:
    """Return a finding for each module or name that may not be imported."""
    if isinstance(node, ast.Import):
        paths = tuple(alias.name for alias in node.names)
    else:
        paths = tuple(f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names)
    return tuple(
        Finding(line=node.lineno, rule="import", message=f"imports `{path}`", right_form=_IMPORT_FORM)
        for path in paths
        if path.endswith(".*")
        or reaches_out(path)
        or not (path in names.IMPORTABLE_MODULES or is_allowed(path, in_constructor=True))
    )


def reaches_out(path: str) -> bool:
    """Whether a dotted name leads through a library's module to another one, or to what is forbidden on any object."""
    parts = set(path.split(".")[1:])
    return bool(parts & (names.REACHING_PARTS | names.FORBIDDEN_ATTRIBUTES.keys()))


def path_problem(path: str, line: int, *, in_constructor: bool) -> Finding | None:
    """Return what is wrong with using a dotted name, or None."""
    if any(is_dunder(part) for part in path.split(".")[1:]):
        rule, message, form = "dunder", f"reads `{path}`", "dunder attributes reach outside the kernel"
    elif reaches_out(path):
        rule, message, form = "module", f"`{path}` reaches into another module", _LAUNCHER_FORM
    elif path in names.IMPORTABLE_MODULES and not path.endswith(".libdevice"):
        rule, message, form = "module", f"uses the module `{path}` as a value", "name the function that is called"
    elif path.startswith("torch.nn.functional.") and not is_allowed(path, in_constructor=False):
        rule, message, form = "computes", f"`{path}` computes with PyTorch", "compute it in a @triton.jit kernel"
    elif path.startswith((*_CLASSES, *(f"{one}." for one in sorted(FUNCTION_PATHS)))):
        rule, message, form = "computes", f"`{path}` takes a method off the class", "call the method on the object"
    elif not is_allowed(path, in_constructor=in_constructor):
        rule = "torch-name" if path.startswith("torch") else "name"
        message, form = f"`{path}` is not allowed", _LAUNCHER_FORM
    else:
        return None
    return Finding(line=line, rule=rule, message=message, right_form=form)


def only_imports(node: ast.Try | ast.TryStar) -> bool:
    """Whether a `try` guards imports only."""
    statements = [*node.body, *(one for handler in node.handlers for one in handler.body)]
    return all(isinstance(one, ast.Import | ast.ImportFrom | ast.Pass | ast.Raise) for one in statements)
