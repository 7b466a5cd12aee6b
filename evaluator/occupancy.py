"""Theoretical occupancy: how many programs of a kernel fit one multiprocessor at once."""

from tilewright.evaluator.recording import Occupancy
from tilewright.sandbox.targets import Target

# Allocation granularities of NVIDIA's occupancy calculator, compute capability 8.0 to 10.0, and of AMD's CDNA 3.
_REGISTERS_GRANULE = 8  # registers a thread
_WARP_GRANULE = 4  # one warp for each of the four schedulers
_SHARED_GRANULE = 128
_SHARED_RESERVED = {"cuda": 1024, "hip": 0}  # bytes the system keeps for each resident program


def occupancy(*, registers: int, shared_bytes: int, threads: int, target: Target) -> Occupancy:
    """Return the occupancy of a kernel; zero programs means that it cannot be launched.

    Args:
        registers: Registers a thread.
        shared_bytes: Shared memory of a program, static and dynamic.
        threads: Threads of a program.
        target: The GPU.
    """
    warps = _ceil_div(threads, target.warp_size)
    # Of equal limits the first is named: what cannot be changed before what can.
    limits = {
        "threads": target.max_threads_per_multiprocessor // (warps * target.warp_size),
        "blocks": target.max_blocks_per_multiprocessor,
        "registers": _register_limit(registers, target) // warps,
        "shared": _shared_limit(shared_bytes, target),
    }
    if threads > target.max_threads_per_block:
        limits["threads"] = 0
    limiter = min(limits, key=lambda name: limits[name])
    blocks = limits[limiter]
    most = target.max_threads_per_multiprocessor // target.warp_size
    return Occupancy(blocks=blocks, share=blocks * warps / most, limiter=limiter)


def _register_limit(registers: int, target: Target) -> int:
    """Return how many warps the register file holds."""
    if registers > target.max_registers_per_thread:
        return 0
    of_warp = _ceil_div(max(registers, 1), _REGISTERS_GRANULE) * _REGISTERS_GRANULE * target.warp_size
    return target.registers_per_multiprocessor // of_warp // _WARP_GRANULE * _WARP_GRANULE


def _shared_limit(shared_bytes: int, target: Target) -> int:
    if shared_bytes > target.shared_bytes_per_block:
        return 0
    used = shared_bytes + _SHARED_RESERVED[target.backend]
    if used == 0:
        return target.max_blocks_per_multiprocessor
    return target.shared_bytes_per_multiprocessor // (_ceil_div(used, _SHARED_GRANULE) * _SHARED_GRANULE)


def _ceil_div(numerator: int, denominator: int) -> int:
    return -(-numerator // denominator)
