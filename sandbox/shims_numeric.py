"""Number formats and matrix products as a GPU computes them, on numpy arrays.

Triton's interpreter holds bf16 and fp8 values as bit patterns; `decode` and `encode` convert them to fp32 and back
with round to nearest even. Products follow the tensor cores: TF32 drops mantissa bits, fp16 accumulators round at
each step of 16.
"""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch

# Arrays of any element type: numpy's stubs know the arithmetic of concrete types only, so one stands for all.
Values = npt.NDArray[np.float32]

# Triton's names of the formats that numpy lacks, and the torch types that convert them.
_FP8 = {
    "fp8e4nv": torch.float8_e4m3fn,
    "fp8e5": torch.float8_e5m2,
    "fp8e4b8": torch.float8_e4m3fnuz,
    "fp8e5b16": torch.float8_e5m2fnuz,
}
CODED = frozenset({"bf16", *_FP8})
# A tensor core adds this many products of fp16 operands before it rounds an fp16 accumulator.
_FP16_STEP = 16
_TF32_MASK = np.uint32(0xFFFFE000)
# Parts that each operand is split into, and how one part is cut off, for the multi-pass precisions.
_SPLITS = {"TF32x3": 2, "BF16x3": 2, "BF16x6": 3}


class UnsupportedError(Exception):
    """A kernel needs something that the interpreter cannot do faithfully; no fault of the candidate."""


def decode(data: Values, name: str) -> Values:
    """Return values of a Triton format as floats that numpy can compute with; plain formats stay as they are.

    Args:
        data: Bit patterns (uint16, uint8) of a coded format, any shape, or ordinary numbers.
        name: Triton's name of the format, such as `bf16`.
    """
    if name == "bf16":
        return (data.astype(np.uint32) << 16).view(np.float32)
    if name in _FP8:
        bits = torch.from_numpy(np.ascontiguousarray(data)).view(_FP8[name])
        return bits.to(torch.float32).numpy().reshape(data.shape)
    if name.startswith("fp8"):
        raise UnsupportedError(f"conversion from {name}")
    return data


def encode(values: Values, name: str) -> Values:
    """Return floats rounded to nearest even in a coded Triton format, as bit patterns of the same shape."""
    floats = np.ascontiguousarray(values, dtype=np.float32).reshape(values.shape)
    if name == "bf16":
        return to_bfloat16(floats)
    if name not in _FP8:
        raise UnsupportedError(f"conversion to {name}")
    # PTX converts to fp8 with satfinite: beyond the range stands the largest finite number.
    limit = torch.finfo(_FP8[name]).max
    clipped = torch.from_numpy(floats.copy()).clamp(-limit, limit)
    return clipped.to(_FP8[name]).view(torch.uint8).numpy().reshape(values.shape)


def to_bfloat16(values: Values) -> Values:
    """Return fp32 values rounded to nearest even as bf16 bit patterns, NaN kept."""
    bits = values.view(np.uint32)
    rounded = (bits + (np.uint32(0x7FFF) + ((bits >> 16) & 1))) >> 16
    quiet = (bits >> 16) | 0x40
    patterns: Values = np.where(np.isnan(values), quiet, rounded).astype(np.uint16)
    return patterns


def truncate(values: Values, name: str) -> Values:
    """Return floats rounded towards zero in fp16 or bf16, for `fp_downcast_rounding="rtz"`."""
    floats = np.ascontiguousarray(values, dtype=np.float32).reshape(values.shape)
    if name == "bf16":
        return (floats.view(np.uint32) >> 16).astype(np.uint16)
    if name != "fp16":
        raise UnsupportedError(f"rounding towards zero to {name}")
    nearest = floats.astype(np.float16)
    too_far = np.abs(nearest.astype(np.float32)) > np.abs(floats)
    return np.where(too_far, np.nextafter(nearest, np.float16(0)), nearest)


def to_tf32(values: Values) -> Values:
    """Return fp32 values as a tensor core reads them for TF32: the 13 lowest mantissa bits ignored."""
    return (np.ascontiguousarray(values).view(np.uint32) & _TF32_MASK).view(np.float32)


def multiply(a: Values, b: Values, accumulator: Values, precision: str) -> Values:
    """Return `a @ b + accumulator` as a tensor core computes it.

    Args:
        a: Left operand, [..., M, K], decoded.
        b: Right operand, [..., K, N], decoded, of the same type.
        accumulator: [..., M, N]; its type is that of the result.
        precision: Triton's input precision for fp32 operands: `IEEE`, `TF32`, `TF32x3`, `BF16x3` or `BF16x6`.
    """
    if a.dtype.kind in "iu":
        exact: Values = np.matmul(a, b, dtype=accumulator.dtype)
        return exact + accumulator
    if a.dtype == np.float64:
        return _product(a, b) + accumulator
    if accumulator.dtype == np.float16:
        return _accumulate_in_fp16(a, b, accumulator)
    if a.dtype != np.float32 or precision == "IEEE":
        return _product(a.astype(np.float32), b.astype(np.float32)) + accumulator
    if precision == "TF32":
        return _product(to_tf32(a), to_tf32(b)) + accumulator
    if precision in _SPLITS:
        return _multiply_split(a, b, precision) + accumulator
    raise UnsupportedError(f"input precision {precision}")


def _product(a: Values, b: Values) -> Values:
    # torch keeps to the calling thread once told so; numpy's BLAS may start threads, which the sandbox forbids.
    left = torch.from_numpy(np.ascontiguousarray(a))
    right = torch.from_numpy(np.ascontiguousarray(b))
    product: Values = torch.matmul(left, right).numpy()
    return product


def _accumulate_in_fp16(a: Values, b: Values, accumulator: Values) -> Values:
    total = accumulator
    for start in range(0, a.shape[-1], _FP16_STEP):
        left = a[..., start : start + _FP16_STEP].astype(np.float32)
        right = b[..., start : start + _FP16_STEP, :].astype(np.float32)
        total = (_product(left, right) + total).astype(np.float16)
    return total


def _multiply_split(a: Values, b: Values, precision: str) -> Values:
    parts = _SPLITS[precision]
    cut = _nearest_tf32 if precision == "TF32x3" else _nearest_bfloat16
    lefts, rights = _split(a, parts, cut), _split(b, parts, cut)
    pairs = [(i, j) for i in range(parts) for j in range(parts) if i + j < parts]
    # Smallest products first, as Triton orders them.
    total = np.zeros(1, dtype=np.float32)
    for i, j in sorted(pairs, key=sum, reverse=True):
        total = total + _product(lefts[i], rights[j])
    return total


def _split(values: Values, parts: int, cut: Callable[[Values], Values]) -> tuple[Values, ...]:
    rest = values
    pieces = []
    for _ in range(parts):
        piece = cut(rest)
        pieces.append(piece)
        rest = rest - piece
    return tuple(pieces)


def _nearest_tf32(values: Values) -> Values:
    bits = np.ascontiguousarray(values).view(np.uint32)
    return ((bits + np.uint32(0x1000)) & _TF32_MASK).view(np.float32)


def _nearest_bfloat16(values: Values) -> Values:
    return (to_bfloat16(np.ascontiguousarray(values)).astype(np.uint32) << 16).view(np.float32)
