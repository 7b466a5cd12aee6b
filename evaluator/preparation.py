"""Cases drawn and answered by the oracle once, and kept for every candidate of the same task and seed."""

from collections import OrderedDict
from dataclasses import dataclass

from tilewright.evaluator.draws import Draw, Probe, StageDraws
from tilewright.evaluator.inputs import draw, to_case_data
from tilewright.evaluator.oracle import Answer, OracleError, Question, expect
from tilewright.evaluator.stage_cases import InterpreterBudget, plan_stages
from tilewright.sandbox.protocol import CaseData
from tilewright.tasks.spec import KernelTask


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A case that can be judged.

    Attributes:
        case_name: Name of the case.
        question: The reference with its parameters and inputs.
        data: What the sandbox gets.
        answer: What must come back.
    """

    case_name: str
    question: Question
    data: CaseData
    answer: Answer


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """A case that cannot be judged, and why."""

    case_name: str
    reason: str


class Preparations:
    """Explicit cache of plans and prepared cases.

    Args:
        limit: Most cases that are kept; the least recently used ones go first.
        budget: How large secret cases may be.
    """

    def __init__(self, limit: int = 512, budget: InterpreterBudget | None = None) -> None:
        self._limit = limit
        self._budget = budget or InterpreterBudget()
        self._plans: OrderedDict[tuple[str, int], tuple[StageDraws, ...]] = OrderedDict()
        self._cases: OrderedDict[tuple[str, int, str, Probe], Prepared | Unusable] = OrderedDict()
        self._task: KernelTask | None = None
        self._task_id = ""

    def stages(self, task: KernelTask, seed: int) -> tuple[StageDraws, ...]:
        """Return what each stage runs."""
        key = (self._id(task), seed)
        if key not in self._plans:
            self._plans[key] = plan_stages(task, seed, self._budget)
            if len(self._plans) > self._limit:
                self._plans.popitem(last=False)
        self._plans.move_to_end(key)
        return self._plans[key]

    def keep(self, task: KernelTask, seed: int, stages: tuple[StageDraws, ...]) -> None:
        """Use stages that were planned elsewhere, such as those that a recorded candidate has plans for."""
        self._plans[self._id(task), seed] = stages
        if len(self._plans) > self._limit:
            self._plans.popitem(last=False)

    def prepare(self, task: KernelTask, chosen: Draw) -> Prepared | Unusable:
        """Return a case's data and answer.

        Raises:
            OracleError: The reference cannot answer a case that the task itself declares.
        """
        # seeds are derived from judge seed, stage and name: with the task they name the case
        key = (self._id(task), chosen.seed, chosen.case.name, chosen.probe)
        if key not in self._cases:
            self._cases[key] = _prepare(task, chosen)
            if len(self._cases) > self._limit:
                self._cases.popitem(last=False)
        self._cases.move_to_end(key)
        return self._cases[key]

    def _id(self, task: KernelTask) -> str:
        """Return the task's id, which is hashed once and not for each of its cases."""
        if self._task is not task:
            self._task, self._task_id = task, task.id
        return self._task_id


def _prepare(task: KernelTask, chosen: Draw) -> Prepared | Unusable:
    """Draw a case and ask the oracle."""
    name = chosen.case.name
    question = draw(task, chosen)
    try:
        answer = expect(question, task.tolerance)
    except OracleError as error:
        if chosen.probe is Probe.NONE:
            raise
        # spikes are ours: a reference that refuses them has not promised to take them
        return Unusable(case_name=name, reason=str(error))
    if not answer.is_defined:
        return Unusable(case_name=name, reason="trusted implementations overflow here: nothing can be compared")
    return Prepared(case_name=name, question=question, data=to_case_data(question), answer=answer)
