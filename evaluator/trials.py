"""What the stages run on a GPU, chosen from the judge's seed before a candidate is recorded."""

from tilewright.evaluator.dossier import Trials
from tilewright.evaluator.large_budget import LargeBudget
from tilewright.evaluator.large_cases import plan_large
from tilewright.evaluator.stage_cases import InterpreterBudget, plan_stages
from tilewright.tasks.spec import KernelTask


def plan_trials(task: KernelTask, seed: int, budget: LargeBudget | None = None) -> Trials:
    """Choose the cases and seeds of the five stages, small and at real sizes.

    Small cases are those that the interpreter runs, with the same seeds.

    Raises:
        ValueError: The task has no small case at all.
    """
    return Trials(
        seed=seed,
        small=plan_stages(task, seed, InterpreterBudget()),
        large=plan_large(task, seed, budget),
    )
