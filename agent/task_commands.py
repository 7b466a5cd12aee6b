"""`tilewright task`: what a task file asks, and whether it can tell right from wrong."""

import json
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.table import Table

from tilewright.agent.consoles import results_console
from tilewright.tasks.spec import Case, KernelTask, ScalarSpec

task_app = typer.Typer(help="Look at a task file, check that it can be judged.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="Task file: Model, get_inputs, get_init_inputs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@task_app.command()
def show(file: FileArgument, as_json: JsonOption = False) -> None:
    """Show a task's family, its domain and every case, derived ones included."""
    from tilewright.tasks.loading import load_task

    task = load_task(file)
    console = results_console()
    if as_json:
        document = msgspec.to_builtins(task) | {"id": task.id}
        console.file.write(json.dumps(document, indent=2) + "\n")
        return
    console.print(f"{task.title}  family {task.family}  id {task.id}", markup=False, highlight=False)
    console.print(_domain_line(task), markup=False, highlight=False, soft_wrap=True)
    table = Table("role", "case", "layout", "values", "inputs", "outputs")
    for case in task.cases:
        table.add_row(case.role.value, case.name, case.layout.value, case.values.value, *_forms(case))
    console.print(table)


@task_app.command()
def check(
    file: FileArgument,
    seed: Annotated[int, typer.Option(help="Seed of the inputs.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Tell whether trivial answers fail and trusted ones pass; exit with 1 if the task is refused."""
    from tilewright.evaluator.admission import admit_in_worker
    from tilewright.tasks.loading import load_task

    admission = admit_in_worker(load_task(file), seed)
    console = results_console()
    if as_json:
        console.file.write(json.dumps(msgspec.to_builtins(admission), indent=2) + "\n")
    else:
        table = Table("twin", "verdict", "note")
        for twin in admission.twins:
            table.add_row(twin.case, twin.verdict.value, twin.note)
        console.print(table)
        console.print("admitted" if admission.is_admitted else f"refused: {admission.reason}", highlight=False)
    raise typer.Exit(0 if admission.is_admitted else 1)


def _domain_line(task: KernelTask) -> str:
    domain = task.domain
    sizes = ", ".join(f"{one.name} {one.low}..{one.high}" for one in domain.sizes) or "fixed"
    return (
        f"domain: sizes {sizes}; dtypes {', '.join(domain.dtypes)}; layouts {', '.join(domain.layouts)}; "
        f"values {', '.join(domain.values)}"
    )


def _forms(case: Case) -> tuple[str, str]:
    inputs = [str(one.value) if isinstance(one, ScalarSpec) else _form(one.shape, one.dtype) for one in case.inputs]
    return ", ".join(inputs), ", ".join(_form(one.shape, one.dtype) for one in case.outputs)


def _form(shape: tuple[int, ...], dtype: str) -> str:
    return f"{dtype}[{', '.join(map(str, shape))}]"
