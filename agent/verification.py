"""Judge a measured candidate again before it takes a cell: with other secret cases, in a process of its own."""

from tilewright.agent.search import Search
from tilewright.agent.second_look import counting
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report
from tilewright.evaluator.reward import score
from tilewright.evaluator.timing import TimeKind
from tilewright.tasks.candidate import Candidate


async def verify(search: Search, candidate: Candidate, recording: Recording, report: Report) -> Report:
    """Return the report that counts.

    An estimate is the same each time, so only measured candidates are judged again, and only those that would take
    a cell: what is wrong then is refused, and of two right reports the slower one counts, since the best of many
    measured times is a lucky one.

    Raises:
        EvaluationLostError: It could not be judged again.
    """
    if search.plan.config.judging is not TimeKind.MEASURED or not _would_take_a_cell(search, recording, report):
        return report
    return counting(report, await search.pool.confirm(search.task, candidate, recording, Occasion.ELITE))


def _would_take_a_cell(search: Search, recording: Recording, report: Report) -> bool:
    """Tell whether a candidate is right and better than its cell's elite, as far as the archive knows now."""
    fitness = score(report).fitness
    if fitness is None:
        return False
    cell = search.archive.bins.describe(recording, report).cell
    elites = search.archive.elites(search.plan.run_id, search.task.id)
    return all(fitness > elite.fitness for elite in elites if elite.cell == cell)
