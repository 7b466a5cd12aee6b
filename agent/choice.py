"""Decide what a step does: which parents, which operator, which candidate; stored before it is acted on."""

from tilewright.agent.bandit import choose
from tilewright.agent.history import ArchiveHistory
from tilewright.agent.mutator import Situation
from tilewright.agent.search import Search
from tilewright.archive.draws import generator
from tilewright.archive.records import PlannedStep
from tilewright.archive.selection import recall, select
from tilewright.tasks.candidate import Candidate

EVENTS_SEEN = 200  # by the bandit; older ones have decayed to nothing


def plan(search: Search, number: int) -> PlannedStep:
    """Return the step's plan: the stored one if an earlier session made it, else a new one, stored."""
    if stored := search.open_step(number):
        return stored.planned
    key, seed = search.key(number), search.plan.config.seed
    selection = select(search.archive, key, seed)
    events = search.archive.arm_events(key.run_id, key.task_id, last=EVENTS_SEEN)
    names = tuple(operator.name for operator in search.plan.operators)
    planned = PlannedStep(
        key=key,
        operator=choose(names, events, generator(seed, key.task_id, number, "operator")),
        archive_seq=selection.archive_seq,
        parents=selection.links,
    )
    search.archive.plan_step(planned)
    return planned


async def propose(search: Search, planned: PlannedStep) -> Candidate | None:
    """Return the step's candidate, stored; None if no operator has anything left to try.

    The planned operator is asked first, then the others in their order.
    """
    stored = search.open_step(planned.key.number)
    if stored is not None and stored.candidate is not None:
        return stored.candidate
    situation = Situation(
        task=search.task,
        selection=recall(search.archive, planned),
        history=ArchiveHistory(search.archive, planned.key),
        draws=generator(search.plan.config.seed, planned.key.task_id, planned.key.number, "propose"),
    )
    for operator in sorted(search.plan.operators, key=lambda one: one.name != planned.operator):
        proposal = await operator.propose(situation)
        if proposal is not None:
            candidate = proposal.to_candidate(search.task)
            search.archive.propose_step(planned.key, candidate)
            return candidate
    return None
