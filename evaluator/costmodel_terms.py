"""The terms of the cost model: what bounds one launch, each with the numbers that it comes from."""

import math
from dataclasses import dataclass

from tilewright.evaluator.costmodel_constants import CostConstants
from tilewright.evaluator.hardware import Hardware
from tilewright.evaluator.recording import KernelFacts
from tilewright.evaluator.timing import CostTerm
from tilewright.evaluator.traffic import Traffic
from tilewright.sandbox.plan import Launch
from tilewright.sandbox.protocol import LaunchCount
from tilewright.sandbox.targets import Target

_WIDE_BYTES = 16.0  # of the widest load
_LEAST_BYTES = 2.0  # of a thread's load


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchWork:
    """Everything known of one launch."""

    launch: Launch
    count: LaunchCount
    facts: KernelFacts
    traffic: Traffic
    target: Target
    hardware: Hardware

    @property
    def constants(self) -> CostConstants:
        """What the model assumes of the part beyond its rates."""
        return self.hardware.constants

    @property
    def threads(self) -> int:
        """Threads of a program."""
        return self.launch.num_warps * self.target.warp_size

    @property
    def slots(self) -> int:
        """Programs that the device holds at once."""
        return self.target.multiprocessors * max(1, self.facts.occupancy.blocks)

    @property
    def imbalance(self) -> float:
        """Work of the busiest multiprocessor over the average."""
        share = self.launch.programs / self.target.multiprocessors
        return math.ceil(share) / share if share else 1.0

    @property
    def clocks_per_us(self) -> float:
        """Clocks of all multiprocessors together in a microsecond."""
        return self.hardware.clock_mhz * self.target.multiprocessors

    @property
    def is_pipelined(self) -> bool:
        """Whether loads run ahead asynchronously."""
        return bool(self.facts.mix.ldgsts or self.facts.mix.utmaldg)

    @property
    def pass_bytes(self) -> float:
        """Bytes that a program's load instructions fetch when each runs once."""
        mix = self.facts.mix
        wide = mix.global_loads_128 + mix.ldgsts
        narrow = max(0, mix.global_loads - mix.global_loads_128)
        if mix.utmaldg:
            return max(1.0, self.facts.shared_bytes / max(1, self.launch.num_stages))
        return max(1.0, self.threads * (_WIDE_BYTES * wide + self.constants.narrow_bytes * narrow))

    @property
    def thread_bytes(self) -> float:
        """Bytes that a thread loads; where threads outnumber elements, several load the same one."""
        programs = max(1, self.launch.programs)
        of_thread = self.count.load_bytes / programs / self.threads
        return max(of_thread, self.count.load_calls / programs * _LEAST_BYTES)

    @property
    def trips(self) -> float:
        """How often the kernel's loops go round: bytes that are loaded over those of one round."""
        mix = self.facts.mix
        if not mix.branches_back:
            return 1.0
        if not mix.loop_load_bytes or mix.utmaldg:
            per_program = self.traffic.requested_loads / max(1, self.launch.programs)
            return max(1.0, per_program / self.pass_bytes)
        # Copies before a pipelined loop are its first rounds; other loads before or after a loop come on top.
        straight = 0 if mix.ldgsts else mix.load_bytes - mix.loop_load_bytes
        return max(1.0, (self.thread_bytes - straight) / mix.loop_load_bytes)

    @property
    def executed(self) -> float:
        """Instructions that a warp starts: those of loops as often as these go round."""
        mix = self.facts.mix
        return mix.total + mix.loop_total * (self.trips - 1.0)

    @property
    def flight_bytes(self) -> float:
        """Bytes of loads under way at once on the whole device; stores wait for nothing."""
        per_program = self.traffic.requested_loads / max(1, self.launch.programs)
        ahead = self.facts.shared_bytes if self.is_pipelined else min(self.pass_bytes, per_program / self.trips)
        return min(self.slots, self.launch.programs) * min(max(ahead, 1.0), max(per_program, 1.0))

    @property
    def overlap(self) -> float:
        """How well resources work at once: 1 is one after another, infinity is perfect.

        A program that has a multiprocessor to itself loads, computes and stores in turn, unless it loads ahead.
        """
        most = self.constants.overlap_exponent
        if self.is_pipelined or self.count.dot_flops:
            return most
        blocks = max(1, self.facts.occupancy.blocks)
        return 1.0 + (most - 1.0) * blocks / (blocks + self.constants.overlap_blocks)


def launch_terms(work: LaunchWork) -> tuple[CostTerm, ...]:
    """Return the terms of a launch; their sum is its time without its start.

    The resources work side by side: the time is the norm of their times with `LaunchWork.overlap`. What overlap hides
    is a negative term, so that the terms add up.
    """
    product = _product(work)
    beside = (_special(work), _issue(work))
    memory = (_dram(work), _cache(work))
    waits = (_latency(work),)
    if product.us:
        compute = product.us + work.constants.serial_share * sum(term.us for term in beside)
        parallel = (compute, *(term.us for term in (*memory, *waits)))
    else:
        parallel = tuple(term.us for term in (*beside, *memory, *waits))
    serial = (_spills(work), _atomics(work))
    raw = (product, *beside, *memory, *waits)
    joint = sum(us**work.overlap for us in parallel) ** (1 / work.overlap)
    hidden = CostTerm(name="overlap", us=joint - sum(term.us for term in raw), reason="what the terms above do at once")
    return tuple(term for term in (*raw, hidden, *serial) if term.us)


def _dram(work: LaunchWork) -> CostTerm:
    """Return the time of DRAM traffic; loads draw the bandwidth that the bytes under way allow (Little's law)."""
    hardware, traffic = work.hardware, work.traffic
    needed = hardware.dram_gb_s * hardware.memory_latency_ns
    share = max(1e-3, math.tanh(work.flight_bytes / needed)) if traffic.requested_loads else 1.0
    moved = traffic.dram_bytes(work.constants.cache_share * work.target.l2_bytes)
    loads = moved - (traffic.compulsory_bytes - traffic.unique_loads)
    us = hardware.dram_us(loads / share + moved - loads)
    reason = (
        f"{moved / 1e6:.1f} MB, loads at {share:.0%} of {hardware.dram_gb_s:.0f} GB/s: "
        f"{work.flight_bytes / 1e6:.1f} MB under way, {needed / 1e6:.1f} MB fill the latency"
    )
    return CostTerm(name="dram", us=us, reason=reason)


def _cache(work: LaunchWork) -> CostTerm:
    """Return the time of everything that loads and stores ask the second-level cache for."""
    requested = work.traffic.requested_bytes
    us = requested / (work.hardware.l2_gb_s * 1e3) * work.imbalance
    reason = f"{requested / 1e6:.1f} MB asked for, each byte loaded {work.traffic.reread:.1f} times"
    return CostTerm(name="l2", us=us, reason=reason)


def _latency(work: LaunchWork) -> CostTerm:
    """Return the time of programs that wait for their own loads, wave after wave."""
    depth = max(1, work.launch.num_stages - 1) if work.is_pipelined else 1
    barriers_us = work.facts.mix.barriers * min(work.trips, 64.0) * work.constants.barrier_us
    waits_us = work.trips * work.hardware.memory_latency_ns * 1e-3 / depth
    waves = math.ceil(work.launch.programs / work.slots)
    us = waves * (work.constants.program_start_us + waits_us + barriers_us)
    reason = f"{waves} waves of {work.slots} programs, each waits {work.trips:.0f} times for loads, {depth} in flight"
    return CostTerm(name="latency", us=us, reason=reason)


def _product(work: LaunchWork) -> CostTerm:
    """Return the time of `tl.dot`."""
    flops = work.count.dot_flops
    if not flops:
        return CostTerm(name="products", us=0.0, reason="")
    mix = work.facts.mix
    peak = work.hardware.matrix_tflops(work.count.dot_dtype)
    if mix.hgmma:
        share, unit = work.constants.warp_group_share, "warp-group products"
    elif mix.hmma or work.target.backend != "cuda":
        is_native = work.target.backend != "cuda" or work.target.capability[0] < 9
        share, unit = (work.constants.warp_group_share if is_native else work.constants.warp_share), "warp products"
    else:
        peak, share, unit = work.hardware.fp32_tflops, work.constants.vector_share, "no tensor cores"
    if not work.is_pipelined:
        share, unit = share * work.constants.synchronous_share, f"{unit}, loads not pipelined"
    us = flops / (peak * share * 1e6) * work.imbalance
    reason = f"{flops / 1e9:.1f} GFLOP of {work.count.dot_dtype} at {peak * share:.0f} TFLOP/s: {unit}"
    return CostTerm(name="products", us=us, reason=f"{reason}, last wave {work.imbalance:.2f}x")


def _special(work: LaunchWork) -> CostTerm:
    """Return the time of exp, log, rsqrt, division and the like."""
    count = work.count.special_operations
    us = count / (work.hardware.special_per_clock * work.clocks_per_us) * work.imbalance
    return CostTerm(name="special", us=us, reason=f"{count / 1e6:.1f} M exponentials, roots and divisions")


def _issue(work: LaunchWork) -> CostTerm:
    """Return the time that starting instructions takes.

    Every instruction of a kernel once, those of its loops as often as these go round; around products, whose
    instructions are few and large, the counted element-wise operations.
    """
    operations = work.count.arithmetic_operations
    mix = work.facts.mix
    if work.count.dot_flops or not mix.total or (mix.branches_back and not mix.loop_total):
        slots = work.hardware.lanes_per_clock * work.clocks_per_us
        us = work.constants.loop_issue_factor * operations / slots * work.imbalance
        return CostTerm(name="issue", us=us, reason=f"{operations / 1e6:.1f} M operations")
    warps = work.launch.programs * work.launch.num_warps
    slots = work.hardware.lanes_per_clock / 32 * work.clocks_per_us * work.constants.issue_share
    us = work.executed * warps / slots * work.imbalance
    return CostTerm(name="issue", us=us, reason=f"{work.executed:.0f} instructions in each of {warps} warps")


def _spills(work: LaunchWork) -> CostTerm:
    """Return the time of registers that are written to memory and read again."""
    if not work.facts.spill_bytes:
        return CostTerm(name="spills", us=0.0, reason="")
    moved = work.facts.spill_bytes * work.threads * work.launch.programs * work.trips
    kept = work.facts.spill_bytes / 2 * work.threads * min(work.slots, work.launch.programs)
    factor = 1.0 if kept > work.target.l2_bytes else work.constants.spill_cached_factor
    us = moved / (work.constants.spill_bytes_per_clock * factor * work.clocks_per_us)
    return CostTerm(
        name="spills", us=us, reason=f"{work.facts.spill_bytes} bytes a thread, {moved / 1e6:.0f} MB in all"
    )


def _atomics(work: LaunchWork) -> CostTerm:
    """Return the time of atomic operations, which queue at each address."""
    count = work.count.atomic_operations
    if not count:
        return CostTerm(name="atomics", us=0.0, reason="")
    addresses = min(float(count), max(1.0, work.traffic.scratch_bytes / 4))
    us = count / min(work.constants.atomics_per_us, work.constants.atomics_per_address_us * addresses)
    return CostTerm(name="atomics", us=us, reason=f"{count / 1e3:.1f} thousand, to about {addresses:.0f} addresses")
