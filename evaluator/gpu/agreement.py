"""Whether timed outputs are answers at all: compared with the baseline's on the same inputs, on the GPU.

The stages hold the same plan to the oracle's bounds, on other numbers of the same kind; here it must only be certain
that every timed replay did the work. So the bound is wide: some roundings of the element and of the typical element.
"""

import math

import torch

from tilewright.tasks.spec import Case, TensorSpec

Answers = tuple[torch.Tensor, ...]

_ROUNDINGS = {torch.float16: 32.0, torch.bfloat16: 32.0, torch.float32: 1024.0, torch.float64: 1024.0}
# Sums of more terms than this may differ by more, as the root of their number.
_TERMS = 64
# Integers decide ties, in which trusted answers differ too.
_TIES = 0.01


def find_disagreement(got: Answers, expected: Answers, case: Case) -> str | None:
    """Say which output of a case is not the baseline's answer, or None.

    Args:
        got: The candidate's outputs.
        expected: The baseline's outputs, on the same device.
        case: Its sizes say how long sums may be.
    """
    tensors = [one for one in case.inputs if isinstance(one, TensorSpec)]
    tensors += [one.tensor for one in case.parameters] + list(case.outputs)
    terms = max((size for one in tensors for size in one.shape), default=1)
    growth = max(1.0, terms / _TERMS) ** 0.5
    for index, (one, other) in enumerate(zip(got, expected, strict=True)):
        wrong = _count_wrong(one, other, growth)
        if wrong > (0 if other.is_floating_point() or other.is_complex() else _TIES * other.numel()):
            return f"output {index}: {wrong} of {other.numel()} elements are not the baseline's after the timed replays"
    return None


def _count_wrong(got: torch.Tensor, expected: torch.Tensor, growth: float) -> int:
    """Return how many elements differ by more than roundings explain."""
    if expected.is_complex():
        got, expected = torch.view_as_real(got), torch.view_as_real(expected)
    if not expected.is_floating_point():
        return int((got != expected).sum())
    wide = torch.float64 if expected.dtype is torch.float64 else torch.float32
    want = expected.to(wide)
    is_number = want.isfinite()
    want = want.where(is_number, 0.0)
    typical = math.sqrt(float((want * want).mean())) if want.numel() else 0.0
    unit = torch.finfo(expected.dtype).eps / 2 * _ROUNDINGS[expected.dtype] * growth
    error = (got.to(wide) - want).abs_()
    bound = want.abs_().add_(typical).mul_(unit).add_(torch.finfo(expected.dtype).tiny)
    # a comparison with NaN is false: what is not a number is wrong
    return int((~(error <= bound) & is_number).sum())
