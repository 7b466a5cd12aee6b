"""Which measured candidates are judged again before they take a cell, and which of two reports counts."""

from collections.abc import Iterable

from tilewright.archive.descriptors import BINS
from tilewright.evaluator.bundle import Seat
from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.report import Report
from tilewright.evaluator.reward import score


class KnownSeats:
    """The maps of a bundle's tasks, as far as a judge elsewhere knows them.

    Args:
        seats: The elites' cells and fitness when the bundle was written.
    """

    def __init__(self, seats: Iterable[Seat]) -> None:
        self._best = {(seat.task_id, seat.cell): seat.fitness for seat in seats}

    def would_gain(self, dossier: Dossier, report: Report) -> bool:
        """Tell whether a candidate is right and better than its cell's elite."""
        fitness = score(report).fitness
        return fitness is not None and fitness > self._best.get(_cell(dossier, report), float("-inf"))

    def enter(self, dossier: Dossier, report: Report) -> None:
        """Seat a candidate that would gain its cell."""
        fitness = score(report).fitness
        if fitness is not None and self.would_gain(dossier, report):
            self._best[_cell(dossier, report)] = fitness


def counting(first: Report, again: Report) -> Report:
    """Return the report that counts: the second if it is wrong, else the slower one.

    The best of many measured times is a lucky one.
    """
    if not again.is_right:
        return again
    return min(first, again, key=lambda one: score(one).fitness or 0.0)


def _cell(dossier: Dossier, report: Report) -> tuple[str, str]:
    return dossier.task.id, BINS.describe(dossier.recording, report).cell
