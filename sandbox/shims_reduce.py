"""Reductions and scans in the order of a GPU: pairwise, each partial result rounded to the element type."""

from collections.abc import Callable

import numpy as np
import triton.language as tl
from triton.runtime.interpreter import TensorHandle

from tilewright.sandbox.shims_numeric import CODED, Values, decode, encode
from tilewright.sandbox.shims_types import numpy_type

Combine = Callable[..., tl.tensor | tuple[tl.tensor, ...]]


def reduce(
    inputs: tl.tensor | tuple[tl.tensor, ...], axis: int | None, combine: Combine, keep_dims: bool = False
) -> tl.tensor | tuple[tl.tensor, ...]:
    """Reduce one tensor, or several side by side, along an axis (None: all of them).

    Replaces `tl.reduce`. `combine` is applied to whole halves, so that a reduction of n elements takes log2(n) calls.
    """
    tensors = (inputs,) if isinstance(inputs, tl.tensor) else tuple(inputs)
    axis, keep_dims = _plain(axis), bool(_plain(keep_dims))
    rank = len(tensors[0].shape)
    arrays = [one.handle.data for one in tensors]
    if axis is None:
        arrays = [array.reshape(-1) for array in arrays]
    elif not -rank <= axis < rank:
        raise ValueError(f"reduction axis {axis} of a tensor of rank {rank}")
    moved = arrays if axis in (None, 0) else [np.moveaxis(array, axis, 0) for array in arrays]
    reduced = _reduce_leading(moved, tensors, combine)
    if keep_dims:
        reduced = [_restore(array, axis, rank) for array in reduced]
    results = tuple(_tensor(array, one.dtype) for array, one in zip(reduced, tensors, strict=True))
    return results[0] if isinstance(inputs, tl.tensor) else results


def scan(
    inputs: tl.tensor | tuple[tl.tensor, ...], axis: int, combine: Combine, reverse: bool = False
) -> tl.tensor | tuple[tl.tensor, ...]:
    """Scan tensors along an axis, each element combined with all before it. Replaces `tl.associative_scan`."""
    tensors = (inputs,) if isinstance(inputs, tl.tensor) else tuple(inputs)
    axis = _plain(axis) or 0
    arrays = [np.moveaxis(one.handle.data, axis, 0) for one in tensors]
    if _plain(reverse):
        arrays = [np.flip(array, 0) for array in arrays]
    distance = 1
    while distance < arrays[0].shape[0]:
        # Blocks keep their size, as types demand; what the roll brings round from the end is dropped.
        before = [np.roll(array, distance, 0) for array in arrays]
        combined = _combine(before, arrays, tensors, combine)
        arrays = [np.concatenate([a[:distance], c[distance:]]) for a, c in zip(arrays, combined, strict=True)]
        distance *= 2
    if _plain(reverse):
        arrays = [np.flip(array, 0) for array in arrays]
    results = tuple(_tensor(np.moveaxis(array, 0, axis), one.dtype) for array, one in zip(arrays, tensors, strict=True))
    return results[0] if isinstance(inputs, tl.tensor) else results


def _reduce_leading(arrays: list[Values], tensors: tuple[tl.tensor, ...], combine: Combine) -> list[Values]:
    direct = _direct(combine)
    if direct is not None and tensors[0].dtype.name not in CODED:
        return [direct(arrays[0])]
    if combine in (tl.standard._argmax_combine_tie_break_left, tl.standard._argmin_combine_tie_break_left):
        return _first_extreme(arrays, tensors, combine)
    while arrays[0].shape[0] > 1:
        # Neighbours are combined, never distant halves: a combination need not be commutative.
        combined = _combine([a[0::2] for a in arrays], [a[1::2] for a in arrays], tensors, combine)
        arrays = combined
    return [array[0] for array in arrays]


def combines_directly(combine: Combine) -> bool:
    """Return whether a reduction is one numpy call, so that its combinations do not show as operations."""
    extremes = (tl.standard._argmax_combine_tie_break_left, tl.standard._argmin_combine_tie_break_left)
    return combine in extremes or _direct(combine) is not None


def _direct(combine: Combine) -> Callable[[Values], Values] | None:
    """Return numpy's form of a combination that does not depend on order, or whose order is fixed here."""
    table: dict[Combine, Callable[[Values], Values]] = {
        tl.standard._elementwise_max: np.fmax.reduce,
        tl.standard._elementwise_min: np.fmin.reduce,
        tl.standard._sum_combine: _sum_pairwise,
    }
    return table.get(combine)


def _sum_pairwise(array: Values) -> Values:
    if array.dtype.kind != "f":
        exact: Values = np.sum(array, axis=0, dtype=array.dtype)
        return exact
    while array.shape[0] > 1:
        half = array.shape[0] // 2
        array = array[:half] + array[half:]
    total: Values = array[0]
    return total


def _first_extreme(arrays: list[Values], tensors: tuple[tl.tensor, ...], combine: Combine) -> list[Values]:
    values = decode(arrays[0], tensors[0].dtype.name)
    largest = combine is tl.standard._argmax_combine_tie_break_left
    position = (np.argmax if largest else np.argmin)(values, axis=0)[np.newaxis]
    return [np.take_along_axis(array, position, axis=0)[0] for array in arrays]


def _combine(left: list[Values], right: list[Values], tensors: tuple[tl.tensor, ...], combine: Combine) -> list[Values]:
    """Apply a combination to two groups of elements of the same shape."""
    if combine is tl.standard._sum_combine:
        name = tensors[0].dtype.name
        total = decode(left[0], name) + decode(right[0], name)
        return [encode(total, name) if name in CODED else total]
    dtypes = [one.dtype for one in tensors]
    operands = [_tensor(array, dtype) for side in (left, right) for array, dtype in zip(side, dtypes, strict=True)]
    results = combine(*operands)
    results = (results,) if isinstance(results, tl.tensor) else results
    return [np.broadcast_to(one.handle.data, left[0].shape) for one in results]


def _restore(array: Values, axis: int | None, rank: int) -> Values:
    return np.reshape(array, (1,) * rank) if axis is None else np.expand_dims(array, axis)


def _tensor(array: Values, dtype: tl.dtype) -> tl.tensor:
    """Return a Triton tensor over an array; scalars are arrays of one element, as everywhere in the interpreter."""
    shape = array.shape
    data = np.asarray(array, dtype=numpy_type(dtype)).reshape(shape or (1,))
    kind = tl.block_type(dtype, list(shape)) if shape else dtype
    return tl.tensor(TensorHandle(data, dtype), kind)


def _plain(value: int | bool | tl.constexpr | None) -> int | None:
    """Return what a constexpr stands for."""
    return value.value if isinstance(value, tl.constexpr) else value
