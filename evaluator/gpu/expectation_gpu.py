"""Expectations and bounds of outputs with millions of elements, computed where the tensors are.

The formulae are those of `expectation` and `tolerance` (docs/judging.md), in torch on any device. Numbers are derived
in float64; for outputs of 16 bits the exact answer and the units are then kept in float32, whose rounding is a
thousandth of the output's.
"""

from dataclasses import dataclass

import torch

from tilewright.evaluator.expectation import OVERFLOW, Terms
from tilewright.evaluator.tolerance import NOTHING, Measures, largest_of
from tilewright.tasks.spec import DType, TensorSpec

Tensor = torch.Tensor

_BORDER_ROUNDINGS = 8
_NEAR_OVERFLOW = 1 / 64
_LOST = 0.25
_FLOAT32_ROUNDINGS = 8.0
_LONG_REDUCTION = 64
_LARGEST_SHARE = 2.0**-22
_FLOAT32_SMALLEST_NORMAL = 2.0**-126
_FLOAT32_HALF_ULP = 2.0**-24
_CANCELLATION = 8.0
_SMALLEST_EXPONENT = {DType.FLOAT16: -14, DType.BFLOAT16: -126, DType.FLOAT32: -126, DType.FLOAT64: -1022}
_HALF = (DType.FLOAT16, DType.BFLOAT16)
# Squares beyond this are scaled first, or their sum overflows.
_SQUARES_FIT = 1e150


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceBounds:
    """What an output's errors are held against; `unit` is the error that is normal at each element."""

    unit: Tensor
    local: Measures
    absolute: Measures


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceExpectation:
    """What one output must be, flattened row-major on the device (complex numbers as pairs).

    Attributes:
        spec: Shape, strides and type of the reference's output.
        exact: Exact answer; zero where nothing is judged, integers in their own type.
        kinds: As in `Expectation`, int8; None if every element is finite.
        is_free: Elements that the reference leaves open; None if there are none.
        judged: Elements whose error counts; None if all do.
        bounds: Allowed errors; None for integers.
        alternatives: Further right answers of integer outputs.
    """

    spec: TensorSpec
    exact: Tensor
    kinds: Tensor | None
    is_free: Tensor | None
    judged: Tensor | None
    bounds: DeviceBounds | None
    alternatives: tuple[Tensor, ...] = ()

    @property
    def is_defined(self) -> bool:
        """Whether the reference says anything at all here."""
        return self.is_free is None or not self.exact.numel() or not bool(self.is_free.all())

    @property
    def nbytes(self) -> int:
        """Device memory that it takes."""
        parts = (self.exact, self.kinds, self.is_free, self.judged, *self.alternatives)
        unit = self.bounds.unit.nbytes if self.bounds is not None else 0
        return unit + sum(one.nbytes for one in parts if one is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceAnswer:
    """What every output of a case must be.

    Attributes:
        outputs: One expectation an output.
        names: Their names, such as `output` or `gradient of weight`.
        notes: How it was computed, where that is not as usual.
    """

    outputs: tuple[DeviceExpectation, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    @property
    def is_defined(self) -> bool:
        """Whether at least one element of one output is judged."""
        return any(output.is_defined for output in self.outputs)

    @property
    def nbytes(self) -> int:
        """Device memory that it takes."""
        return sum(output.nbytes for output in self.outputs)


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceObserved:
    """Answers to one output, flattened.

    Attributes:
        exact: In float64 (integers in their own type).
        trusted: By implementations that count as right, in the output's type.
        sensitivity: How far the exact answer moves under inputs off by a rounding of float32; float64, zero where
            it is not finite.
    """

    exact: Tensor
    trusted: tuple[Tensor, ...]
    sensitivity: Tensor


def flatten(tensor: Tensor) -> Tensor:
    """Return a tensor's elements in row-major order, complex numbers as pairs."""
    plain = tensor.detach().resolve_conj()
    return (torch.view_as_real(plain) if plain.is_complex() else plain).reshape(-1)


def largest(values: Tensor) -> float:
    """Return the largest of non-negative values; 0 if there are none."""
    return float(values.amax()) if values.numel() else 0.0


def rank_of(count: int) -> int:
    """Return the place of the 99.9th percentile among so many values in rising order."""
    return -(-999 * (count - 1) // 1000)


def percentile(values: Tensor) -> Tensor:
    """Return the 99.9th percentile of values as a tensor of no dimensions; enqueued only."""
    # topk spreads a long row over the whole GPU, kthvalue does not
    return values.topk(values.numel() - rank_of(values.numel()), sorted=False).values.amin()


def measure(values: Tensor) -> Measures:
    """Measure non-negative values; all zero if there are none."""
    if not values.numel():
        return NOTHING
    peak = largest(values)
    p999 = float(percentile(values))
    scale = peak if peak > _SQUARES_FIT else 1.0
    norm = float(torch.linalg.vector_norm(values / scale if scale > 1 else values, dtype=torch.float64)) * scale
    return Measures(largest=peak, p999=p999, rms=norm * float(values.numel()) ** -0.5)


def half_ulp(values: Tensor, dtype: DType) -> Tensor:
    """Return half the distance between neighbours of the type at each (finite) float64 value."""
    smallest = _SMALLEST_EXPONENT[dtype]
    exponents = torch.frexp(values).exponent - 1
    exponents = torch.where(values == 0, smallest, exponents.clamp_(min=smallest))
    return torch.exp2((exponents - dtype.mantissa_bits - 1).double())


def kinds_of(numbers: Tensor) -> Tensor:
    """Classify numbers: 0 finite, 1 infinite, -1 minus infinite, 2 not a number; int8."""
    if not numbers.is_floating_point():
        return torch.zeros(numbers.shape, dtype=torch.int8, device=numbers.device)
    return (
        torch.isposinf(numbers).to(torch.int8)
        - torch.isneginf(numbers).to(torch.int8)
        + 2 * torch.isnan(numbers).to(torch.int8)
    )


def derive(observed: DeviceObserved, terms: Terms) -> DeviceExpectation:
    """Combine all answers to one output."""
    dtype = terms.real_type
    if not dtype.is_floating:
        return DeviceExpectation(
            spec=terms.spec, exact=observed.exact, kinds=None, is_free=None, judged=None, bounds=None,
            alternatives=observed.trusted,
        )  # fmt: skip
    kinds, free = _classify(observed, dtype, terms.may_overflow)
    judged = (kinds == 0) & ~free
    is_whole = bool(judged.all())
    value = observed.exact if is_whole else torch.where(judged, observed.exact, 0.0)
    bounds = _derive_bounds(observed, value, None if is_whole else judged, terms)
    work = torch.float32 if dtype in _HALF else torch.float64
    return DeviceExpectation(
        spec=terms.spec,
        exact=value.to(work),
        kinds=kinds if bool(kinds.any()) else None,
        is_free=free if bool(free.any()) else None,
        judged=None if is_whole else judged,
        bounds=DeviceBounds(unit=bounds.unit.to(work), local=bounds.local, absolute=bounds.absolute),
    )


def _classify(observed: DeviceObserved, dtype: DType, may_overflow: bool) -> tuple[Tensor, Tensor]:
    """Return each element's kind in the output's type, and whether the reference leaves it open."""
    exact, limit = observed.exact, largest_of(dtype)
    step = float(half_ulp(torch.tensor([limit], dtype=torch.float64), dtype)[0])
    size = exact.abs()
    kinds = kinds_of(torch.where(size >= limit + step, torch.copysign(torch.full_like(exact, torch.inf), exact), exact))
    free = torch.zeros(exact.shape, dtype=torch.bool, device=exact.device)
    for other in observed.trusted:
        free |= kinds_of(other) != kinds
    overflows = (kinds.abs() == 1) & torch.isfinite(exact)
    if bool(overflows.any()) or bool(free.any()):
        # partial sums overflow in one order and not in another
        free |= (kinds == 0) & (size > limit * _NEAR_OVERFLOW)
        kinds[overflows] = int(OVERFLOW)
    free |= (size - limit).abs() <= _BORDER_ROUNDINGS * step
    if may_overflow:
        finite = kinds == 0
        peak = largest(torch.where(finite, size, 0.0))
        if any(bool(((other - exact).abs() > _LOST * peak)[finite].any()) for other in observed.trusted):
            free |= finite
    return kinds, free


def _error(got: Tensor, value: Tensor, judged: Tensor | None) -> Tensor:
    """Return absolute errors in float64; zero where nothing is judged."""
    error = (got.double() - value).abs_()
    return error if judged is None else torch.where(judged, error, 0.0)


def _derive_bounds(observed: DeviceObserved, value: Tensor, judged: Tensor | None, terms: Terms) -> DeviceBounds:
    """Derive the bounds of one output: see `tolerance.derive_bounds`."""
    rounding = half_ulp(value, terms.real_type)
    moved = observed.sensitivity
    if judged is not None:
        rounding, moved = torch.where(judged, rounding, 0.0), torch.where(judged, moved, 0.0)
    has_cancellation = bool((moved > _CANCELLATION * _FLOAT32_HALF_ULP * value.abs()).any())
    arithmetic = _arithmetic(value, moved, terms.depth, has_cancellation)
    base = rounding + arithmetic
    unit = base
    if observed.trusted and base.numel():
        typical = _error(observed.trusted[0], value, judged)
        for other in observed.trusted[1:]:
            typical = torch.maximum(typical, _error(other, value, judged))
        level = torch.full_like(base, max(0.0, float((typical - rounding).amax())))
        if not has_cancellation:
            level = torch.minimum(level, _worst_ratio(typical, base) * base)
        unit = torch.maximum(base, torch.maximum(typical, level))
    local, absolute = NOTHING, NOTHING
    for other in observed.trusted:
        error = _error(other, value, judged)
        absolute = absolute.joined(measure(error))
        local = local.joined(measure(error / unit))
    once, share = measure(rounding), measure(rounding / unit)
    ulp = Measures(largest=2 * once.largest, p999=2 * once.p999, rms=once.rms)
    part = Measures(largest=share.largest, p999=share.p999, rms=share.rms * 3.0**-0.5)
    floor = Measures(largest=1.0, p999=1.0, rms=0.5)
    return DeviceBounds(
        unit=unit,
        local=_bound(terms.factor, local, floor, part),
        absolute=_bound(terms.factor, absolute, measure(arithmetic), ulp),
    )


def _arithmetic(value: Tensor, moved: Tensor, depth: int, has_cancellation: bool) -> Tensor:
    """Return what arithmetic in float32 may cost at each element: see `tolerance`."""
    size = value.abs()
    rounding = size * _FLOAT32_HALF_ULP
    if has_cancellation:
        spread = moved.clamp(min=measure(moved[value != 0]).rms)
    else:
        spread = torch.maximum(moved, _worst_ratio(moved, rounding) * rounding)
    growth = max(1.0, depth / _LONG_REDUCTION) ** 0.5
    floor = _LARGEST_SHARE * largest(size) + _FLOAT32_SMALLEST_NORMAL
    return (rounding + spread).mul_(_FLOAT32_ROUNDINGS * growth).add_(floor)


def _worst_ratio(errors: Tensor, units: Tensor) -> float:
    """Return the largest error in units."""
    return largest(torch.where(units > 0, errors / units, 0.0))


def _bound(factor: float, trusted: Measures, floor: Measures, rounding: Measures) -> Measures:
    """Apply `max(factor * trusted, floor) + rounding` to each measure."""
    return Measures(
        largest=max(factor * trusted.largest, floor.largest) + rounding.largest,
        p999=max(factor * trusted.p999, floor.p999) + rounding.p999,
        rms=max(factor * trusted.rms, floor.rms) + rounding.rms,
    )
