"""Show a task and its admission: tables for people, JSON for programs."""

import json

import msgspec
from rich.table import Table

from tilewright.agent.consoles import results_console
from tilewright.evaluator.report import Admission
from tilewright.tasks.spec import Case, KernelTask, ScalarSpec


def print_task(task: KernelTask, *, as_json: bool) -> None:
    """Print a task's family, its domain and every case on standard output."""
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


def print_admission(admission: Admission, *, as_json: bool) -> None:
    """Print each twin's verdict and whether the task is admitted on standard output."""
    console = results_console()
    if as_json:
        console.file.write(json.dumps(msgspec.to_builtins(admission), indent=2) + "\n")
        return
    table = Table("twin", "verdict", "note")
    for twin in admission.twins:
        table.add_row(twin.case, twin.verdict.value, twin.note)
    console.print(table)
    console.print("admitted" if admission.is_admitted else f"refused: {admission.reason}", highlight=False)


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
