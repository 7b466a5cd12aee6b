"""Arguments of a launch as the bytes of kernel parameters, exactly as Triton's own launcher passes them."""

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tilewright.evaluator.gpu.driver import Slot, api, check, driver_version
from tilewright.sandbox.plan import Constant, Descriptor, Launch, Pointer, Scalar, TensorMap

# Bytes of each scalar type of Triton as a kernel's parameter.
SCALAR_BYTES = {
    "i1": 1, "u1": 1, "i8": 1, "u8": 1, "i16": 2, "u16": 2, "i32": 4, "u32": 4, "i64": 8, "u64": 8,
    "fp16": 2, "bf16": 2, "fp32": 4, "f32": 4, "fp64": 8,
}  # fmt: skip
TENSOR_MAP_BYTES = 128
_POINTER_BYTES = 8
# Triton's compiler numbers three element types otherwise than CUDA's host interface does.
_ELEMENT_TYPES = {8: 10, 9: 8, 10: 9}
_TF32 = 11
# Drivers up to this version encode maps of small tensors wrongly; as CUTLASS does, the mark for small ones is removed.
_LAST_FLAWED_DRIVER = 13010
_SMALL_BYTES = 128 << 10
_SMALL_MARK = 1 << 21


class PackingError(Exception):
    """A launch's arguments are not what its kernel takes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MapOrder:
    """A tensor map to be encoded; dimensions are ordered from the innermost outwards.

    Attributes:
        address: Of the first element.
        element_type: As CUDA's host interface numbers it.
        sizes: Elements of each dimension.
        strides_bytes: Distance between neighbours of each dimension but the innermost.
        box: Elements that a copy fetches.
        swizzle: As CUDA numbers it.
        pads_with_nan: Whether what lies beyond is NaN and not zero.
        last_byte: Offset of the last element.
    """

    address: int
    element_type: int
    sizes: tuple[int, ...]
    strides_bytes: tuple[int, ...]
    box: tuple[int, ...]
    swizzle: int
    pads_with_nan: bool
    last_byte: int


def pack(
    launch: Launch, addresses: Sequence[int], scratch: tuple[int, int], encode: Callable[[MapOrder], bytes]
) -> tuple[bytes, ...]:
    """Return the kernel's parameters, in order.

    Args:
        launch: The step.
        addresses: Address of each of the plan's buffers.
        scratch: Addresses of global and profile scratch memory; 0 where there is none.
        encode: Makes the 128 bytes of a tensor map.

    Raises:
        PackingError: A value does not fit its type.
    """
    values: list[bytes] = []
    for argument in launch.arguments:
        if isinstance(argument, Pointer):
            values.append(_unsigned(addresses[argument.buffer] + argument.offset_bytes, _POINTER_BYTES))
        elif isinstance(argument, Scalar):
            values.append(to_bytes(argument.signature, argument.value))
        elif isinstance(argument, Descriptor):
            values.extend(_descriptor(argument, addresses[argument.buffer] + argument.offset_bytes, encode))
        else:
            assert isinstance(argument, Constant)
    return (*values, *(_unsigned(address, _POINTER_BYTES) for address in scratch))


def to_bytes(signature: str, value: int | float | bool) -> bytes:
    """Return a scalar as Triton passes it: integers cut to size, bfloat16 cut and not rounded.

    Raises:
        PackingError: Triton has no such type, or the number does not fit it.
    """
    size = SCALAR_BYTES.get(signature)
    if size is None:
        raise PackingError(f"expected a scalar type of Triton; got {signature}")
    try:
        if signature == "fp16":
            return struct.pack("<e", value)
        if signature == "bf16":
            return bytes(ctypes.c_float(value))[2:]
        if signature in ("fp32", "f32"):
            return bytes(ctypes.c_float(value))
        if signature == "fp64":
            return struct.pack("<d", value)
    except OverflowError as error:
        raise PackingError(f"expected a number within {signature}; got {value}") from error
    if isinstance(value, float):
        raise PackingError(f"expected an integer for {signature}; got {value}")
    return _unsigned(int(value), size)


def _unsigned(value: int, size: int) -> bytes:
    return (value & ((1 << 8 * size) - 1)).to_bytes(size, "little")


def _descriptor(one: Descriptor, address: int, encode: Callable[[MapOrder], bytes]) -> list[bytes]:
    """Return a map, or base, shape, strides and options; then the shape and strides that the kernel reads itself."""
    shape = _spread(one.shape) if one.passes_padded_shape else one.shape
    own = [*(to_bytes("i32", size) for size in shape), *(to_bytes("i64", stride) for stride in one.strides)]
    if one.tensor_map is not None:
        return [encode(to_order(one, one.tensor_map, address)), *own]
    options = (one.pads_with_nan, one.rounds_to_tf32)[: one.flags]
    apart = [*(to_bytes("i64", size) for size in one.shape), *(to_bytes("i64", stride) for stride in one.strides)]
    return [_unsigned(address, _POINTER_BYTES), *apart, *(to_bytes("i1", option) for option in options), *own]


def _spread(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Return a shape whose innermost bytes hold two 4-bit numbers each, in numbers."""
    return (*shape[:-1], 2 * shape[-1])


def to_order(one: Descriptor, chosen: TensorMap, address: int) -> MapOrder:
    """Return how a descriptor's tensor map is to be encoded."""
    sizes = (_spread(one.shape) if chosen.is_fp4_padded else one.shape)[::-1]
    strides = tuple(chosen.element_bytes * stride for stride in one.strides[-2::-1])
    number = _TF32 if one.rounds_to_tf32 else _ELEMENT_TYPES.get(chosen.element_type, chosen.element_type)
    steps = (chosen.element_bytes, *strides)
    return MapOrder(
        address=address,
        element_type=number,
        sizes=sizes,
        strides_bytes=strides,
        box=chosen.block_shape[::-1],
        swizzle=chosen.swizzle,
        pads_with_nan=one.pads_with_nan,
        last_byte=sum((size - 1) * step for size, step in zip(sizes, steps, strict=True)),
    )


def encode_map(order: MapOrder) -> bytes:
    """Have the driver encode a tensor map.

    Raises:
        DriverError: The hardware takes no such map: alignment, strides or box.
    """
    cuda = api()
    fills = cuda.CUtensorMapFloatOOBfill
    fill = fills.CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE
    if order.pads_with_nan:
        fill = fills.CU_TENSOR_MAP_FLOAT_OOB_FILL_NAN_REQUEST_ZERO_FMA
    (encoded,) = check(
        cuda.cuTensorMapEncodeTiled(
            cuda.CUtensorMapDataType(order.element_type),
            len(order.sizes),
            order.address,
            [cuda.cuuint64_t(size) for size in order.sizes],
            [cuda.cuuint64_t(stride) for stride in order.strides_bytes],
            [cuda.cuuint32_t(size) for size in order.box],
            [cuda.cuuint32_t(1)] * len(order.sizes),
            cuda.CUtensorMapInterleave.CU_TENSOR_MAP_INTERLEAVE_NONE,
            cuda.CUtensorMapSwizzle(order.swizzle),
            cuda.CUtensorMapL2promotion.CU_TENSOR_MAP_L2_PROMOTION_L2_128B,
            fill,
        ),
        "cuTensorMapEncodeTiled",
    )
    words = [int(word) for word in encoded.opaque]  # type: ignore[attr-defined]  # an object of cuda-bindings
    if order.last_byte + 1 < _SMALL_BYTES and driver_version() <= _LAST_FLAWED_DRIVER:
        words[1] &= ~_SMALL_MARK
    return struct.pack("<16Q", *words)


class Parameters:
    """A kernel's parameters in host memory, where the driver can read them at each launch.

    Args:
        values: As `pack` returns them.
        slots: What the kernel takes.

    Raises:
        PackingError: Their number or their sizes differ; the driver would read beyond them.
    """

    def __init__(self, values: tuple[bytes, ...], slots: tuple[Slot, ...]) -> None:
        sizes, wanted = [len(value) for value in values], [slot.size for slot in slots]
        if sizes != wanted:
            raise PackingError(f"expected parameters of {wanted} bytes; got {sizes}")
        end = max((slot.offset + slot.size for slot in slots), default=0)
        self._storage = ctypes.create_string_buffer(end + TENSOR_MAP_BYTES)
        start = -(-ctypes.addressof(self._storage) // TENSOR_MAP_BYTES) * TENSOR_MAP_BYTES
        places = [start + slot.offset for slot in slots]
        for place, value in zip(places, values, strict=True):
            ctypes.memmove(place, value, len(value))
        self._places = (ctypes.c_void_p * len(places))(*places)

    @property
    def address(self) -> int:
        """Where the array of their addresses lies."""
        return ctypes.addressof(self._places)
