"""What a pattern of wrong numbers suggests to the author of a kernel."""

import numpy as np

from tilewright.evaluator.expectation import Expectation
from tilewright.evaluator.tolerance import Flags, Reals
from tilewright.tasks.spec import DType


def suggest(expected: Expectation, got: Reals, beyond: Flags) -> str:
    """Return one sentence on where to look, or an empty string.

    Args:
        expected: What the output must be.
        got: What came.
        beyond: Elements whose own error is too large.
    """
    if not got.any() and expected.exact.any():
        return "every element is zero: is the kernel launched over the whole output, and its result stored?"
    tail = _tail_start(expected.spec.shape, beyond)
    if tail:
        return f"only elements from {tail} of the last dimension are wrong: check the mask of the last block"
    share = _relative_error(expected.exact, got)
    if expected.spec.dtype is DType.FLOAT32 and 2.0**-16 < share < 2.0**-6:
        return (
            "errors are of TF32's or half precision's size: tl.dot(..., input_precision='ieee') and float32 throughout"
        )
    if expected.spec.dtype in (DType.FLOAT16, DType.BFLOAT16) and share < 2.0**-5:
        return "errors are some roundings too large: convert to float32 after loading and round once, at the store"
    return ""


def _tail_start(shape: tuple[int, ...], beyond: Flags) -> int:
    """Return the first wrong column if the wrong ones are a tail of less than half of the last dimension, else 0."""
    if not shape or not beyond.any() or beyond.size % shape[-1]:
        return 0
    wrong: Flags = np.logical_or.reduce(beyond.reshape(-1, shape[-1]), axis=0)
    first = int(wrong.argmax())
    return first if wrong[first:].mean() > 0.5 and 2 * first > shape[-1] else 0


def _relative_error(exact: Reals, got: Reals) -> float:
    """Return the norm of the error over the norm of the answer, finite elements only."""
    finite = np.isfinite(exact) & np.isfinite(got)
    scale = float(np.abs(exact[finite]).max(initial=0.0))
    if scale == 0.0:
        return 0.0
    # scaled first, so that squares of numbers near the type's maximum stay finite
    error = np.linalg.norm((got[finite] - exact[finite]) / scale)
    return float(error / np.linalg.norm(exact[finite] / scale))
