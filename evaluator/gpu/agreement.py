"""Whether timed outputs are answers at all: compared with the baseline's on the same inputs, on the GPU.

The stages hold the same plan to the oracle's bounds, on other numbers of the same kind; here it must only be certain
that every timed replay did the work. So the bound is wide: some roundings of the element and of the typical element.
"""

import math
from collections.abc import Iterable

import torch

from tilewright.tasks.spec import Case, TensorSpec

Answers = tuple[torch.Tensor, ...]

_ROUNDINGS = {torch.float16: 32.0, torch.bfloat16: 32.0, torch.float32: 1024.0, torch.float64: 1024.0}
# Sums of more terms than this may differ by more, as the root of their number.
_TERMS = 64
# Integers decide ties, in which trusted answers differ too.
_TIES = 0.01
# Steps of the type's smallest numbers that are no difference.
_SMALLEST_STEPS = 4.0


def find_disagreement(pairs: Iterable[tuple[Answers, Answers]], case: Case) -> str | None:
    """Say which output of a case is not the baseline's answer, or None. The host waits for the device once.

    Args:
        pairs: The candidate's outputs and the baseline's, for each set of inputs; all on one device.
        case: Its sizes say how long sums may be.
    """
    growth = _growth(case)
    compared: list[tuple[int, torch.Tensor, torch.Tensor]] = []
    for got, expected in pairs:
        compared += [(index, *both) for index, both in enumerate(zip(got, expected, strict=True))]
    if not compared:
        return None
    suspects = torch.stack([_is_suspect(one, other, growth) for _, one, other in compared]).tolist()
    for (index, one, other), is_suspect in zip(compared, suspects, strict=True):
        wrong = _count_wrong(one, other, growth) if is_suspect else 0
        if wrong > (0 if other.is_floating_point() or other.is_complex() else _TIES * other.numel()):
            return f"output {index}: {wrong} of {other.numel()} elements are not the baseline's after the timed replays"
    return None


def _growth(case: Case) -> float:
    """Return by how much roundings may add up in a case."""
    tensors = [one for one in case.inputs if isinstance(one, TensorSpec)]
    tensors += [one.tensor for one in case.parameters] + list(case.outputs)
    terms = max((size for one in tensors for size in one.shape), default=1)
    return math.sqrt(max(1.0, terms / _TERMS))


def _is_suspect(got: torch.Tensor, expected: torch.Tensor, growth: float) -> torch.Tensor:
    """Return, on the device, whether some element may be wrong: whether any differs by more than is always allowed.

    Two passes over the numbers in their own type, against ten of `_count_wrong`.
    """
    if expected.numel() == 0:
        return torch.zeros((), dtype=torch.bool, device=expected.device)
    if not expected.is_floating_point():
        return (got != expected).any()
    largest = torch.linalg.vector_norm(got - expected, ord=torch.inf)
    typical = torch.linalg.vector_norm(expected, dtype=_wide(expected)) / expected.numel() ** 0.5
    # a comparison with NaN is false: what is not a number is looked at closely
    is_near: torch.Tensor = largest.to(typical.dtype) <= typical * (_unit(expected.dtype) * growth)
    return is_near.logical_not()


def _count_wrong(got: torch.Tensor, expected: torch.Tensor, growth: float) -> int:
    """Return how many elements differ by more than roundings explain."""
    if expected.is_complex():
        got, expected = torch.view_as_real(got), torch.view_as_real(expected)
    if not expected.is_floating_point():
        return int((got != expected).sum())
    wide = _wide(expected)
    want = expected.to(wide)
    is_number = want.isfinite()
    want = want.where(is_number, 0.0)
    typical = want.square().mean().sqrt()
    error = (got.to(wide) - want).abs_()
    smallest = torch.finfo(expected.dtype).tiny * torch.finfo(expected.dtype).eps
    bound = want.abs_().add_(typical).mul_(_unit(expected.dtype) * growth).add_(_SMALLEST_STEPS * smallest)
    return int((~(error <= bound) & is_number).sum())


def _wide(tensor: torch.Tensor) -> torch.dtype:
    """Return the type to compare in."""
    return torch.float64 if tensor.dtype is torch.float64 else torch.float32


def _unit(dtype: torch.dtype) -> float:
    """Return the share by which numbers of a type may differ."""
    return torch.finfo(dtype).eps / 2 * _ROUNDINGS[dtype]
