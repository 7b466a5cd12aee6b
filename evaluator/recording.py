"""A candidate that was recorded and compiled: plans, binaries and the compiler's facts."""

import hashlib

import msgspec
from msgspec import structs

from tilewright.sandbox.plan import Constant, Launch, LaunchPlan
from tilewright.sandbox.protocol import LaunchCount
from tilewright.tasks.candidate import KnobRange


class InstructionMix(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Static instruction counts of a kernel's SASS (or PTX, where a field says so)."""

    total: int = 0
    hgmma: int = 0  # warp-group matrix products (Hopper)
    hmma: int = 0  # warp matrix products
    ldgsts: int = 0  # asynchronous copies, global to shared (cp.async)
    utmaldg: int = 0  # bulk tensor loads (TMA)
    global_loads: int = 0
    global_loads_128: int = 0
    global_stores: int = 0
    global_stores_128: int = 0
    shared_loads: int = 0
    shared_stores: int = 0
    local_accesses: int = 0  # spills and indexed register arrays
    atomics: int = 0
    barriers: int = 0
    shuffles: int = 0
    special: int = 0  # MUFU
    branches_back: int = 0  # loops
    loop_total: int = 0  # instructions within loops
    load_bytes: int = 0  # bytes that a thread's loads from global memory fetch, each executed once
    loop_load_bytes: int = 0  # of these, those within loops


class Occupancy(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Theoretical occupancy of a kernel.

    Attributes:
        blocks: Programs that fit a multiprocessor at once.
        share: Resident warps over the most possible, 0 to 1.
        limiter: `registers`, `shared`, `threads` or `blocks`.
    """

    blocks: int
    share: float
    limiter: str


class KernelFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the compiler says of one binary.

    Attributes:
        registers: Registers a thread.
        spill_bytes: Bytes of spill stores and loads together.
        stack_bytes: Stack frame of a thread.
        shared_bytes: Shared memory of a program, static and dynamic.
        occupancy: Theoretical occupancy.
        mix: Instruction counts.
        sass_sha: SHA-256 of the normalised SASS (no addresses, no names).
        grid_rank_loops: Whether a loop strides by the grid's size (a persistent kernel).
    """

    registers: int
    spill_bytes: int
    stack_bytes: int
    shared_bytes: int
    occupancy: Occupancy
    mix: InstructionMix
    sass_sha: str
    grid_rank_loops: bool


class KernelBuild(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One compiled kernel: its PTX, its binary (content-addressed) and its facts."""

    kernel: str
    entry: str
    ptx_sha: str
    cubin_sha: str
    facts: KernelFacts


class CaseCount(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Work of each launch of one bench case, in the order of the plan's launches."""

    case: str
    launches: tuple[LaunchCount, ...]


class Recording(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A candidate as the compiler sees it, for every bench case of its task.

    Attributes:
        candidate_id: The candidate.
        target: Name of the target.
        plans: One plan a bench case.
        builds: Each distinct kernel once.
        knobs: Knobs that the file declares, autotune configurations included.
        wall_s: Seconds that recording and compiling took.
    """

    candidate_id: str
    target: str
    plans: tuple[LaunchPlan, ...]
    builds: tuple[KernelBuild, ...]
    knobs: tuple[KnobRange, ...]
    wall_s: float

    @property
    def binary_id(self) -> str:
        """Hash of what runs: every launch's normalised SASS, grid and scalar arguments, and other steps.

        Two candidates with one binary_id do the same work on the GPU, whatever their sources say.
        """
        sass = {build.ptx_sha: build.facts.sass_sha for build in self.builds}
        parts = [_behaviour(plan, sass) for plan in self.plans]
        return hashlib.sha256(msgspec.msgpack.encode(parts)).hexdigest()

    def build_of(self, ptx_sha: str) -> KernelBuild:
        """Return the build with that PTX."""
        return next(build for build in self.builds if build.ptx_sha == ptx_sha)


def _behaviour(plan: LaunchPlan, sass: dict[str, str]) -> list[object]:
    """Return the parts of a plan that decide what the GPU does, names left out."""
    steps: list[object] = []
    for step in plan.steps:
        if isinstance(step, Launch):
            passed = [structs.replace(a, name="") for a in step.arguments if not isinstance(a, Constant)]
            steps.append((sass[step.ptx_sha], step.grid, step.num_warps, step.num_ctas, step.flags, passed))
        else:
            steps.append(step)
    return [plan.case, steps, plan.outputs]
