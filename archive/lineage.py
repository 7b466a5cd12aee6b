"""Where a candidate came from: its parents, their parents, and what inspired them."""

from typing import NamedTuple

import msgspec
from msgspec import structs
from sqlalchemy import Connection, select

from tilewright.archive.records import ParentRole, StepKey, StepState
from tilewright.archive.schema import Evaluation, Step, StepParent


class Ancestor(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate in a line of descent.

    Attributes:
        depth: 0 for the candidate asked about, 1 for its parents, and so on.
        role: Why its child looked at it; PARENT for the candidate asked about.
        candidate_id: The candidate.
        operator: What proposed it.
        number: Its step.
        state: How its step ended.
        fitness: Its fitness; None if it is not right.
    """

    depth: int
    role: ParentRole
    candidate_id: str
    operator: str
    number: int
    state: StepState
    fitness: float | None


class _Origin(NamedTuple):
    """The step that proposed a candidate, and the run's task that it belongs to."""

    id: int
    run_id: str
    task_id: str
    ancestor: Ancestor


def lineage(connection: Connection, candidate_id: str) -> tuple[Ancestor, ...]:
    """Return a candidate and all its ancestors within the run that first proposed it, nearest first.

    Args:
        connection: An open transaction.
        candidate_id: A stored candidate.
    """
    start = _step(connection, candidate_id, None)
    if start is None:
        return ()
    found = [start.ancestor]
    seen = {candidate_id}
    generation = [start]
    depth = 0
    while generation:
        depth += 1
        parents: list[_Origin] = []
        for child in generation:
            for role, parent_id in _links(connection, child.id):
                step = None if parent_id in seen else _step(connection, parent_id, child)
                seen.add(parent_id)
                if step is not None:
                    found.append(structs.replace(step.ancestor, depth=depth, role=role))
                    parents.append(step)
        generation = parents
    return tuple(found)


def find_home(connection: Connection, candidate_id: str) -> StepKey | None:
    """Return the step that first proposed a candidate, or None if none did."""
    home = _step(connection, candidate_id, None)
    return None if home is None else StepKey(run_id=home.run_id, task_id=home.task_id, number=home.ancestor.number)


def _step(connection: Connection, candidate_id: str, child: _Origin | None) -> _Origin | None:
    """Return the step that first proposed a candidate, within the child's run and task if there is a child."""
    query = (
        select(
            Step.id, Step.run_id, Step.task_id, Step.number, Step.candidate_id, Step.operator, Step.state,
            Evaluation.fitness,
        )
        .outerjoin(Evaluation, Evaluation.step_id == Step.id)
        .where(Step.candidate_id == candidate_id)
        .order_by(Step.id)
        .limit(1)
    )  # fmt: skip
    if child is not None:
        query = query.where(Step.run_id == child.run_id, Step.task_id == child.task_id)
    step = connection.execute(query).one_or_none()
    if step is None:
        return None
    ancestor = Ancestor(
        depth=0,
        role=ParentRole.PARENT,
        candidate_id=candidate_id,
        operator=step.operator,
        number=step.number,
        state=step.state,
        fitness=step.fitness,
    )
    return _Origin(step.id, step.run_id, step.task_id, ancestor)


def _links(connection: Connection, step_id: int) -> tuple[tuple[ParentRole, str], ...]:
    """Return what a step was made from; failures that it was warned of are no ancestors."""
    rows = connection.execute(
        select(StepParent.role, StepParent.candidate_id)
        .where(StepParent.step_id == step_id, StepParent.role != ParentRole.FAILURE)
        .order_by(StepParent.position)
    )
    return tuple((row.role, row.candidate_id) for row in rows)
