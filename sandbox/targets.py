"""The GPUs that kernels are compiled for: what Triton and a launcher may ask about them."""

import msgspec

from tilewright.tasks.errors import UserError


class Target(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A GPU architecture and the limits of its usual part.

    Attributes:
        name: `backend:architecture`, such as `cuda:90`.
        device: Name of the part that the limits belong to.
        backend: `cuda` or `hip`.
        arch: Compute capability times ten (80, 90, 100) or the AMD architecture name.
        warp_size: Threads of a warp.
        multiprocessors: Streaming multiprocessors (or compute units).
        shared_bytes_per_block: Most shared memory that one program may use.
        shared_bytes_per_multiprocessor: Shared memory of a multiprocessor, the reserved part included.
        registers_per_multiprocessor: 32-bit registers.
        max_registers_per_thread: Most registers that a thread may use.
        max_threads_per_multiprocessor: Resident threads.
        max_threads_per_block: Threads of a program.
        max_blocks_per_multiprocessor: Resident programs.
        memory_bytes: Device memory.
        l2_bytes: Second-level cache.
    """

    name: str
    device: str
    backend: str
    arch: int | str
    warp_size: int
    multiprocessors: int
    shared_bytes_per_block: int
    shared_bytes_per_multiprocessor: int
    registers_per_multiprocessor: int
    max_registers_per_thread: int
    max_threads_per_multiprocessor: int
    max_threads_per_block: int
    max_blocks_per_multiprocessor: int
    memory_bytes: int
    l2_bytes: int

    @property
    def capability(self) -> tuple[int, int]:
        """CUDA compute capability as (major, minor); (9, 4) stands for gfx942."""
        if isinstance(self.arch, int):
            return divmod(self.arch, 10)
        digits = self.arch.removeprefix("gfx")
        return int(digits[0]), int(digits[1], 16)


class UnknownTargetError(UserError):
    """The user named a target that Tilewright does not know."""


# NVIDIA's limits: CUDA C++ Programming Guide, table "Technical Specifications per Compute Capability".
_TARGETS = (
    Target(
        name="cuda:80", device="NVIDIA A100", backend="cuda", arch=80, warp_size=32, multiprocessors=108,
        shared_bytes_per_block=166_912, shared_bytes_per_multiprocessor=167_936,
        registers_per_multiprocessor=65_536, max_registers_per_thread=255,
        max_threads_per_multiprocessor=2048, max_threads_per_block=1024, max_blocks_per_multiprocessor=32,
        memory_bytes=80 << 30, l2_bytes=40 << 20,
    ),
    Target(
        name="cuda:90", device="NVIDIA H200", backend="cuda", arch=90, warp_size=32, multiprocessors=132,
        shared_bytes_per_block=232_448, shared_bytes_per_multiprocessor=233_472,
        registers_per_multiprocessor=65_536, max_registers_per_thread=255,
        max_threads_per_multiprocessor=2048, max_threads_per_block=1024, max_blocks_per_multiprocessor=32,
        memory_bytes=141 << 30, l2_bytes=50 << 20,
    ),
    Target(
        name="cuda:100", device="NVIDIA B200", backend="cuda", arch=100, warp_size=32, multiprocessors=148,
        shared_bytes_per_block=232_448, shared_bytes_per_multiprocessor=233_472,
        registers_per_multiprocessor=65_536, max_registers_per_thread=255,
        max_threads_per_multiprocessor=2048, max_threads_per_block=1024, max_blocks_per_multiprocessor=32,
        memory_bytes=180 << 30, l2_bytes=126 << 20,
    ),
    Target(
        name="hip:gfx942", device="AMD MI300X", backend="hip", arch="gfx942", warp_size=64, multiprocessors=304,
        shared_bytes_per_block=65_536, shared_bytes_per_multiprocessor=65_536,
        registers_per_multiprocessor=131_072, max_registers_per_thread=512,
        max_threads_per_multiprocessor=2048, max_threads_per_block=1024, max_blocks_per_multiprocessor=32,
        memory_bytes=192 << 30, l2_bytes=4 << 20,
    ),
)  # fmt: skip


def target_names() -> tuple[str, ...]:
    """Return the names of all known targets."""
    return tuple(target.name for target in _TARGETS)


def find_target(name: str) -> Target:
    """Return the target of a name.

    Raises:
        UnknownTargetError: No target has that name.
    """
    for target in _TARGETS:
        if target.name == name:
            return target
    raise UnknownTargetError(f"expected a target, one of {', '.join(target_names())}; got {name!r}")
