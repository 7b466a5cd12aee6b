"""Choose the next knob values of one program: space filling, then a Gaussian process with expected improvement.

Reference: Jones, Schonlau, Welch, "Efficient Global Optimization of Expensive Black-Box Functions", 1998.
"""

import itertools
import math

import msgspec
import numpy
from numpy.typing import NDArray

from tilewright.sandbox.failure import FailureKind
from tilewright.tasks.candidate import Knob, KnobRange

Vector = tuple[int, ...]
Floats = NDArray[numpy.float64]

MOST_POINTS = 4096  # of the grid that are ranked; a larger grid is sampled
LENGTH_SCALE = 0.35  # of the kernel, as a share of a knob's range of indices
NOISE = 1e-3  # variance of log2 time: two builds of one setting differ by a few percent
INFEASIBLE_PENALTY = 1.0  # log2 time above the worst right point


class Trial(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What became of one setting; time_us is None while it is in flight or if it was refused."""

    knobs: tuple[Knob, ...]
    time_us: float | None
    failure: FailureKind | None


def next_knobs(
    table: tuple[KnobRange, ...], trials: tuple[Trial, ...], draws: numpy.random.Generator
) -> tuple[Knob, ...] | None:
    """Return the setting to try next, or None if every feasible one was tried.

    Args:
        table: Knobs and their values; a knob that a trial does not name has its first value.
        trials: Earlier settings of the same program, those in flight included.
        draws: Random numbers of this choice.
    """
    tried = [_vector(table, trial.knobs) for trial in trials]
    limits = [v for v, t in zip(tried, trials, strict=True) if t.failure is FailureKind.RESOURCES]
    points = [p for p in _grid(table, draws) if p not in set(tried) and not _is_beyond(table, p, limits)]
    if not points:
        return None
    timed = [(v, math.log2(t.time_us)) for v, t in zip(tried, trials, strict=True) if t.time_us is not None]
    coordinates = _coordinates(table, points)
    if len(timed) < len(table) + 1:
        chosen = _farthest(coordinates, _coordinates(table, tried), draws)
    else:
        worst = max(value for _, value in timed) + INFEASIBLE_PENALTY
        refused = [(v, worst) for v, t in zip(tried, trials, strict=True) if t.failure is not None]
        known, values = zip(*timed, *refused, strict=True)
        chosen = _most_promising(coordinates, _coordinates(table, list(known)), numpy.array(values), draws)
    return tuple(Knob(name=row.name, value=value) for row, value in zip(table, points[chosen], strict=True))


def _vector(table: tuple[KnobRange, ...], knobs: tuple[Knob, ...]) -> Vector:
    chosen = {knob.name: knob.value for knob in knobs}
    return tuple(chosen.get(row.name, row.values[0]) for row in table)


def _grid(table: tuple[KnobRange, ...], draws: numpy.random.Generator) -> list[Vector]:
    size = math.prod(len(row.values) for row in table)
    if size <= MOST_POINTS:
        return list(itertools.product(*(row.values for row in table)))
    columns = [draws.choice(numpy.array(row.values), size=MOST_POINTS) for row in table]
    return sorted({tuple(int(value) for value in point) for point in zip(*columns, strict=True)})


def _is_beyond(table: tuple[KnobRange, ...], point: Vector, limits: list[Vector]) -> bool:
    """Tell whether a point needs at least the resources of one that did not fit.

    Tiles and stages only add shared memory and registers; of other knobs, such as warps, nothing is known, so
    they must be equal.
    """
    is_growing = [row.name.startswith(("BLOCK", "ROWS")) or row.name == "num_stages" for row in table]
    return any(
        all(p >= q if grows else p == q for p, q, grows in zip(point, limit, is_growing, strict=True))
        for limit in limits
    )


def _coordinates(table: tuple[KnobRange, ...], points: list[Vector]) -> Floats:
    """Return each point's rank in every knob's sorted values, scaled to 0..1; shape (points, knobs)."""
    ranks = [{value: rank for rank, value in enumerate(sorted(row.values))} for row in table]
    spans = [max(len(row.values) - 1, 1) for row in table]
    rows = [[r.get(v, 0) / s for v, r, s in zip(point, ranks, spans, strict=True)] for point in points]
    return numpy.array(rows, dtype=numpy.float64).reshape(len(points), len(table))


def _farthest(points: Floats, known: Floats, draws: numpy.random.Generator) -> int:
    if len(known) == 0:
        return 0
    nearness = _kernel(points, known).max(axis=1)
    return int(numpy.argmax(-nearness + draws.uniform(0.0, 1e-3, size=len(points))))


def _most_promising(points: Floats, known: Floats, values: Floats, draws: numpy.random.Generator) -> int:
    """Return the point of largest expected improvement (log2 time, so lower is better)."""
    mean, spread = values.mean(), max(float(values.std()), 1e-6)
    standard = (values - mean) / spread
    gram = _kernel(known, known) + (NOISE / spread**2 + 1e-6) * numpy.eye(len(known))
    cross = _kernel(points, known)
    solved = numpy.linalg.solve(gram, numpy.column_stack([standard[:, None], cross.T]))
    expected = cross @ solved[:, 0]
    variance = numpy.maximum(1.0 - numpy.einsum("ij,ji->i", cross, solved[:, 1:]), 1e-12)
    deviation = numpy.sqrt(variance)
    gap = standard.min() - expected
    z = gap / deviation
    density = numpy.exp(-0.5 * z**2) / math.sqrt(2.0 * math.pi)
    below = 0.5 * (1.0 + numpy.array([math.erf(x / math.sqrt(2.0)) for x in z]))
    improvement = gap * below + deviation * density
    return int(numpy.argmax(improvement + draws.uniform(0.0, 1e-9, size=len(points))))


def _kernel(left: Floats, right: Floats) -> Floats:
    squared = (left**2).sum(axis=1)[:, None] + (right**2).sum(axis=1)[None, :] - 2.0 * left @ right.T
    kernel: Floats = numpy.exp(-0.5 * numpy.maximum(squared, 0.0) / LENGTH_SCALE**2)
    return kernel
