"""`tilewright task`: what a task file asks, and whether it can tell right from wrong."""

from pathlib import Path
from typing import Annotated

import typer

task_app = typer.Typer(help="Look at a task file, check that it can be judged.", no_args_is_help=True)

FileArgument = Annotated[Path, typer.Argument(help="Task file: Model, get_inputs, get_init_inputs.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@task_app.command()
def show(file: FileArgument, as_json: JsonOption = False) -> None:
    """Show a task's family, its domain and every case, derived ones included."""
    from tilewright.agent.task_views import print_task
    from tilewright.tasks.loading import load_task

    print_task(load_task(file), as_json=as_json)


@task_app.command()
def check(
    file: FileArgument,
    seed: Annotated[int, typer.Option(help="Seed of the inputs.")] = 0,
    as_json: JsonOption = False,
) -> None:
    """Tell whether trivial answers fail and trusted ones pass; exit with 1 if the task is refused."""
    from tilewright.agent.task_views import print_admission
    from tilewright.evaluator.admission import admit_in_worker
    from tilewright.tasks.loading import load_task

    admission = admit_in_worker(load_task(file), seed)
    print_admission(admission, as_json=as_json)
    raise typer.Exit(0 if admission.is_admitted else 1)
