"""Tilewright from Python: the same verbs as the command line, which is their thin caller."""

import asyncio
import itertools
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec

from tilewright.agent.budget import parse_budget
from tilewright.agent.campaign import Campaign, begin, conduct
from tilewright.agent.config import DEFAULT_TARGET, RunConfig, local_target_name, make_config
from tilewright.agent.progress import Observer, Silence
from tilewright.agent.results import Finding, ResultRow, Totals, result_rows, totals
from tilewright.archive.runs import RunRecord, RunStatus
from tilewright.archive.store import Archive, open_archive
from tilewright.evaluator.report import Report
from tilewright.sandbox.targets import find_target
from tilewright.tasks.candidate import Candidate, Knob, Origin
from tilewright.tasks.errors import TaskError, UserError
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import KernelTask
from tilewright.tasks.suite import find_task_files

__all__ = ["RunOutcome", "RunRequest", "evaluate", "open_archive", "optimize", "resume", "run"]


class RunRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the user asks of a run.

    Attributes:
        archive: Database file or URL.
        budget: Text such as `120s` or `60s-per-task+500c`.
        target: Name of the GPU, or None for this machine's, else `cuda:90`.
        seed: Of every random choice.
        is_deterministic: Whether the same seed gives the same archive.
        ray_address: Ray cluster to join, or None to start one.
    """

    archive: str = "tilewright.db"
    budget: str = "120s"
    target: str | None = None
    seed: int = 0
    is_deterministic: bool = False
    ray_address: str | None = None


class RunOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a run gave.

    Attributes:
        run: Name of the run.
        archive: Where it is stored.
        findings: One a task that was reached.
        rows: One a bench case.
        totals: The run in a few numbers.
        was_interrupted: Whether it stopped before its budget; `resume` goes on with it.
        kernel: File of the best kernel (`optimize` only), or None.
    """

    run: str
    archive: str
    findings: tuple[Finding, ...]
    rows: tuple[ResultRow, ...]
    totals: Totals
    was_interrupted: bool
    kernel: Path | None = None

    @property
    def found_any(self) -> bool:
        """Whether some task has a right kernel."""
        return any(finding.best is not None for finding in self.findings)


def optimize(
    file: Path, request: RunRequest, *, output: Path | None = None, observer: Observer | None = None
) -> RunOutcome:
    """Search for the best kernel of one task file and write it beside its certificate.

    Args:
        file: Task in KernelBench's format.
        request: Archive, budget, target, seed.
        output: Where the kernel goes; `<task>_kernel.py` in the current folder if None.
        observer: Who is told how it goes.

    Raises:
        UserError: Something that was asked for cannot be done; the message says what to do.
    """
    outcome = run((str(file),), request, observer=observer)
    best = outcome.findings[0].best if outcome.findings else None
    if best is None:
        return outcome
    from tilewright.archive.export import write_kernel

    path = output or Path(f"{outcome.findings[0].task.title}_kernel.py")
    with open_archive(request.archive, writable=False) as archive:
        write_kernel(archive, best.candidate.id, path, confirmation=outcome.findings[0].confirmation)
    return msgspec.structs.replace(outcome, kernel=path)


def run(
    names: tuple[str, ...], request: RunRequest, *, name: str | None = None, observer: Observer | None = None
) -> RunOutcome:
    """Search for the best kernels of many tasks.

    Args:
        names: Suites (`core`), directories, files or KernelBench checkouts.
        request: Archive, budget, target, seed.
        name: Name of the run; an unfinished run of that name goes on. None makes one up.
        observer: Who is told how it goes.

    Raises:
        UserError: Something that was asked for cannot be done; the message says what to do.
    """
    observer = observer or Silence()
    config = make_config(
        target=request.target or local_target_name() or DEFAULT_TARGET,
        budget=parse_budget(request.budget),
        seed=request.seed,
        is_deterministic=request.is_deterministic,
        ray_address=request.ray_address,
    )
    files = [file for one in names for file in find_task_files(one)]
    with open_archive(request.archive, writable=True) as archive:
        if name is not None and name in {one.name for one in archive.runs()}:
            return _continue(archive, archive.run(name), observer)
        observer.preparing(f"loading {len(files)} task{'s' if len(files) != 1 else ''}")
        tasks = tuple(load_task(file) for file in files)
        record = begin(archive, name or _name(names, archive), config, tasks)
        return _conduct(archive, record, tasks, observer)


def resume(name: str | None, *, archive: str, observer: Observer | None = None) -> RunOutcome:
    """Go on with an unfinished run: the named one, or the last.

    Raises:
        UserError: There is no such run, or it is finished.
    """
    open_archive(archive, writable=False).close()  # opening it to write would create one where there is none
    with open_archive(archive, writable=True) as opened:
        if name is not None:
            return _continue(opened, opened.run(name), observer or Silence())
        unfinished = [one for one in opened.runs() if one.status is not RunStatus.DONE]
        if not unfinished:
            raise UserError(f"expected an unfinished run in {archive}; got none: start one with `tilewright run`")
        return _continue(opened, unfinished[-1], observer or Silence())


def evaluate(
    kernel: Path,
    task: str,
    *,
    knobs: tuple[str, ...] = (),
    target: str | None = None,
    seed: int = 0,
    observer: Observer | None = None,
) -> Report:
    """Judge one kernel file in five stages, in this process's sandboxes.

    Args:
        kernel: File with `ModelNew` and its kernels.
        task: Task file, or the name of a task of the core suite.
        knobs: `NAME=VALUE` each.
        target: Name of the GPU.
        seed: Of the secret cases.
        observer: Who is told how it goes.

    Raises:
        UserError: A file cannot be read or a knob is malformed.
    """
    observer = observer or Silence()
    goal = find_target(target or local_target_name() or DEFAULT_TARGET)
    chosen, source, file = _parse_knobs(knobs), _read(kernel), _single_file(task)
    observer.preparing(f"judging {kernel.name} on {file.stem}")
    known = load_task(file)
    from tilewright.evaluator.judge import judge_once  # loads torch: after the mistakes that need none

    candidate = Candidate(task_id=known.id, source=source, knobs=chosen, origin=Origin(operator="user"))
    return judge_once(known, candidate, target=goal.name, seed=seed)


def _continue(archive: Archive, record: RunRecord, observer: Observer) -> RunOutcome:
    config = msgspec.json.decode(record.config_json, type=RunConfig)
    return _conduct(archive, record, tuple(archive.task(one) for one in config.task_ids), observer)


def _conduct(archive: Archive, record: RunRecord, tasks: tuple[KernelTask, ...], observer: Observer) -> RunOutcome:
    from tilewright.evaluator.cluster import ray_cluster
    from tilewright.evaluator.judge_settings import JudgeSettings

    config = msgspec.json.decode(record.config_json, type=RunConfig)
    observer.preparing("starting workers")
    settings = JudgeSettings(target=config.target, seed=config.seed)
    with ray_cluster(cpus=config.places, address=config.ray_address):
        from tilewright.evaluator.ray_pool import RayPool

        pool = RayPool(settings, config.places)
        campaign = Campaign(run_id=record.id, config=config, tasks=tasks, archive=archive, pool=pool, observer=observer)
        findings, was_interrupted = asyncio.run(_until_signal(campaign))
    rows = tuple(row for finding in findings for row in result_rows(finding))
    return RunOutcome(
        run=record.name,
        archive=str(archive.location),
        findings=findings,
        rows=rows,
        totals=totals(rows),
        was_interrupted=was_interrupted,
    )


def _name(names: tuple[str, ...], archive: Archive) -> str:
    """Return a free name made of what is searched, such as `softmax-3`."""
    stem = "-".join(Path(name).stem for name in names)[:40]
    taken = {run.name for run in archive.runs()}
    return next(name for number in itertools.count(1) if (name := f"{stem}-{number}") not in taken)


async def _until_signal(campaign: Campaign) -> tuple[tuple[Finding, ...], bool]:
    """Conduct a campaign; the first Ctrl-C stops it in order, a second one at once."""
    stop = asyncio.Event()
    with _first_interrupt(stop):
        findings = await conduct(campaign, stop)
    return findings, stop.is_set()


@contextmanager
def _first_interrupt(stop: asyncio.Event) -> Iterator[None]:
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        stop.set()
        loop.remove_signal_handler(signal.SIGINT)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    loop.add_signal_handler(signal.SIGINT, on_signal)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)


def _single_file(name: str) -> Path:
    path = Path(name)
    if not path.exists():
        matches = [one for one in find_task_files("core") if one.stem == name]
        if matches:
            return matches[0]
    files = find_task_files(name)
    if len(files) != 1:
        raise TaskError(f"expected one task, got {len(files)} in {name!r}: name a file")
    return files[0]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected a readable Python file, got {path} ({type(error).__name__}): check the path"
        ) from error


def _parse_knobs(texts: tuple[str, ...]) -> tuple[Knob, ...]:
    knobs = []
    for text in texts:
        name, _, value = text.partition("=")
        if not name.isidentifier() or not value.lstrip("-").isdigit():
            raise UserError(f"expected --knob NAME=INTEGER, got {text!r}")
        knobs.append(Knob(name=name, value=int(value)))
    return tuple(sorted(knobs, key=lambda knob: knob.name))
