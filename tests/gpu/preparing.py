"""Records candidates for a GPU in several processes: the static gate, the interpreted stages, the dossier."""

import multiprocessing
from collections.abc import Iterable, Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import msgspec
from collection import Entry

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.judge import Judge
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.report import Environment, Report, Verdict
from tilewright.evaluator.reward import fitness
from tilewright.sandbox.failure import Failure, Stage
from tilewright.sandbox.limits import Limits
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import KernelTask
from tilewright.tasks.suite import find_task_files

QUIET_S = 10.0  # silence after which the judge's child is killed
# Candidates of one task that one process records: enough to share the oracle's answers, few enough to spread.
_BATCH = 6
_OWN_TASKS = str(Path(__file__).parents[1] / "adversarial" / "tasks")


class Prepared(msgspec.Struct, frozen=True, kw_only=True):
    """What came out before a GPU was asked.

    Attributes:
        name: The candidate's.
        dossier: What a judge with a GPU needs, as MessagePack; empty if the candidate ended before.
        ending: How it ended before, such as `OUT_OF_BOUNDS smoke`; empty if it did not.
        message: Why, in one line.
    """

    name: str
    dossier: bytes = b""
    ending: str = ""
    message: str = ""


class Order(msgspec.Struct, frozen=True, kw_only=True):
    """Some candidates of one task, for one process."""

    task: str
    entries: tuple[Entry, ...]
    settings: JudgeSettings


def prepare_all(
    entries: Iterable[Entry], settings: JudgeSettings, processes: int
) -> tuple[Mapping[str, Prepared], Environment]:
    """Prepare candidates, and say where they were recorded."""
    by_task: dict[str, list[Entry]] = {}
    for entry in entries:
        by_task.setdefault(entry.task, []).append(entry)
    orders = [
        Order(task=task, entries=some, settings=settings)
        for task, every in by_task.items()
        for some in (tuple(every[first : first + _BATCH]) for first in range(0, len(every), _BATCH))
    ]
    context = multiprocessing.get_context("spawn")  # a fork would copy what pytest and torch hold
    with ProcessPoolExecutor(min(processes, len(orders)), mp_context=context) as pool:
        prepared = {one.name: one for some in pool.map(_prepare_some, orders) for one in some}
    with Judge(settings) as judge:
        return prepared, judge.environment()


def ending_of(report: Report) -> str:
    """Return how a report ends: a failure's kind and stage, `SKIPPED` and a stage, `UNPAID timing` or `RIGHT timing`.

    Right but earning no fitness counts as `UNPAID`; a kernel that must be right may be either.
    """
    if report.failure is not None:
        return _ending_of_failure(report.failure)
    if not report.is_right:
        skipped = [one.stage for one in report.stages if one.verdict is Verdict.SKIPPED]
        return f"SKIPPED {skipped[0] if skipped else Stage.SMOKE}"
    return f"{'RIGHT' if (fitness(report) or 0.0) > 0 else 'UNPAID'} {Stage.TIMING}"


def quick_settings(target: str, device_bytes: int = 0, seed: int = 0) -> JudgeSettings:
    """Return settings for trusted files: machines that lend GPUs often lack a protection of the sandbox."""
    return JudgeSettings(target=target, seed=seed, limits=Limits(allow_unconfined=True), device_bytes=device_bytes)


def _prepare_some(order: Order) -> tuple[Prepared, ...]:
    files = {path.stem: path for path in (*find_task_files("core"), *find_task_files(_OWN_TASKS))}
    task = load_task(files[order.task])
    with Judge(order.settings) as judge:
        return tuple(_prepare(judge, task, entry) for entry in order.entries)


def _prepare(judge: Judge, task: KernelTask, entry: Entry) -> Prepared:
    candidate = Candidate(task_id=task.id, source=entry.source, knobs=(), origin=Origin(operator="test"))
    recording = judge.record(task, candidate)
    if isinstance(recording, Failure):
        return Prepared(name=entry.name, ending=_ending_of_failure(recording), message=recording.message)
    prepared = judge.prepare(task, candidate, recording)
    if isinstance(prepared, Dossier):
        return Prepared(name=entry.name, dossier=msgspec.msgpack.encode(prepared))
    message = prepared.failure.message if prepared.failure is not None else ""
    return Prepared(name=entry.name, ending=ending_of(prepared), message=message)


def _ending_of_failure(failure: Failure) -> str:
    return f"{failure.kind.name} {failure.stage}"
