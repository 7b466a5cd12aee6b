"""Where the elements of an input lie in memory, for each layout."""

from itertools import accumulate
from operator import mul

from tilewright.tasks.spec import DType, Layout, TensorSpec


def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return the strides, in elements, of a row-major tensor as torch gives them (a size of 0 counts as 1)."""
    sizes = [max(size, 1) for size in shape]
    return tuple(accumulate(reversed(sizes[1:]), mul, initial=1))[::-1] if sizes else ()


def lay_out(drawn: TensorSpec, dtype: DType, layout: Layout) -> TensorSpec:
    """Return how a case lays out an input.

    Args:
        drawn: The tensor as `get_inputs` gives it.
        dtype: Type to which the case casts floating inputs.
        layout: Applies to floating tensors of rank two and more; others stay as they are drawn.
            `CONTIGUOUS` also keeps the strides that `get_inputs` gives.
    """
    if not drawn.dtype.is_floating:
        return drawn
    shape = drawn.shape
    strides = contiguous_strides(shape)
    if len(shape) < 2 or layout is Layout.CONTIGUOUS:
        return TensorSpec(shape=shape, strides=drawn.strides, dtype=dtype, offset=drawn.offset)
    if layout is Layout.TRANSPOSED:
        swapped = contiguous_strides((*shape[:-2], shape[-1], shape[-2]))
        strides = (*swapped[:-2], swapped[-1], swapped[-2])
    elif layout is Layout.SLICED:
        strides = (2 * strides[0], *strides[1:])
    elif layout is Layout.EXPANDED:
        strides = (0, *strides[1:])
    return TensorSpec(shape=shape, strides=strides, dtype=dtype, offset=int(layout is Layout.OFFSET))
