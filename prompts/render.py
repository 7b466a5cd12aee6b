"""Render templates with strict variables: a name that is missing is an error, never an empty string."""

from importlib import resources

import jinja2

from tilewright.archive.records import Selection
from tilewright.prompts.feedback import describe_attempt, describe_report
from tilewright.prompts.prompt import Prompt
from tilewright.sandbox.targets import Target
from tilewright.tasks.spec import CaseRole, KernelTask


def render_improve(task: KernelTask, target: Target, selection: Selection) -> Prompt:
    """Return the prompt that asks for a faster kernel than the selected parent, or for a first one.

    Raises:
        jinja2.UndefinedError: The template names something that is not given here; our own mistake.
    """
    environment = _environment()
    system = environment.get_template("system.md").render(
        target=target, task=task, bench=task.cases_of(CaseRole.BENCH), domain=task.domain
    )
    user = environment.get_template("improve.md").render(
        parent=selection.parent,
        evidence=describe_report(selection.parent.report) if selection.parent else (),
        inspirations=selection.inspirations,
        failures=tuple(describe_attempt(one) for one in selection.failures),
    )
    return Prompt(template="improve", system=system, user=user)


def _environment() -> jinja2.Environment:
    def load(name: str) -> str:
        return resources.files("tilewright.prompts").joinpath("templates", name).read_text(encoding="utf-8")

    return jinja2.Environment(
        loader=jinja2.FunctionLoader(load),
        undefined=jinja2.StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
