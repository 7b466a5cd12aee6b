"""The Triton lint: what will not compile in a kernel, found in the syntax tree, with the right form."""

import ast
import re

from tilewright.evaluator.findings import Finding
from tilewright.evaluator.lint_kernel import KernelView, read_kernel
from tilewright.evaluator.lint_rules import RULES
from tilewright.evaluator.static_scope import FileScope, is_kernel, read_scope
from tilewright.sandbox.failure import Failure, FailureKind

# Rules that speak of wrong numbers; all others speak of code that does not compile.
_NUMERIC_RULES = frozenset({"dot-precision"})
_NUMERIC_KINDS = frozenset({FailureKind.WRONG_VALUES, FailureKind.NOT_A_NUMBER})
_COMPILE_KINDS = frozenset({FailureKind.COMPILE_ERROR, FailureKind.INTERPRETER_ERROR})
_SHOWN_HINTS = 4


def lint(source: str) -> tuple[Finding, ...]:
    """Return what is doubtful in the kernels of a file, by line; nothing if it does not parse.

    Types are inferred from the text alone, so a finding may be wrong and none refuses a candidate.

    Args:
        source: The Python file.
    """
    try:
        tree = ast.parse(source)
        return lint_tree(tree, read_scope(tree))
    except (SyntaxError, ValueError, RecursionError):
        return ()


def lint_tree(tree: ast.Module, scope: FileScope) -> tuple[Finding, ...]:
    """Return what is doubtful in the kernels of a parsed file, by line."""
    found: set[tuple[int, str, str, str]] = set()
    for node in ast.walk(tree):
        if is_kernel(node, scope) and isinstance(node, ast.FunctionDef):
            view = read_kernel(node, tree, scope)
            found |= {(one.line, one.rule, one.message, one.right_form) for one in _findings(view)}
    return tuple(
        Finding(line=line, rule=rule, message=text, right_form=form) for line, rule, text, form in sorted(found)
    )


def _findings(view: KernelView) -> tuple[Finding, ...]:
    """Return the findings of every rule on one kernel."""
    return tuple(finding for rule in RULES for finding in rule(view))


def hint_for(source: str, failure: Failure) -> str:
    """Return the lint's advice on a failure, the lines that the compiler named first; empty if it has none.

    Args:
        source: The candidate's file.
        failure: What went wrong with it.
    """
    if failure.kind in _COMPILE_KINDS:
        findings = tuple(one for one in lint(source) if one.rule not in _NUMERIC_RULES)
    elif failure.kind in _NUMERIC_KINDS:
        findings = tuple(one for one in lint(source) if one.rule in _NUMERIC_RULES)
    else:
        return ""
    # Triton says `at 12:4:`, counted from the kernel's `def`, Python `line 12`: a guess at the order only.
    named = {int(number) for number in re.findall(r"\bline (\d+)", f"{failure.message}\n{failure.detail}")}
    ranked = sorted(findings, key=lambda one: (one.line not in named, one.line))
    return " | ".join(one.sentence for one in ranked[:_SHOWN_HINTS])
