"""What one output of a case must be: its exact numbers, which of them are defined, and the allowed errors."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tilewright.evaluator.tolerance import (
    Bounds,
    Evidence,
    Flags,
    Reals,
    derive_bounds,
    half_ulp,
    largest_of,
)
from tilewright.tasks.spec import DType, TensorSpec

# A finite number within this many roundings of the type's largest may as well be infinite.
_BORDER_ROUNDINGS = 8
# Where some sums overflow, others this near to it may do so on the way.
_NEAR_OVERFLOW = 1 / 64
# Of large inputs, a trusted answer that is off by this share of the largest number has overflowed on the way, and
# where others do is open.
_LOST = 0.25
# Kind of an element whose exact answer is finite but beyond its type: infinite or, if infinities met, not a number.
OVERFLOW = np.int8(3)


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """What one output must be.

    Attributes:
        spec: Shape, strides and type of the reference's output.
        exact: Exact answer, flattened row-major (complex numbers as pairs).
        kinds: 0 finite, 1 infinite, -1 minus infinite, 2 not a number, 3 beyond the type (any of the last three).
        is_free: Elements where trusted implementations disagree about finiteness: anything is right there.
        bounds: Allowed errors; None for integers, which must be equal.
        alternatives: Further right answers of integer outputs (ties), one array each.
    """

    spec: TensorSpec
    exact: Reals
    kinds: npt.NDArray[np.int8]
    is_free: Flags
    bounds: Bounds | None
    alternatives: tuple[Reals, ...] = ()

    @property
    def is_defined(self) -> bool:
        """Whether the reference says anything at all here."""
        return not self.exact.size or not bool(self.is_free.all())


def kinds_of(numbers: Reals) -> npt.NDArray[np.int8]:
    """Classify numbers: 0 finite, 1 infinite, -1 minus infinite, 2 not a number."""
    kinds = np.zeros(numbers.shape, dtype=np.int8)
    if not np.isfinite(numbers).all():
        kinds[np.isposinf(numbers)] = 1
        kinds[np.isneginf(numbers)] = -1
        kinds[np.isnan(numbers)] = 2
    return kinds


@dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """Answers to one output, flattened to float64.

    Attributes:
        exact: In float64, from the same rounded numbers.
        trusted: In the case's type, by implementations that count as right.
        moved: In float64, from inputs that are off by about one rounding of float32.
    """

    exact: Reals
    trusted: tuple[Reals, ...]
    moved: tuple[Reals, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What an output is held to.

    Attributes:
        spec: Shape, strides and type of the output.
        factor: The task's tolerance.
        depth: Length of the longest reduction that the answer may need, in elements.
        may_overflow: Whether inputs are so large that their squares may not fit the case's type.
    """

    spec: TensorSpec
    factor: float
    depth: int
    may_overflow: bool

    @property
    def real_type(self) -> DType:
        """Type of the output's real numbers."""
        return DType.FLOAT32 if self.spec.dtype is DType.COMPLEX64 else self.spec.dtype


def derive_expectation(observed: Observed, terms: Terms) -> Expectation:
    """Combine all answers to one output."""
    exact, trusted, dtype = observed.exact, observed.trusted, terms.real_type
    if not dtype.is_floating:
        free = np.zeros(exact.shape, dtype=np.bool_)
        kinds = np.zeros(exact.shape, dtype=np.int8)
        return Expectation(spec=terms.spec, exact=exact, kinds=kinds, is_free=free, bounds=None, alternatives=trusted)
    kinds, free = _classify(observed, dtype, terms.may_overflow)
    judged = (kinds == 0) & ~free
    value = np.where(judged, exact, 0.0)
    evidence = Evidence(
        exact=value,
        sensitivity=np.maximum.reduce([_errors(one, value, judged & np.isfinite(one)) for one in observed.moved]),
        rounding=np.where(judged, half_ulp(value, dtype), 0.0),
        trusted=tuple(_errors(one, value, judged) for one in trusted),
        depth=terms.depth,
    )
    bounds = derive_bounds(evidence, terms.factor)
    return Expectation(spec=terms.spec, exact=exact, kinds=kinds, is_free=free, bounds=bounds)


def _classify(observed: Observed, dtype: DType, may_overflow: bool) -> tuple[npt.NDArray[np.int8], Flags]:
    """Return each element's kind in the output's type, and whether the reference leaves it open."""
    exact, trusted = observed.exact, observed.trusted
    limit = largest_of(dtype)
    step = float(half_ulp(np.array([limit]), dtype)[0])
    with np.errstate(invalid="ignore"):
        kinds = kinds_of(np.where(np.abs(exact) >= limit + step, np.copysign(np.inf, exact), exact))
        free: Flags = np.zeros(exact.shape, dtype=np.bool_)
        for other in trusted:
            free |= kinds_of(other) != kinds
        overflows = (np.abs(kinds) == 1) & np.isfinite(exact)
        if overflows.any() or free.any():
            # partial sums overflow in one order and not in another
            free |= (kinds == 0) & (np.abs(exact) > limit * _NEAR_OVERFLOW)
            kinds[overflows] = OVERFLOW
        free |= np.abs(np.abs(exact) - limit) <= _BORDER_ROUNDINGS * step
        size = np.abs(exact[kinds == 0]).max(initial=0.0)
        if may_overflow and any((np.abs(other - exact)[kinds == 0] > _LOST * size).any() for other in trusted):
            free |= kinds == 0
    return kinds, free


def _errors(got: Reals, exact: Reals, judged: Flags) -> Reals:
    """Return absolute errors; zero where nothing is judged."""
    errors: Reals = np.abs(np.where(judged, got, 0.0) - np.where(judged, exact, 0.0))
    return errors
