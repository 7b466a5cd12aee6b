"""The terms of the cost model: what bounds one launch, each with the numbers that it comes from."""

import math
from dataclasses import dataclass

from tilewright.evaluator.hardware import Hardware
from tilewright.evaluator.recording import KernelFacts
from tilewright.evaluator.report import CostTerm
from tilewright.evaluator.traffic import Traffic
from tilewright.sandbox.plan import Launch
from tilewright.sandbox.protocol import LaunchCount
from tilewright.sandbox.targets import Target

# Shares of the sustained product rate, by instruction and by whether operands arrive asynchronously.
_WARP_GROUP_SHARE = 0.86  # 128x128x64 tiles, 8 warps: 216 us at 4096^3
_WARP_SHARE = 0.62  # warp-level products on a part that has warp-group ones
_VECTOR_SHARE = 0.6  # products by fused multiply-adds
_SYNCHRONOUS_SHARE = 0.6  # of any of them, when loads and products take turns
_SERIAL_SHARE = 0.6  # of element-wise work beside products that products do not hide

_ISSUE_SHARE = 0.85  # of the four instructions a clock that a multiprocessor's schedulers can start
_LOOP_ISSUE_FACTOR = 2.5  # instructions a counted operation takes in a loop: addresses, casts, masks
_SPILL_BYTES_PER_CLOCK = 14.0  # local memory that a multiprocessor moves when its cache thrashes
_ATOMICS_PER_US = 160_000.0  # to addresses of their own
_ATOMICS_PER_ADDRESS_US = 600.0  # to one address
_PROGRAM_START_US = 0.6
_BARRIER_US = 0.03
_NARROW_BYTES = 4.0  # a load that is not 128 bits wide, on average
_OVERLAP_EXPONENT = 5.0  # how well resources work at once: 1 is one after another, infinity is perfect


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
        return max(1.0, self.threads * (16.0 * wide + _NARROW_BYTES * narrow))

    @property
    def rounds(self) -> float:
        """How often a program waits for loads, one after another."""
        if not self.facts.mix.branches_back:
            return 1.0
        per_program = self.traffic.requested_loads / max(1, self.launch.programs)
        return max(1.0, per_program / self.pass_bytes)

    @property
    def flight_bytes(self) -> float:
        """Bytes of loads under way at once on the whole device; stores wait for nothing."""
        per_program = self.traffic.requested_loads / max(1, self.launch.programs)
        ahead = self.facts.shared_bytes if self.is_pipelined else self.pass_bytes
        return min(self.slots, self.launch.programs) * min(max(ahead, 1.0), max(per_program, 1.0))


def launch_terms(work: LaunchWork) -> tuple[CostTerm, ...]:
    """Return the terms of a launch; their sum is its time without its start.

    The resources work side by side: the time is the norm of their times with exponent 5. What
    overlap hides is a negative term, so that the terms add up.
    """
    product = _product(work)
    beside = (_special(work), _issue(work))
    memory = (_dram(work), _cache(work))
    waits = (_latency(work),)
    if product.us:
        compute = product.us + _SERIAL_SHARE * sum(term.us for term in beside)
        parallel = (compute, *(term.us for term in (*memory, *waits)))
    else:
        parallel = tuple(term.us for term in (*beside, *memory, *waits))
    serial = (_spills(work), _atomics(work))
    raw = (product, *beside, *memory, *waits)
    joint = sum(us**_OVERLAP_EXPONENT for us in parallel) ** (1 / _OVERLAP_EXPONENT)
    hidden = CostTerm(name="overlap", us=joint - sum(term.us for term in raw), reason="what the terms above do at once")
    return tuple(term for term in (*raw, hidden, *serial) if term.us)


def _dram(work: LaunchWork) -> CostTerm:
    """Return the time of DRAM traffic; loads draw the bandwidth that the bytes under way allow (Little's law)."""
    hardware, traffic = work.hardware, work.traffic
    needed = hardware.dram_gb_s * hardware.memory_latency_ns
    share = max(1e-3, math.tanh(work.flight_bytes / needed)) if traffic.requested_loads else 1.0
    loads = traffic.dram_bytes - (traffic.compulsory_bytes - traffic.unique_loads)
    us = hardware.dram_us(loads / share + traffic.dram_bytes - loads)
    reason = (
        f"{traffic.dram_bytes / 1e6:.1f} MB, loads at {share:.0%} of {hardware.dram_gb_s:.0f} GB/s: "
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
    loop = work.rounds if work.facts.mix.branches_back else 1.0
    barriers_us = work.facts.mix.barriers * min(loop, 64.0) * _BARRIER_US
    waits_us = work.rounds * work.hardware.memory_latency_ns * 1e-3 / depth
    waves = math.ceil(work.launch.programs / work.slots)
    us = waves * (_PROGRAM_START_US + waits_us + barriers_us)
    reason = f"{waves} waves of {work.slots} programs, each waits {work.rounds:.0f} times for loads, {depth} in flight"
    return CostTerm(name="latency", us=us, reason=reason)


def _product(work: LaunchWork) -> CostTerm:
    """Return the time of `tl.dot`."""
    flops = work.count.dot_flops
    if not flops:
        return CostTerm(name="products", us=0.0, reason="")
    mix = work.facts.mix
    peak = work.hardware.matrix_tflops(work.count.dot_dtype)
    if mix.hgmma:
        share, unit = _WARP_GROUP_SHARE, "warp-group products"
    elif mix.hmma or work.target.backend != "cuda":
        is_native = work.target.backend != "cuda" or work.target.capability[0] < 9
        share, unit = (_WARP_GROUP_SHARE if is_native else _WARP_SHARE), "warp products"
    else:
        peak, share, unit = work.hardware.fp32_tflops, _VECTOR_SHARE, "no tensor cores"
    if not work.is_pipelined:
        share, unit = share * _SYNCHRONOUS_SHARE, f"{unit}, loads not pipelined"
    us = flops / (peak * share * 1e6) * work.imbalance
    reason = f"{flops / 1e9:.1f} GFLOP of {work.count.dot_dtype} at {peak * share:.0f} TFLOP/s: {unit}"
    return CostTerm(name="products", us=us, reason=f"{reason}, last wave {work.imbalance:.2f}x")


def _special(work: LaunchWork) -> CostTerm:
    """Return the time of exp, log, rsqrt, division and the like."""
    count = work.count.special_operations
    us = count / (work.hardware.special_per_clock * work.clocks_per_us) * work.imbalance
    return CostTerm(name="special", us=us, reason=f"{count / 1e6:.1f} M exponentials, roots and divisions")


def _issue(work: LaunchWork) -> CostTerm:
    """Return the time that starting instructions takes: all of them without a loop, counted operations with one."""
    operations = work.count.arithmetic_operations
    counted_us = _LOOP_ISSUE_FACTOR * operations / (work.hardware.lanes_per_clock * work.clocks_per_us)
    if work.facts.mix.branches_back or not work.facts.mix.total:
        return CostTerm(name="issue", us=counted_us * work.imbalance, reason=f"{operations / 1e6:.1f} M operations")
    warps = work.launch.programs * work.launch.num_warps
    slots = work.hardware.lanes_per_clock / 32 * work.clocks_per_us * _ISSUE_SHARE
    us = work.facts.mix.total * warps / slots * work.imbalance
    return CostTerm(name="issue", us=us, reason=f"{work.facts.mix.total} instructions in each of {warps} warps")


def _spills(work: LaunchWork) -> CostTerm:
    """Return the time of registers that are written to memory and read again."""
    if not work.facts.spill_bytes:
        return CostTerm(name="spills", us=0.0, reason="")
    moved = work.facts.spill_bytes * work.threads * work.launch.programs * min(work.rounds, 16.0)
    us = moved / (_SPILL_BYTES_PER_CLOCK * work.clocks_per_us)
    return CostTerm(
        name="spills", us=us, reason=f"{work.facts.spill_bytes} bytes a thread, {moved / 1e6:.0f} MB in all"
    )


def _atomics(work: LaunchWork) -> CostTerm:
    """Return the time of atomic operations, which queue at each address."""
    count = work.count.atomic_operations
    if not count:
        return CostTerm(name="atomics", us=0.0, reason="")
    addresses = min(float(count), max(1.0, work.traffic.scratch_bytes / 4))
    us = count / min(_ATOMICS_PER_US, _ATOMICS_PER_ADDRESS_US * addresses)
    return CostTerm(name="atomics", us=us, reason=f"{count / 1e3:.1f} thousand, to about {addresses:.0f} addresses")
