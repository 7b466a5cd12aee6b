"""How large an error is right: each element's unit of error and the bounds that trusted answers give.

docs/judging.md explains the formulae. Everything here is NumPy in float64 on flattened outputs.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from tilewright.tasks.spec import DType

Reals = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

# float32 arithmetic is allowed eight half-roundings (2^-21 of the value), more for reductions longer than 64:
# CPU eager adds more widely than a GPU, so its own error is no fair measure in float32.
_FLOAT32_ROUNDINGS = 8.0
_LONG_REDUCTION = 64
# Each element may also be off by this share of the largest one: functions computed from exp lose that near zero.
_LARGEST_SHARE = 2.0**-22
# Hardware functions flush float32 denormals to zero.
_FLOAT32_SMALLEST_NORMAL = 2.0**-126
_FLOAT32_HALF_ULP = 2.0**-24
# An answer that moves by this many of its own roundings when its inputs move by one is a difference of large terms.
_CANCELLATION = 8.0

_SMALLEST_EXPONENT = {DType.FLOAT16: -14, DType.BFLOAT16: -126, DType.FLOAT32: -126, DType.FLOAT64: -1022}
_LARGEST = {
    DType.FLOAT16: 65504.0,
    DType.BFLOAT16: 3.3895313892515355e38,
    DType.FLOAT32: 3.4028234663852886e38,
    DType.FLOAT64: float(np.finfo(np.float64).max),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures:
    """Maximum, 99.9th percentile and root mean square of something that is at least zero."""

    largest: float
    p999: float
    rms: float

    def within(self, bound: "Measures") -> bool:
        """Whether all three are at most the bound's."""
        return self.largest <= bound.largest and self.p999 <= bound.p999 and self.rms <= bound.rms

    def joined(self, other: "Measures") -> "Measures":
        """Return the larger of both, measure by measure."""
        return Measures(
            largest=max(self.largest, other.largest), p999=max(self.p999, other.p999), rms=max(self.rms, other.rms)
        )


NOTHING = Measures(largest=0.0, p999=0.0, rms=0.0)


def measure(values: Reals) -> Measures:
    """Measure non-negative values; all zero if there are none."""
    if values.size == 0:
        return NOTHING
    rank = int(np.ceil(0.999 * (values.size - 1)))
    largest = float(values.max())
    p999 = largest if rank == values.size - 1 else float(np.partition(values, rank)[rank])
    # squares of errors near float64's own limits are not worth an overflow warning
    rms = largest * float(np.sqrt(np.mean(np.square(values / largest)))) if largest > 0 else 0.0
    return Measures(largest=largest, p999=p999, rms=rms)


def largest_of(dtype: DType) -> float:
    """Return the largest finite number of a floating type."""
    return _LARGEST[dtype]


def half_ulp(values: Reals, dtype: DType) -> Reals:
    """Return half the distance between neighbours of the type at each (finite) value."""
    _, exponents = np.frexp(values)
    smallest = _SMALLEST_EXPONENT[dtype]
    # frexp gives a mantissa in [0.5, 1): the value's exponent is one less; of zero it says nothing
    exponents = np.where(values == 0, smallest, np.maximum(exponents - 1, smallest))
    halves: Reals = np.ldexp(np.ones_like(values), exponents - dtype.mantissa_bits - 1)
    return halves


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """What is known about one output, element by element; zero where nothing is judged.

    Attributes:
        exact: Exact answer.
        sensitivity: How far the exact answer moves when every input is off by one float32 rounding.
        rounding: Half ulp of the output's type.
        trusted: Error of each trusted answer.
        depth: Length of the longest reduction that the answer may need, in elements.
    """

    exact: Reals
    sensitivity: Reals
    rounding: Reals
    trusted: tuple[Reals, ...]
    depth: int

    @property
    def has_cancellation(self) -> bool:
        """Whether large terms cancel somewhere, so that errors follow the terms and not the answer.

        Then errors are alike over the output; otherwise (elementwise work) each follows its own element.
        """
        return bool((self.sensitivity > _CANCELLATION * _FLOAT32_HALF_ULP * np.abs(self.exact)).any())


def _arithmetic(evidence: Evidence) -> Reals:
    """Return what arithmetic in float32 may cost at each element, whatever the output's type."""
    rounding = np.abs(evidence.exact) * _FLOAT32_HALF_ULP
    moved = evidence.sensitivity
    if evidence.has_cancellation:
        spread: Reals = np.maximum(moved, measure(moved[evidence.exact != 0]).rms)
    else:
        spread = np.maximum(moved, _worst_ratio(moved, rounding) * rounding)
    growth = max(1.0, evidence.depth / _LONG_REDUCTION) ** 0.5
    floor = _LARGEST_SHARE * np.abs(evidence.exact).max(initial=0.0) + _FLOAT32_SMALLEST_NORMAL
    allowance: Reals = _FLOAT32_ROUNDINGS * growth * (rounding + spread) + floor
    return allowance


def _typical(evidence: Evidence, base: Reals) -> Reals:
    """Return the error that trusted answers make at each element, the worst of them.

    A few answers are a poor sample of one element's error, so each element also gets the most that they lose
    anywhere beyond the rounding there; without cancellation no more than their worst share of the base.
    """
    typical: Reals = np.maximum.reduce(evidence.trusted)
    level: Reals = np.full_like(base, (typical - evidence.rounding).max(initial=0.0))
    if not evidence.has_cancellation:
        level = np.minimum(level, _worst_ratio(typical, base) * base)
    return np.maximum(typical, level)


def _worst_ratio(errors: Reals, units: Reals) -> float:
    """Return the largest error in units."""
    nonzero = units > 0
    return float((errors[nonzero] / units[nonzero]).max(initial=0.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an output's errors are held against.

    Attributes:
        unit: For each element the error that is normal there, more than zero.
        local: Bounds of error over unit: no small element hides behind a large one.
        absolute: Bounds of the error itself.
    """

    unit: Reals
    local: Measures
    absolute: Measures


def derive_bounds(evidence: Evidence, factor: float) -> Bounds:
    """Derive the bounds of one output; `factor` is the task's tolerance."""
    rounding, arithmetic, trusted = evidence.rounding, _arithmetic(evidence), evidence.trusted
    base = rounding + arithmetic
    unit = np.maximum(base, _typical(evidence, base)) if trusted and base.size else base
    local, absolute = NOTHING, NOTHING
    for error in trusted:
        local = local.joined(measure(error / unit))
        absolute = absolute.joined(measure(error))
    once = measure(rounding)
    ulp = Measures(largest=2 * once.largest, p999=2 * once.p999, rms=once.rms)
    share = measure(rounding / unit)
    part = Measures(largest=share.largest, p999=share.p999, rms=share.rms * 3.0**-0.5)
    floor = Measures(largest=1.0, p999=1.0, rms=0.5)
    return Bounds(
        unit=unit,
        local=_bound(factor, local, floor, part),
        absolute=_bound(factor, absolute, measure(arithmetic), ulp),
    )


def _bound(factor: float, trusted: Measures, floor: Measures, rounding: Measures) -> Measures:
    """Apply `max(factor * trusted, floor) + rounding` to each measure."""
    return Measures(
        largest=max(factor * trusted.largest, floor.largest) + rounding.largest,
        p999=max(factor * trusted.p999, floor.p999) + rounding.p999,
        rms=max(factor * trusted.rms, floor.rms) + rounding.rms,
    )
