"""The interpreter's builder with its gaps closed: bf16 and fp8 arithmetic, products, library calls, checked memory."""

from collections.abc import Iterator, Sequence

import numpy as np
import triton.language as tl
from triton._C.libtriton import ir
from triton.runtime.interpreter import (
    BlockPointerHandle,
    InterpreterOptions,
    TensorDescHandle,
    TensorHandle,
)

from tilewright.sandbox.bounds import Lanes, Mask, Memory
from tilewright.sandbox.shims_arithmetic import Arithmetic, Operation
from tilewright.sandbox.shims_libdevice import find_symbol
from tilewright.sandbox.shims_numeric import CODED, UnsupportedError, Values, decode, encode, multiply, truncate
from tilewright.sandbox.shims_reduce import Combine, reduce, scan
from tilewright.sandbox.shims_types import numpy_type


class Builder(Arithmetic):
    """Computes each Triton operation of the program at `grid_idx` with numpy.

    Attributes:
        memory: What loads, stores and atomics act on.
        grid_dim: Programs of the launch along x, y and z.
        grid_idx: The program that runs now.
    """

    memory: Memory
    grid_dim: tuple[int, int, int]
    grid_idx: tuple[int, int, int]

    def __init__(self) -> None:
        super().__init__()
        # On a GPU integers wrap; Triton checks for overflow only in debug builds.
        self.options = InterpreterOptions(
            sanitize_overflow=False,
            allowed_dot_input_precisions=("tf32", "tf32x3", "ieee", "bf16x3", "bf16x6"),
        )
        self.grid_dim, self.grid_idx = (1, 1, 1), (0, 0, 0)

    def __getattr__(self, name: str) -> object:
        if name.startswith(("create_", "new_block")):
            raise UnsupportedError(f"operation {name.removeprefix('create_')}")
        raise AttributeError(name)

    def iterate(self, steps: range, dtype: tl.dtype) -> Iterator[tl.tensor]:
        """Yield the values of a loop variable as scalars."""
        element = numpy_type(dtype)
        for step in steps:
            yield tl.tensor(TensorHandle(np.array([step], dtype=element), dtype), dtype)

    def reduce(
        self, inputs: tl.tensor | tuple[tl.tensor, ...], axis: int | None, combine: Combine, keep_dims: bool = False
    ) -> tl.tensor | tuple[tl.tensor, ...]:
        """Reduce tensors along an axis, as `tl.reduce`."""
        return reduce(inputs, axis, combine, keep_dims)

    def scan(
        self, inputs: tl.tensor | tuple[tl.tensor, ...], axis: int, combine: Combine, reverse: bool = False
    ) -> tl.tensor | tuple[tl.tensor, ...]:
        """Scan tensors along an axis, as `tl.associative_scan`."""
        return scan(inputs, axis, combine, reverse)

    def get_bf16(self, value: float) -> TensorHandle:
        """Return a bf16 scalar."""
        return TensorHandle(encode(np.array([value], dtype=np.float32), "bf16"), tl.bfloat16)

    # Memory.

    def create_load(self, ptr: TensorHandle, *_hints: object) -> TensorHandle:
        """Load without a mask."""
        dtype = ptr.get_element_ty()
        return TensorHandle(self.memory.load(ptr.data, None, None, numpy_type(dtype)), dtype)

    def create_store(self, ptr: TensorHandle, val: TensorHandle, *_hints: object) -> None:
        """Store without a mask."""
        self.memory.store(ptr.data, val.data, None)

    def create_masked_load(
        self, ptrs: TensorHandle, mask: TensorHandle, other: TensorHandle | None, *_hints: object, **_named: object
    ) -> TensorHandle:
        """Load where the mask is set; zero or `other` elsewhere."""
        dtype = ptrs.get_element_ty()
        default = None if other is None else other.data
        return TensorHandle(self.memory.load(ptrs.data, mask.data, default, numpy_type(dtype)), dtype)

    def create_masked_store(self, ptrs: TensorHandle, value: TensorHandle, mask: TensorHandle, *_hints: object) -> None:
        """Store where the mask is set."""
        self.memory.store(ptrs.data, value.data, mask.data)

    def create_tensor_pointer_load(
        self, ptr: BlockPointerHandle, boundary_check: Sequence[int], padding: object, *_hints: object
    ) -> TensorHandle:
        """Load through a block pointer; only the dimensions of `boundary_check` are masked."""
        pointers, mask = ptr.materialize_pointers(boundary_check)
        return self._load_block(pointers, mask, padding)

    def create_tensor_pointer_store(
        self, ptr: BlockPointerHandle, value: TensorHandle, boundary_check: Sequence[int], *_hints: object
    ) -> None:
        """Store through a block pointer; only the dimensions of `boundary_check` are masked."""
        pointers, mask = ptr.materialize_pointers(boundary_check)
        self.memory.store(pointers.data, value.data, mask)

    def create_descriptor_load(
        self, desc: TensorDescHandle, indices: list[TensorHandle], *_hints: object, **_named: object
    ) -> TensorHandle:
        """Load a block of a tensor descriptor; elements outside the tensor are padding."""
        pointers, mask = _descriptor_pointers(desc, indices)
        return self._load_block(pointers, mask, desc.padding)

    def create_descriptor_store(self, desc: TensorDescHandle, value: TensorHandle, indices: list[TensorHandle]) -> None:
        """Store a block of a tensor descriptor; elements outside the tensor are dropped."""
        pointers, mask = _descriptor_pointers(desc, indices)
        self.memory.store(pointers.data, value.data.reshape(mask.shape), mask)

    def create_descriptor_reduce(
        self, kind: ir.DESCRIPTOR_REDUCE_KIND, desc: TensorDescHandle, value: TensorHandle, indices: list[TensorHandle]
    ) -> None:
        """Combine a block with what a tensor descriptor points to, atomically."""
        pointers, mask = _descriptor_pointers(desc, indices)
        self._update(kind.name, pointers, value, mask)

    def _load_block(self, pointers: TensorHandle, mask: Mask, padding: object) -> TensorHandle:
        dtype = pointers.get_element_ty()
        other = None
        if padding == ir.PADDING_OPTION.PAD_NAN:
            nan = np.array([np.nan], dtype=np.float32)
            other = encode(nan, dtype.name) if dtype.name in CODED else nan
        return TensorHandle(self.memory.load(pointers.data, mask, other, numpy_type(dtype)), dtype)

    def create_atomic_rmw(
        self, kind: ir.ATOMIC_OP, ptr: TensorHandle, val: TensorHandle, mask: TensorHandle, *_order: object
    ) -> TensorHandle:
        """Combine values with memory atomically and return the old ones."""
        return TensorHandle(self._update(kind.name, ptr, val, mask.data), val.dtype.scalar)

    def create_atomic_cas(
        self, ptr: TensorHandle, cmp: TensorHandle, val: TensorHandle, *_order: object
    ) -> TensorHandle:
        """Replace values that equal `cmp` atomically and return the old ones."""
        expected, values = (np.broadcast_to(one.data, ptr.data.shape).reshape(-1) for one in (cmp, val))

        def combine(old: Values, lanes: Lanes) -> Values:
            return np.where(old == expected[lanes], values[lanes], old)

        old = self.memory.update(ptr.data, val.data, None, combine)
        return TensorHandle(old, cmp.dtype.scalar)

    def _update(self, kind: str, ptr: TensorHandle, val: TensorHandle, mask: Mask) -> Values:
        name = val.dtype.scalar.name
        operation = _ATOMICS[kind]
        values = np.broadcast_to(val.data, ptr.data.shape).reshape(-1)

        def combine(old: Values, lanes: Lanes) -> Values:
            if name not in CODED:
                return operation(old, values[lanes])
            return encode(operation(decode(old, name), decode(values[lanes], name)), name)

        return self.memory.update(ptr.data, val.data, mask, combine)

    # Conversions.

    def cast_impl(self, src: TensorHandle, dst_type: tl.dtype) -> TensorHandle:
        """Convert element types as a GPU does: nearest even for floats, saturating towards integers."""
        source, target = src.dtype.scalar.name, dst_type.scalar.name
        values = decode(src.data, source)
        if target in CODED or target.startswith("fp8"):
            return TensorHandle(encode(values, target), dst_type.scalar)
        element = numpy_type(dst_type)
        if values.dtype.kind == "f" and element.kind in "iu":
            values = _saturate(values, np.dtype(element.str))
        return TensorHandle(values.astype(element), dst_type.scalar)

    def create_fp_to_fp(self, src: TensorHandle, dst_type: tl.dtype, rounding: ir.ROUNDING_MODE | None) -> TensorHandle:
        """Convert between floating types with an explicit rounding."""
        if rounding == ir.ROUNDING_MODE.RTZ:
            values = decode(src.data, src.dtype.scalar.name)
            return TensorHandle(truncate(values, dst_type.scalar.name), dst_type.scalar)
        return self.cast_impl(src, dst_type)

    # Arithmetic that is more than one numpy call an element.

    def create_dot(
        self, a: TensorHandle, b: TensorHandle, d: TensorHandle, input_precision: ir.INPUT_PRECISION, *_limits: object
    ) -> TensorHandle:
        """Multiply matrices as a tensor core does."""
        left, right = decode(a.data, a.dtype.scalar.name), decode(b.data, b.dtype.scalar.name)
        return TensorHandle(multiply(left, right, d.data, input_precision.name), d.dtype.scalar)

    def create_histogram(self, data: TensorHandle, bins: int, mask: TensorHandle | None) -> TensorHandle:
        """Count each integer from 0 to `bins` - 1; others are dropped."""
        values = data.data if mask is None else data.data[mask.data]
        values = values[(values >= 0) & (values < bins)].astype(np.int64)
        return TensorHandle(np.bincount(values, minlength=bins).astype(np.int32), tl.int32)

    def create_extern_elementwise(
        self, _library: str, _path: str, symbol: str, arguments: list[TensorHandle], result: tl.dtype, _pure: bool
    ) -> TensorHandle:
        """Call a libdevice function."""
        data = find_symbol(symbol)(*(one.data for one in arguments))
        return TensorHandle(np.asarray(data).astype(numpy_type(result)), result.scalar)

    # What has no effect on values, and what cannot be had.

    def create_inline_asm(
        self, _text: str, _constraints: str, _operands: list[TensorHandle], _types: list[tl.dtype], *_options: object
    ) -> object:
        """Refuse: PTX is not interpreted."""
        raise UnsupportedError("inline assembly")

    def create_print(self, *_arguments: object) -> None:
        """Print nothing: a candidate's output has no reader."""


def _saturate(values: Values, element: np.dtype[np.int64]) -> Values:
    limits = np.iinfo(element)
    # The largest float that fits: 2**63 and 2**64 themselves do not.
    high = np.nextafter(np.float64(limits.max) + 1, 0)
    return np.clip(np.nan_to_num(values.astype(np.float64), nan=0.0), float(limits.min), high)


def _descriptor_pointers(desc: TensorDescHandle, offsets: list[TensorHandle]) -> tuple[TensorHandle, Mask]:
    """Return addresses and validity of a descriptor's block; unlike the stock form, at any offset, as TMA allows."""
    size = max(1, desc.base.dtype.element_ty.primitive_bitwidth // 8)
    shape = tuple(desc.block_shape)
    addresses = np.broadcast_to(desc.base.data, shape)
    mask = np.ones(shape, dtype=bool)
    for dimension, length in enumerate(shape):
        spread = [1] * len(shape)
        spread[dimension] = length
        index = (offsets[dimension].data.astype(np.int64) + np.arange(length)).reshape(spread)
        addresses = addresses + (size * index * desc.strides[dimension].data).astype(np.uint64)
        mask = mask & (index >= 0) & (index < desc.shape[dimension].data)
    return TensorHandle(addresses, desc.base.dtype.scalar), mask


_ATOMICS: dict[str, Operation] = {
    "ADD": np.add, "FADD": np.add, "MIN": np.minimum, "UMIN": np.minimum, "MAX": np.maximum, "UMAX": np.maximum,
    "AND": np.bitwise_and, "OR": np.bitwise_or, "XOR": np.bitwise_xor, "XCHG": lambda _old, value: value,
}  # fmt: skip
