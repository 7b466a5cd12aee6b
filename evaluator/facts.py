"""From assembly text to a KernelBuild: the compiler's facts of one kernel, or why it cannot be launched."""

import re

import msgspec

from tilewright.evaluator.amdgcn import read_amdgcn
from tilewright.evaluator.assembly import Cubin, assemble
from tilewright.evaluator.occupancy import occupancy
from tilewright.evaluator.recording import KernelBuild, KernelFacts
from tilewright.evaluator.sass import read_machine_code
from tilewright.evaluator.static_ptx import forbidden_read
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import Launch
from tilewright.sandbox.protocol import Ptx
from tilewright.sandbox.targets import Target

# AMD's compiler lists the hidden arguments that a kernel reads.
_GRID_SIZE = {"cuda": re.compile(r"%nctaid\b"), "hip": re.compile(r"\bhidden_block_count_x\b")}


class BuiltKernel(msgspec.Struct, frozen=True, kw_only=True):
    """A build and its binary; for `hip` targets, which are compiled to text only, the binary is the text."""

    build: KernelBuild
    binary: bytes


def build_kernel(ptx: Ptx, launch: Launch, target: Target) -> BuiltKernel | Failure:
    """Assemble a kernel and read its facts.

    Args:
        ptx: Assembly text, not yet trusted.
        launch: A launch of it, for its name and its dynamic shared memory.
        target: The GPU.

    Returns:
        The build, or the candidate's fault: FORBIDDEN, COMPILE_ERROR, TIME_LIMIT, PROTOCOL or RESOURCES.
    """
    forbidden = forbidden_read(ptx.text, launch.kernel, target.backend)
    if forbidden is not None:
        return forbidden
    if target.backend == "hip":
        return _from_amdgcn(ptx, launch, target)
    cubin = assemble(ptx, target)
    if isinstance(cubin, Failure):
        return cubin
    return _from_cubin(cubin, ptx, launch, target)


def _from_cubin(cubin: Cubin, ptx: Ptx, launch: Launch, target: Target) -> BuiltKernel | Failure:
    code = read_machine_code(cubin.data, arch=int(target.arch))
    shared_bytes = cubin.shared_bytes + launch.shared_bytes
    fit = occupancy(
        registers=cubin.registers,
        shared_bytes=shared_bytes,
        threads=launch.num_warps * target.warp_size,
        target=target,
    )
    facts = KernelFacts(
        registers=cubin.registers,
        spill_bytes=cubin.spill_bytes,
        stack_bytes=cubin.stack_bytes,
        shared_bytes=shared_bytes,
        occupancy=fit,
        mix=code.mix,
        sass_sha=code.sha,
        grid_rank_loops=_strides_by_grid(ptx.text, code.mix.branches_back, target),
    )
    return _checked(facts, launch, target) or _built(ptx, launch, facts, cubin.data)


def _from_amdgcn(ptx: Ptx, launch: Launch, target: Target) -> BuiltKernel | Failure:
    read = read_amdgcn(ptx.text, ptx.entry)
    shared_bytes = max(read.shared_bytes, launch.shared_bytes)
    threads = launch.num_warps * target.warp_size
    facts = KernelFacts(
        registers=read.registers,
        spill_bytes=read.spill_bytes,
        stack_bytes=read.stack_bytes,
        shared_bytes=shared_bytes,
        occupancy=occupancy(registers=read.registers, shared_bytes=shared_bytes, threads=threads, target=target),
        mix=read.mix,
        sass_sha=read.sha,
        grid_rank_loops=_strides_by_grid(ptx.text, read.mix.branches_back, target),
    )
    return _checked(facts, launch, target) or _built(ptx, launch, facts, ptx.text.encode())


def _built(ptx: Ptx, launch: Launch, facts: KernelFacts, binary: bytes) -> BuiltKernel:
    sha = Cubin(data=binary, registers=0, spill_bytes=0, stack_bytes=0, shared_bytes=0).sha
    build = KernelBuild(kernel=launch.kernel, entry=ptx.entry, ptx_sha=ptx.sha, cubin_sha=sha, facts=facts)
    return BuiltKernel(build=build, binary=binary)


def _strides_by_grid(text: str, loops: int, target: Target) -> bool:
    """Return whether a kernel with loops asks for the grid's size, as one that walks over several tiles does."""
    return loops > 0 and _GRID_SIZE[target.backend].search(text) is not None


def _checked(facts: KernelFacts, launch: Launch, target: Target) -> Failure | None:
    """Return a RESOURCES failure if not one program of the kernel fits the target."""
    if facts.occupancy.blocks > 0:
        return None
    threads = launch.num_warps * target.warp_size
    found = {
        "shared": (f"{target.shared_bytes_per_block} bytes of shared memory", f"{facts.shared_bytes}"),
        "registers": (
            f"{target.registers_per_multiprocessor} registers a program",
            f"{facts.registers} for each of {threads} threads",
        ),
        "threads": (f"{target.max_threads_per_block} threads a program", f"{threads}"),
    }
    expected, got = found.get(facts.occupancy.limiter, ("a kernel that fits", facts.occupancy.limiter))
    return Failure(
        kind=FailureKind.RESOURCES,
        stage=Stage.COMPILE,
        message=f"{launch.kernel}: expected at most {expected} on {target.name}; got {got}",
        hint="Choose smaller tiles, fewer stages or fewer warps.",
    )
