"""One task's search: where it reads, where it writes and where it works."""

import itertools
import time
from collections.abc import Iterator

import msgspec

from tilewright.agent.budget import Budget
from tilewright.agent.config import RunConfig
from tilewright.agent.mutator import Mutator
from tilewright.agent.progress import Observer
from tilewright.agent.turns import Turns, make_turns
from tilewright.archive.records import FinishedStep, Insertion, OpenStep, StepKey
from tilewright.archive.runs import Spent
from tilewright.archive.store import Archive
from tilewright.evaluator.pool import Pool
from tilewright.evaluator.recording import Recording
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask


class SearchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched, and with what.

    Attributes:
        run_id: The run.
        task: The task.
        config: The run's settings.
        budget: Caps of this task.
        operators: Who may propose; the first one makes the initial population.
        initial: Steps of the initial population, before the bandit chooses among the operators.
    """

    run_id: str
    task: KernelTask
    config: RunConfig
    budget: Budget
    operators: tuple[Mutator, ...]
    initial: int = 0


class Search:
    """The search for one task of a run; beside the archive it knows only its clock and its numbering."""

    def __init__(self, plan: SearchPlan, archive: Archive, pool: Pool, observer: Observer) -> None:
        self.plan = plan
        self.task = plan.task
        self.archive = archive
        self.pool = pool
        self._observer = observer
        self._task_id = plan.task.id
        open_steps = archive.open_steps(plan.run_id, self._task_id)
        self._open = {one.planned.key.number: one for one in open_steps}
        self._next_number = archive.steps_count(plan.run_id, self._task_id)
        self._spent = archive.spent(plan.run_id, self._task_id)
        self._last_commit_s = time.monotonic()
        self.idle_in_a_row = 0
        first = min(self._open, default=self._next_number)
        self.turns: Turns = make_turns(plan.config, first=first)

    @property
    def spent(self) -> Spent:
        """What the task has used, this session included, up to now."""
        waiting_s = time.monotonic() - self._last_commit_s
        return msgspec.structs.replace(self._spent, wall_s=self._spent.wall_s + waiting_s)

    @property
    def numbered(self) -> int:
        """Number of the next step that was never started."""
        return self._next_number

    @property
    def is_exhausted(self) -> bool:
        """Whether a whole window of steps found nothing left to try."""
        return self.idle_in_a_row >= self.plan.config.window

    def key(self, number: int) -> StepKey:
        """Return the key of a step of this task."""
        return StepKey(run_id=self.plan.run_id, task_id=self._task_id, number=number)

    def numbers(self) -> Iterator[int]:
        """Yield the numbers of steps to run: those left open first, then new ones."""
        yield from sorted(self._open)
        for number in itertools.count(self._next_number):
            self._next_number = number + 1
            yield number

    def open_step(self, number: int) -> OpenStep | None:
        """Return what an earlier session stored of a step, or None."""
        return self._open.get(number)

    def is_spent(self, in_flight: int) -> bool:
        """Tell whether the budget allows no further step."""
        return self.plan.budget.is_reached(self.spent, in_flight)

    def earlier_twin(self, recording: Recording) -> str | None:
        """Return a candidate of this task with the same machine code, grids and arguments, or None."""
        return self.archive.find_duplicate(self.plan.run_id, self._task_id, binary_id=recording.binary_id)

    def commit(self, finished: FinishedStep) -> Insertion:
        """Store a finished step in one transaction and tell the observer."""
        now_s = time.monotonic()
        finished = msgspec.structs.replace(finished, wall_s=now_s - self._last_commit_s)
        insertion = self.archive.finish_step(finished)
        if insertion.status.is_gain and finished.candidate is not None:
            self._keep_dossier(finished.key, finished.candidate)
        self._last_commit_s = now_s
        self._spent = self.archive.spent(self.plan.run_id, self._task_id)
        self.idle_in_a_row = self.idle_in_a_row + 1 if finished.candidate is None else 0
        self._observer.step_ends(finished, insertion)
        return insertion

    def _keep_dossier(self, key: StepKey, candidate: Candidate) -> None:
        """Store what a measured elite was judged by, so that it can be judged again without its source."""
        dossier = self.pool.dossier(candidate.id)
        if dossier is not None:
            self.archive.keep_dossier(key, dossier)
