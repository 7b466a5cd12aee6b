"""Decide what a step does: which parents, which operator, which candidate; stored before it is acted on."""

import msgspec

from tilewright.agent.bandit import choose
from tilewright.agent.history import ArchiveHistory
from tilewright.agent.mutator import Situation
from tilewright.agent.search import Search
from tilewright.archive.draws import generator
from tilewright.archive.recall import recall
from tilewright.archive.records import PlannedStep, Selection
from tilewright.archive.selection import select
from tilewright.tasks.candidate import Candidate

EVENTS_SEEN = 200  # by the bandit; older ones have decayed to nothing


class Choice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a step is about to do.

    Attributes:
        planned: The step, as it is stored.
        selection: What the operator gets to see.
        candidate: What an earlier session proposed in this step, or None.
    """

    planned: PlannedStep
    selection: Selection
    candidate: Candidate | None = None


def plan(search: Search, number: int) -> Choice:
    """Return the step's choice: the stored one if an earlier session made it, else a new one, stored."""
    if stored := search.open_step(number):
        selection = recall(search.archive, stored.planned)
        return Choice(planned=stored.planned, selection=selection, candidate=stored.candidate)
    key, seed = search.key(number), search.plan.config.seed
    selection = select(search.archive, key, seed)
    events = search.archive.arm_events(key.run_id, key.task_id, limit=EVENTS_SEEN)
    names = tuple(operator.name for operator in search.plan.operators)
    is_initial = number < search.plan.initial
    planned = PlannedStep(
        key=key,
        operator=names[0] if is_initial else choose(names, events, generator(seed, key.task_id, number, "operator")),
        archive_seq=selection.archive_seq,
        parents=selection.links,
    )
    search.archive.plan_step(planned)
    return Choice(planned=planned, selection=selection)


async def propose(search: Search, choice: Choice) -> Candidate | None:
    """Return the step's candidate, stored; None if no operator has anything left to try.

    The planned operator is asked first, then the others in their order.
    """
    if choice.candidate is not None:
        return choice.candidate
    key = choice.planned.key
    situation = Situation(
        task=search.task,
        selection=choice.selection,
        history=ArchiveHistory(search.archive, key),
        draws=generator(search.plan.config.seed, key.task_id, key.number, "propose"),
    )
    for operator in sorted(search.plan.operators, key=lambda one: one.name != choice.planned.operator):
        proposal = await operator.propose(situation)
        if proposal is not None:
            candidate = proposal.to_candidate(search.task)
            search.archive.propose_step(key, candidate)
            return candidate
    return None
