"""Places where candidates are recorded and judged, behind one asynchronous interface."""

from typing import Protocol

from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Admission, Environment, Report
from tilewright.sandbox.failure import Failure
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask


class EvaluationLostError(Exception):
    """A worker died twice on one candidate, or could not be started: our failure, never the candidate's."""


class Pool(Protocol):
    """Places to work. A call takes one place until it returns."""

    @property
    def places(self) -> int:
        """How many calls make progress at once."""
        ...

    async def environment(self) -> Environment:
        """Describe where candidates are judged."""
        ...

    async def admit(self, task: KernelTask) -> Admission:
        """Tell whether the task can tell right from wrong."""
        ...

    async def record(self, task: KernelTask, candidate: Candidate) -> Recording | Failure:
        """Check the source, record its launches and compile them."""
        ...

    async def judge(self, task: KernelTask, candidate: Candidate, recording: Recording) -> Report:
        """Run the five stages and time or estimate the candidate."""
        ...

    async def confirm(
        self, task: KernelTask, candidate: Candidate, recording: Recording, occasion: Occasion = Occasion.FINAL
    ) -> Report:
        """Judge again with other secret cases, on a GPU in a process that has met no other candidate."""
        ...
