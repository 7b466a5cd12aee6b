"""What every operator offers: look at what is known, answer with one candidate file."""

from typing import Protocol

import msgspec
import numpy

from tilewright.archive.records import Attempt, ProgramSummary, Selection
from tilewright.tasks.candidate import Candidate, Knob, KnobRange, Origin
from tilewright.tasks.spec import KernelTask


class History(Protocol):
    """What an operator may ask the archive about the task at hand."""

    def tried(self, source_shas: tuple[str, ...]) -> frozenset[str]:
        """Return those of some programs that were ever proposed."""
        ...

    def programs(self) -> tuple[ProgramSummary, ...]:
        """Return the programs with a right candidate, the fastest first."""
        ...

    def trials(self, source_sha: str) -> tuple[Attempt, ...]:
        """Return the settings of one program that were tried, newest first, those in flight included."""
        ...

    def knob_table(self, source_sha: str) -> tuple[KnobRange, ...]:
        """Return the knobs that recording found in a program."""
        ...

    def source(self, candidate_id: str) -> str:
        """Return a candidate's text."""
        ...


class Situation(msgspec.Struct, frozen=True, kw_only=True):
    """Everything an operator decides on.

    Attributes:
        task: What is asked.
        selection: Parent, inspirations and failures that the archive chose.
        history: The archive as this step may see it.
        draws: Random numbers of this step alone.
    """

    task: KernelTask
    selection: Selection
    history: History
    draws: numpy.random.Generator


class Proposal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An operator's answer: a file, a choice of knobs and where both came from."""

    source: str
    knobs: tuple[Knob, ...]
    origin: Origin

    def to_candidate(self, task: KernelTask) -> Candidate:
        """Return the candidate that answers `task` with this proposal."""
        ordered = tuple(sorted(self.knobs, key=lambda knob: knob.name))
        return Candidate(task_id=task.id, source=self.source, knobs=ordered, origin=self.origin)


class Mutator(Protocol):
    """An operator. It keeps no state: what it knows is in the archive."""

    @property
    def name(self) -> str:
        """The operator's name in the archive and in the bandit."""
        ...

    async def propose(self, situation: Situation) -> Proposal | None:
        """Return a new candidate's content, or None if there is nothing left that it could try."""
        ...
