"""Fill in the numbers of a program that declares knobs: successive halving over programs, a model within one.

Successive halving (Jamieson and Talwalkar, 2016): the best program by its best time may use half of all
trials, the next a quarter, and so on, each at least `FEWEST_TRIALS`, so a poor first setting costs a
program its rank only after a fair look.
"""

import msgspec

from tilewright.agent.mutator import Proposal, Situation
from tilewright.agent.operators.knob_search import Trial, next_knobs
from tilewright.archive.records import Attempt
from tilewright.tasks.candidate import Knob, Origin

FEWEST_TRIALS = 6
SELECTED_SHARE = 0.3  # of proposals that tune the parent that the archive selected, for diversity of cells


class _Program(msgspec.Struct, frozen=True, kw_only=True):
    source_sha: str
    parent: Attempt  # its best right attempt
    attempts: tuple[Attempt, ...]


class TuneOperator:
    """Offline operator: new knob values for a right program."""

    @property
    def name(self) -> str:
        """The operator's name in the archive."""
        return "tune"

    async def propose(self, situation: Situation) -> Proposal | None:
        """Return the next setting of the program most worth it, or None if no right program has any left."""
        for program in _ranked(situation):
            knobs = _next(situation, program)
            if knobs is not None:
                origin = Origin(operator=self.name, parent_ids=(program.parent.candidate_id,))
                return Proposal(source=situation.history.source(program.source_sha), knobs=knobs, origin=origin)
        return None


def _ranked(situation: Situation) -> list[_Program]:
    """Return the right programs, the one to tune first in front."""
    programs = _programs(situation.history.attempts())
    total = sum(len(program.attempts) for program in programs)
    within = [
        program
        for rank, program in enumerate(programs)
        if len(program.attempts) < max(FEWEST_TRIALS, total / 2 ** (rank + 1))
    ]
    order = within + [program for program in programs if program not in within]
    parent = situation.selection.parent
    if parent is not None and situation.draws.random() < SELECTED_SHARE:
        order.sort(key=lambda program: program.source_sha != parent.candidate.source_sha)
    return order


def _programs(attempts: tuple[Attempt, ...]) -> list[_Program]:
    by_source: dict[str, list[Attempt]] = {}
    for attempt in attempts:
        by_source.setdefault(attempt.source_sha, []).append(attempt)
    programs = []
    for sha, group in by_source.items():
        right = [attempt for attempt in group if attempt.time_us is not None]
        if right:
            best = min(right, key=lambda attempt: attempt.time_us or 0.0)
            programs.append(_Program(source_sha=sha, parent=best, attempts=tuple(group)))
    return sorted(programs, key=lambda program: (program.parent.time_us or 0.0, program.source_sha))


def _next(situation: Situation, program: _Program) -> tuple[Knob, ...] | None:
    table = situation.history.knob_table(program.source_sha)
    if not table:
        return None
    trials = tuple(Trial(knobs=a.knobs, time_us=a.time_us, failure=a.failure_kind) for a in program.attempts)
    return next_knobs(table, trials, situation.draws)
