"""What the cost model's constants are fitted to: measured times with the work that they took, in groups and folds."""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy
from msgspec import structs
from numpy.typing import NDArray

from tilewright.evaluator.calibration_fit import Floats, Problem, fit
from tilewright.evaluator.calibration_ranks import GroupRanks, rank
from tilewright.evaluator.costmodel import Work, work_terms
from tilewright.evaluator.costmodel_constants import SHIPPED, CostConstants
from tilewright.evaluator.hardware import Hardware
from tilewright.sandbox.targets import Target

_FOLDS = 5
_FURTHEST = math.log(4.0)  # of a constant from its shipped value
_FELT = 1e-4  # a constant that moves no estimate by more, per log unit, is left alone
_PROBE = 0.1
_SHARES = tuple(name for name in CostConstants.__struct_fields__ if name.endswith("_share"))


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
        program: What is held out together: the task and the names of its kernels.
        measured_us: The measured time.
        works: The plan's steps.
    """

    group: str
    program: str
    measured_us: float
    works: tuple[Work, ...]


class Fitting:
    """The times of one device, ready to be fitted; estimates and times are natural logs of microseconds."""

    def __init__(self, observations: tuple[Observation, ...], where: Device) -> None:
        self._observations = observations
        self._where = where
        self.measured: Floats = numpy.log([one.measured_us for one in observations])
        names = tuple(dict.fromkeys(one.group for one in observations))
        self._groups = {name: numpy.array([one.group == name for one in observations]) for name in names}
        self._weights = numpy.zeros(len(observations))
        for members in self._groups.values():
            self._weights[members] = 1.0 / (len(names) * numpy.count_nonzero(members))
        programs = sorted({one.program for one in observations})
        self._folds = numpy.array([programs.index(one.program) % _FOLDS for one in observations])

    @cached_property
    def shipped(self) -> Floats:
        """Estimates with the shipped constants, shape (n,)."""
        return self.estimates(SHIPPED)

    @cached_property
    def _felt(self) -> tuple[str, ...]:
        """Names of the constants that the estimates depend on."""
        names = []
        for name in CostConstants.__struct_fields__:
            moved = structs.replace(SHIPPED, **{name: getattr(SHIPPED, name) * math.exp(_PROBE)})
            if float(numpy.max(numpy.abs(self.estimates(moved) - self.shipped))) > _FELT * _PROBE:
                names.append(name)
        return tuple(names)

    def estimates(self, constants: CostConstants, chosen: NDArray[numpy.intp] | None = None) -> Floats:
        """Return log estimates of all observations, or of those chosen by index."""
        hardware = structs.replace(self._where.hardware, constants=constants)
        places = range(len(self._observations)) if chosen is None else chosen
        return numpy.log([self._price(self._observations[place], hardware) for place in places])

    def _price(self, one: Observation, hardware: Hardware) -> float:
        terms = (term.us for work in one.works for term in work_terms(work, self._where.target, hardware))
        return math.fsum(terms)

    def constants(self, theta: Floats) -> CostConstants:
        """Return the shipped constants, those that matter times exp(theta)."""
        changed = {name: getattr(SHIPPED, name) * math.exp(by) for name, by in zip(self._felt, theta, strict=True)}
        return structs.replace(SHIPPED, **changed)

    def fitted(self, stiffness: float, without: int | None = None) -> Floats:
        """Return the theta that fits best, one fold left out if it is named."""
        chosen = numpy.flatnonzero(self._folds != without)
        weights = self._weights[chosen]
        lower, upper = self._bounds()
        problem = Problem(
            model=lambda theta: self.estimates(self.constants(theta), chosen),
            measured=self.measured[chosen],
            weights=weights / weights.sum(),
            lower=lower,
            upper=upper,
            stiffness=stiffness,
        )
        return fit(problem)

    def _bounds(self) -> tuple[Floats, Floats]:
        """Return the least and largest theta; a share stays at most 1."""
        upper = [min(_FURTHEST, -math.log(getattr(SHIPPED, n))) if n in _SHARES else _FURTHEST for n in self._felt]
        return numpy.full(len(upper), -_FURTHEST), numpy.array(upper)

    def held_out(self, stiffness: float) -> Floats:
        """Return each observation's estimate by constants that were fitted without its fold."""
        found = self.shipped.copy()
        for fold in sorted(set(self._folds.tolist())):
            members = numpy.flatnonzero(self._folds == fold)
            found[members] = self.estimates(self.constants(self.fitted(stiffness, fold)), members)
        return found

    def mean_rank(self, estimates: Floats) -> float:
        """Return the mean over the groups of Kendall's tau-b; groups that order nothing do not count."""
        found = [rank(estimates[members], self.measured[members]).kendall for members in self._groups.values()]
        known = [one for one in found if one is not None]
        return math.fsum(known) / len(known) if known else 0.0

    def ranks(self, before: Floats, held_out: Floats, after: Floats) -> tuple[GroupRanks, ...]:
        """Return how well three sets of estimates order each group."""
        return tuple(
            GroupRanks(
                group=name,
                times=int(numpy.count_nonzero(members)),
                before=rank(before[members], self.measured[members]),
                held_out=rank(held_out[members], self.measured[members]),
                after=rank(after[members], self.measured[members]),
            )
            for name, members in self._groups.items()
        )
