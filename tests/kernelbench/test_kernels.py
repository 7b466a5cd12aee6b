"""Tasks in KernelBench's format, each with a right kernel and a subtly wrong one as an LLM would write them.

The first lines of a wrong kernel name its fault and the endings that count, such as `# expect: WRONG_VALUES smoke`.
In `unusual/` are right kernels in styles that a judge might trip over; their first lines name style and task.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tilewright.evaluator.judge import Judge
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import CaseRole, KernelTask

HERE = Path(__file__).parent
PAIRS = tuple(path.stem.removesuffix("_right") for path in sorted((HERE / "kernels").glob("*_right.py")))
UNUSUAL = tuple(path.stem for path in sorted((HERE / "unusual").glob("*.py")))

Tasks = dict[str, KernelTask]


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(JudgeSettings(target="cuda:90", seed=0)) as judge:
        yield judge


@pytest.fixture(scope="module")
def tasks() -> Tasks:
    with ThreadPoolExecutor(2) as pool:
        return {task.title: task for task in pool.map(load_task, sorted((HERE / "tasks").glob("*.py")))}


def read_header(path: Path) -> dict[str, str]:
    return dict(line[2:].split(": ", 1) for line in path.read_text().splitlines()[:2])


def judge_file(judge: Judge, task: KernelTask, path: Path) -> Report:
    candidate = Candidate(task_id=task.id, source=path.read_text(), knobs=(), origin=Origin(operator="test"))
    recording = judge.record(task, candidate)
    assert isinstance(recording, Recording), recording
    return judge.judge(task, candidate, recording)


@pytest.mark.parametrize("name", PAIRS)
def test_a_plain_kernelbench_file_is_admitted_and_timed_at_its_own_size(name: str, judge: Judge, tasks: Tasks) -> None:
    assert len(tasks[name].cases_of(CaseRole.BENCH)) == 1
    assert judge.admit(tasks[name]).reason == ""


@pytest.mark.parametrize("name", PAIRS)
def test_a_right_kernel_passes_all_five_stages_and_gets_a_time(name: str, judge: Judge, tasks: Tasks) -> None:
    report = judge_file(judge, tasks[name], HERE / "kernels" / f"{name}_right.py")
    assert report.failure is None
    assert report.is_right
    assert report.timing


@pytest.mark.parametrize("name", PAIRS)
def test_a_subtly_wrong_kernel_fails_where_its_fault_shows_first(name: str, judge: Judge, tasks: Tasks) -> None:
    path = HERE / "kernels" / f"{name}_wrong.py"
    failure = judge_file(judge, tasks[name], path).failure
    assert failure is not None
    assert f"{failure.kind.name} {failure.stage}" in read_header(path)["expect"].split(" | ")


@pytest.mark.parametrize("name", UNUSUAL)
def test_a_right_kernel_in_an_unusual_style_is_right(name: str, judge: Judge, tasks: Tasks) -> None:
    path = HERE / "unusual" / f"{name}.py"
    report = judge_file(judge, tasks[read_header(path)["task"]], path)
    assert report.failure is None
    assert report.is_right
