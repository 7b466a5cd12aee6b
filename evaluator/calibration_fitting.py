"""What the cost model's constants are fitted to: measured times with the work that they took, in groups and folds."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy
from msgspec import structs
from numpy.typing import NDArray

from tilewright.evaluator.calibration_fit import Floats, climb
from tilewright.evaluator.calibration_ranks import GroupRanks, kendall, rank
from tilewright.evaluator.costmodel import Work, work_terms
from tilewright.evaluator.costmodel_constants import SHIPPED, CostConstants
from tilewright.evaluator.hardware import Hardware
from tilewright.sandbox.targets import Target

FOLDS = 3
_FURTHEST = math.log(4.0)  # of a constant from its shipped value
_FELT = 1e-4  # a constant that moves no estimate by more, per log unit, is left alone
_PROBE = 0.1
_SHARES = tuple(name for name in CostConstants.__struct_fields__ if name.endswith("_share"))
_ERROR_WEIGHT = 0.3  # of the mean absolute log ratio against Kendall's tau
_MOST_ERROR = 0.5  # a kernel that the model does not understand counts no more


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """Where times were measured.

    Attributes:
        device: Its name.
        target: Its limits.
        hardware: Its rates, with the shipped constants.
    """

    device: str
    target: Target
    hardware: Hardware


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """One measured time and all that its estimate depends on but the constants.

    Attributes:
        group: Task and bench case: times are compared within it.
        code: Hash of what runs; two observations with one code are one kernel.
        measured_us: The measured time.
        works: The plan's steps.
    """

    group: str
    code: str
    measured_us: float
    works: tuple[Work, ...]


class Fitting:
    """The times of one device, ready to be fitted; estimates and times are natural logs of microseconds.

    What is made large is the mean over the groups of Kendall's tau-b, less 0.3 times the mean absolute log ratio of
    estimate and time, each at most 0.5: constants that order kernels and are near their times.
    """

    def __init__(self, observations: tuple[Observation, ...], where: Device) -> None:
        self._observations = observations
        self._where = where
        self._known: dict[CostConstants, Floats] = {}
        self.measured: Floats = numpy.log([one.measured_us for one in observations])
        names = tuple(dict.fromkeys(one.group for one in observations))
        self._groups = {name: numpy.array([one.group == name for one in observations]) for name in names}
        self._folds = numpy.zeros(len(observations), dtype=numpy.intp)
        for members in self._groups.values():
            self._folds[members] = numpy.arange(numpy.count_nonzero(members)) % FOLDS

    @cached_property
    def shipped(self) -> Floats:
        """Estimates with the shipped constants, shape (n,)."""
        return self.estimates(SHIPPED)

    @cached_property
    def fitted(self) -> CostConstants:
        """The constants that fit all times best."""
        return self._fit(numpy.ones(len(self.measured), dtype=numpy.bool_))

    @cached_property
    def held_out(self) -> Floats:
        """Each observation's estimate by constants that were fitted without its fold."""
        found = self.shipped.copy()
        for fold in range(FOLDS):
            members = self._folds == fold
            found[members] = self.estimates(self._fit(~members))[members]
        return found

    def estimates(self, constants: CostConstants) -> Floats:
        """Return log estimates of all observations."""
        if constants not in self._known:
            hardware = structs.replace(self._where.hardware, constants=constants)
            self._known[constants] = numpy.log([self._price(one, hardware) for one in self._observations])
        return self._known[constants]

    def mean_rank(self, estimates: Floats, *, is_by_fold: bool = False) -> float:
        """Return the mean of Kendall's tau-b over the groups, or over the folds of each: one set of constants made it.

        Groups that order nothing do not count.
        """
        parts = [
            members & (self._folds == fold) if is_by_fold else members
            for members in self._groups.values()
            for fold in range(FOLDS if is_by_fold else 1)
        ]
        return _mean([kendall(estimates[part], self.measured[part]) for part in parts])

    def ranks(self, after: Floats) -> tuple[GroupRanks, ...]:
        """Return how well shipped and other constants' estimates order each group."""
        return tuple(
            GroupRanks(
                group=name,
                times=int(numpy.count_nonzero(members)),
                before=rank(self.shipped[members], self.measured[members]),
                after=rank(after[members], self.measured[members]),
            )
            for name, members in self._groups.items()
        )

    @cached_property
    def _felt(self) -> tuple[str, ...]:
        """Names of the constants that the estimates depend on."""
        names = []
        for name in CostConstants.__struct_fields__:
            moved = structs.replace(SHIPPED, **{name: getattr(SHIPPED, name) * math.exp(_PROBE)})
            if float(numpy.max(numpy.abs(self.estimates(moved) - self.shipped))) > _FELT * _PROBE:
                names.append(name)
        return tuple(names)

    def _price(self, one: Observation, hardware: Hardware) -> float:
        terms = (term.us for work in one.works for term in work_terms(work, self._where.target, hardware))
        return math.fsum(terms)

    def _constants(self, theta: Floats) -> CostConstants:
        """Return the shipped constants, those that matter times exp(theta)."""
        changed = {name: getattr(SHIPPED, name) * math.exp(by) for name, by in zip(self._felt, theta, strict=True)}
        return structs.replace(SHIPPED, **changed)

    def _fit(self, chosen: NDArray[numpy.bool_]) -> CostConstants:
        """Return the constants that fit some of the observations best; a share stays at most 1."""
        highest = [min(_FURTHEST, -math.log(getattr(SHIPPED, n))) if n in _SHARES else _FURTHEST for n in self._felt]
        lowest = numpy.full(len(highest), -_FURTHEST)
        return self._constants(climb(lambda theta: self._score(theta, chosen), lowest, numpy.array(highest)))

    def _score(self, theta: Floats, chosen: NDArray[numpy.bool_]) -> float:
        estimates = self.estimates(self._constants(theta))
        parts = [members & chosen for members in self._groups.values()]
        error = numpy.minimum(numpy.abs(estimates - self.measured), _MOST_ERROR)
        ranks = _mean([kendall(estimates[part], self.measured[part]) for part in parts])
        return ranks - _ERROR_WEIGHT * _mean([float(error[part].mean()) for part in parts if part.any()])


def _mean(values: list[float | None] | list[float]) -> float:
    known = [one for one in values if one is not None]
    return math.fsum(known) / len(known) if known else 0.0
