"""How many bytes a launch asks for, and how many of them must come from DRAM."""

import math
from dataclasses import dataclass

from tilewright.evaluator.recording import KernelFacts
from tilewright.sandbox.plan import (
    Alloc,
    Aten,
    BufferOrigin,
    Descriptor,
    Launch,
    LaunchPlan,
    Pointer,
    Step,
    View,
    Views,
)
from tilewright.sandbox.protocol import LaunchCount
from tilewright.sandbox.targets import Target

SECTOR_BYTES = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Traffic:
    """Bytes of one launch.

    Attributes:
        requested_bytes: Whole sectors that loads and stores ask the second-level cache for.
        compulsory_bytes: Distinct bytes read and written.
        cached_bytes: Of the compulsory bytes, those that an earlier step left in the second-level cache.
        requested_loads: Of the requested bytes, those of loads.
        unique_loads: Of the compulsory bytes, those of loads.
        scratch_bytes: Size of the buffers that it may write.
        active: Programs that are resident at once.
        programs: Programs of the grid.
        is_persistent: Whether programs go over the grid's work themselves.
    """

    requested_bytes: float
    compulsory_bytes: float
    cached_bytes: float
    requested_loads: float
    unique_loads: float
    scratch_bytes: float
    active: int
    programs: int
    is_persistent: bool

    def dram_bytes(self, capacity_bytes: float) -> float:
        """Return bytes that come from or go to DRAM, if the second-level cache keeps so many for another read.

        Resident programs share what they load: in a product of tiles, a wave of P programs loads the operands of
        about sqrt(P) rows and columns. A row that one program reads twice stays if the rows of all resident programs
        fit. Everything stays if everything fits.
        """
        compulsory = self.compulsory_bytes - self.cached_bytes
        loads, unique = self.requested_loads, self.unique_loads
        if not unique or loads <= unique or self.compulsory_bytes <= capacity_bytes or self.is_persistent:
            return compulsory
        times = loads / unique
        resident = self.active * (loads / self.programs) / times
        hit = min(1.0, capacity_bytes / resident) if resident else 1.0
        shared = 1.0 + (min(times, math.sqrt(self.active)) - 1.0) * hit
        return compulsory + max(0.0, loads / shared - unique)

    @property
    def reread(self) -> float:
        """How often a byte is asked for, on average."""
        return self.requested_loads / self.unique_loads if self.unique_loads else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Buffers:
    """Sizes of what a launch may touch: what it may read, what of that lies in the cache, and scratch."""

    readable: int
    cached: int
    scratch: int


def launch_traffic(plan: LaunchPlan, step: int, count: LaunchCount, facts: KernelFacts, target: Target) -> Traffic:
    """Return the traffic of one launch of a plan.

    Loads beyond the distinct bytes hit the second-level cache if the programs that are resident at once share
    them, or if everything fits; stores reach DRAM once.

    Args:
        plan: The recorded work.
        step: Index of the launch among the plan's steps.
        count: What its programs ask for.
        facts: The compiler's facts on its kernel.
        target: The part.
    """
    launch = plan.steps[step]
    assert isinstance(launch, Launch)
    buffers = _buffers(plan, step, launch, target)
    loads = float(max(count.load_bytes, count.load_sectors * SECTOR_BYTES))
    stores = float(max(count.store_bytes, count.store_sectors * SECTOR_BYTES))
    unique_loads = min(loads, float(buffers.readable))
    unique_stores = min(stores, float(buffers.scratch)) if buffers.scratch else stores
    cached = unique_loads * (buffers.cached / buffers.readable if buffers.readable else 0.0)
    compulsory = unique_loads + unique_stores
    return Traffic(
        requested_bytes=loads + stores,
        compulsory_bytes=compulsory,
        cached_bytes=cached,
        requested_loads=loads,
        unique_loads=unique_loads,
        scratch_bytes=float(buffers.scratch),
        active=min(launch.programs, target.multiprocessors * max(1, facts.occupancy.blocks)),
        programs=launch.programs,
        is_persistent=facts.grid_rank_loops,
    )


def _buffers(plan: LaunchPlan, step: int, launch: Launch, target: Target) -> _Buffers:
    """Return sizes of the buffers that a launch may touch."""
    touched = _touched(launch)
    earlier = {one for before in plan.steps[:step] for one in _touched(before)}
    sizes = {one.index: one.bytes for one in plan.buffers}
    scratch = {one.index for one in plan.buffers if one.origin is BufferOrigin.SCRATCH} & touched
    old = scratch & earlier
    readable = sum(sizes[one] for one in (touched - scratch) | old)
    cached = sum(sizes[one] for one in old if sizes[one] <= target.l2_bytes // 2)
    return _Buffers(
        readable=readable or sum(sizes[one] for one in touched),
        cached=cached if readable else 0,
        scratch=sum(sizes[one] for one in scratch),
    )


def _touched(step: Step) -> frozenset[int]:
    """Return the buffers that a step reads or writes; allocating touches nothing."""
    match step:
        case Launch(arguments=arguments):
            return frozenset(one.buffer for one in arguments if isinstance(one, Pointer | Descriptor))
        case Aten(arguments=positional, keywords=keywords, outputs=outputs):
            values = (*positional, *(one.value for one in keywords), *outputs)
            views = [one for one in values if isinstance(one, View)]
            views += [view for one in values if isinstance(one, Views) for view in one.views]
            return frozenset(view.buffer for view in views)
        case Alloc():
            return frozenset()
