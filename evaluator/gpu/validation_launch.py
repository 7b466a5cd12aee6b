"""Whether a plan's launches name known binaries, stay within the device's limits and point into its buffers."""

import re
import struct
from collections.abc import Mapping

from tilewright.evaluator.dossier import Binary
from tilewright.evaluator.gpu.packing import SCALAR_BYTES
from tilewright.evaluator.gpu.validation_view import need
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.plan import Buffer, Constant, Descriptor, Launch, Pointer, Scalar
from tilewright.sandbox.targets import Target

_MOST_GRID = (2**31 - 1, 65_535, 65_535)
_CLUSTERS = (1, 2, 4, 8, 16)
_FIRST_WITH_CLUSTERS = 90
_FLAGS = frozenset({"cooperative", "pdl"})
_MOST_SCRATCH_ALIGN = 512
_MOST_RANK = 5
_MOST_BOX = 256
_CUDA_MACHINE = 190
_ELF_BYTES = 52
_DESCRIPTOR = re.compile(r"tensordesc<(\w+)\[")
_ELEMENT_BYTES = {**SCALAR_BYTES, "fp8e4nv": 1, "fp8e5": 1, "fp8e4b15": 1}


def check_launch(
    where: str, launch: Launch, buffers: tuple[Buffer, ...], binaries: Mapping[str, Binary], target: Target
) -> None:
    """Check one launch.

    Raises:
        PlanError: It may not be made.
    """
    binary = binaries.get(launch.ptx_sha)
    need(binary is not None, where, "a binary of the candidate", f"{launch.ptx_sha[:12] or 'none'}")
    arch = cubin_arch(binary.data) if binary is not None else None
    need(arch == target.arch, where, f"a binary for sm_{target.arch}", "no binary" if arch is None else f"sm_{arch}")
    _check_size(where, launch, target)
    _check_scratch(where, launch, target)
    # a grid of no programs touches nothing, and empty tensors may lie beyond their buffer's end
    for argument in launch.arguments if launch.programs else ():
        what = f"{where}, {argument.name}"
        if isinstance(argument, Pointer):
            _check_pointer(what, argument, buffers)
        elif isinstance(argument, Descriptor):
            _check_descriptor(what, argument, buffers)
        elif isinstance(argument, Scalar):
            need(argument.signature in SCALAR_BYTES, what, "a scalar type of Triton", argument.signature)
        else:
            assert isinstance(argument, Constant)


def cubin_arch(data: bytes) -> int | None:
    """Return the architecture of a cubin (90 for sm_90 and sm_90a), or None if it is none.

    The flags' layout changed with CUDA 13's ELF version 8.
    """
    if len(data) < _ELF_BYTES or data[:4] != b"\x7fELF" or struct.unpack_from("<H", data, 18)[0] != _CUDA_MACHINE:
        return None
    flags = int(struct.unpack_from("<I", data, 48)[0])
    return (flags >> 8 if data[8] >= 8 else flags) & 0xFF


def _check_size(where: str, launch: Launch, target: Target) -> None:
    is_known = launch.num_ctas in _CLUSTERS and (
        launch.num_ctas == 1 or (isinstance(target.arch, int) and target.arch >= _FIRST_WITH_CLUSTERS)
    )
    need(is_known, where, "a cluster that the device forms", f"num_ctas={launch.num_ctas}")
    blocks = (launch.grid[0] * launch.num_ctas, *launch.grid[1:])
    is_within = all(0 <= size <= most for size, most in zip(blocks, _MOST_GRID, strict=True))
    need(is_within, where, f"a grid within {_MOST_GRID}", str(blocks))
    most, resources = target.max_threads_per_block, FailureKind.RESOURCES
    threads = launch.num_warps * target.warp_size
    need(0 < threads <= most, where, f"1 to {most} threads", str(threads), kind=resources)
    most, shared = target.shared_bytes_per_block, launch.shared_bytes
    need(0 <= shared <= most, where, f"at most {most} bytes of shared memory", str(shared), kind=resources)
    unknown = sorted(set(launch.flags) - _FLAGS)
    need(not unknown, where, f"launch options among {', '.join(sorted(_FLAGS))}", ", ".join(unknown)[:80])


def _check_scratch(where: str, launch: Launch, target: Target) -> None:
    for count, align in (
        (launch.global_scratch_bytes, launch.global_scratch_align),
        (launch.profile_scratch_bytes, launch.profile_scratch_align),
    ):
        need(count >= 0, where, "scratch memory of no negative size", str(count))
        is_power = 0 < align <= _MOST_SCRATCH_ALIGN and align & (align - 1) == 0
        need(is_power, where, f"scratch memory aligned to at most {_MOST_SCRATCH_ALIGN} bytes", str(align))
        total, most = count * launch.programs * launch.num_ctas, target.memory_bytes
        need(total <= most, where, f"at most {most} bytes of scratch memory", str(total), kind=FailureKind.MEMORY_LIMIT)


def _check_pointer(where: str, pointer: Pointer, buffers: tuple[Buffer, ...]) -> None:
    need(pointer.signature.startswith("*"), where, "a pointer type of Triton", pointer.signature)
    size = _size_of(where, pointer.buffer, buffers)
    is_within = 0 <= pointer.offset_bytes <= size
    need(is_within, where, f"an address within {size} bytes of buffer {pointer.buffer}", f"byte {pointer.offset_bytes}")


def _check_descriptor(where: str, one: Descriptor, buffers: tuple[Buffer, ...]) -> None:
    rank, chosen = len(one.shape), one.tensor_map
    need(1 <= rank <= _MOST_RANK, where, f"1 to {_MOST_RANK} dimensions", str(rank))
    ranks = {len(one.strides), len(one.block_shape), rank if chosen is None else len(chosen.block_shape)}
    need(ranks == {rank}, where, "sizes, strides and block of one rank", str(sorted(ranks)))
    is_positive = min(one.shape) > 0 and min(one.strides) >= 0 and one.strides[-1] == 1 and one.offset_bytes >= 0
    need(is_positive, where, "sizes above 0, strides of 0 or more, the last one 1", f"{one.shape}, {one.strides}")
    need(0 <= one.flags <= 2, where, "at most 2 options", str(one.flags))
    if chosen is not None:
        is_box = all(0 < size <= _MOST_BOX for size in chosen.block_shape) and 0 <= chosen.element_type < 16
        need(is_box and 0 <= chosen.swizzle < 4, where, "a tensor map that the hardware knows", str(chosen))
        need(chosen.element_bytes in (1, 2, 4, 8), where, "elements of 1 to 8 bytes", str(chosen.element_bytes))
    last = sum((size - 1) * stride for size, stride in zip(one.shape, one.strides, strict=True))
    end = one.offset_bytes + (last + 1) * _element_bytes(where, one)
    size = _size_of(where, one.buffer, buffers)
    need(end <= size, where, f"a tensor within the {size} bytes of buffer {one.buffer}", f"its end at byte {end}")


def _element_bytes(where: str, one: Descriptor) -> int:
    found = _DESCRIPTOR.match(one.signature)
    size = _ELEMENT_BYTES.get(found.group(1)) if found else None
    need(size is not None, where, "a tensor descriptor type of Triton", one.signature[:60])
    return max(size or 0, one.tensor_map.element_bytes if one.tensor_map is not None else 0)


def _size_of(where: str, buffer: int, buffers: tuple[Buffer, ...]) -> int:
    need(0 <= buffer < len(buffers), where, f"one of {len(buffers)} buffers", f"number {buffer}")
    return buffers[buffer].bytes
