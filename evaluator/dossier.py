"""All that a judge with a GPU needs to know of a candidate, as one value: it can be sent, stored and judged again."""

import msgspec

from tilewright.evaluator.draws import StageDraws
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.evaluator.report import StageResult
from tilewright.evaluator.timing import Timing
from tilewright.sandbox.plan import LaunchPlan
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask


class Binary(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A compiled kernel.

    Attributes:
        ptx_sha: SHA-256 of its PTX, by which launches name it.
        data: The cubin.
    """

    ptx_sha: str
    data: bytes


class Trials(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the stages run on a GPU, chosen before the candidate is recorded.

    Attributes:
        seed: Of the secret cases and all inputs.
        small: The five stages on small cases; each output is compared element by element with the oracle.
        large: The five stages at real sizes, bench cases among them; stages without such a case are left out.
    """

    seed: int
    small: tuple[StageDraws, ...]
    large: tuple[StageDraws, ...]


class Dossier(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A recorded candidate with everything that its judging needs.

    Attributes:
        task: What it answers.
        candidate: The file and its knobs; no judge executes it.
        recording: Plans of the bench cases and the compiler's facts.
        trials: What the stages run.
        plans: A plan for each case of the trials that is no bench case, by the case's name.
        binaries: Each kernel of all plans once.
        interpreted: The five stages as the interpreter ran them, if it did.
        counts: Counted work of each bench case.
        estimate: The cost model's time of each bench case.
    """

    task: KernelTask
    candidate: Candidate
    recording: Recording
    trials: Trials
    plans: tuple[LaunchPlan, ...]
    binaries: tuple[Binary, ...]
    interpreted: tuple[StageResult, ...] = ()
    counts: tuple[CaseCount, ...] = ()
    estimate: tuple[Timing, ...] = ()

    def plan_of(self, case: str) -> LaunchPlan:
        """Return the plan of a case.

        Raises:
            KeyError: No plan was recorded for it.
        """
        for plan in (*self.recording.plans, *self.plans):
            if plan.case == case:
                return plan
        raise KeyError(case)
