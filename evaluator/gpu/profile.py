"""What a measured candidate is bound by and how far from the ceiling it is, in words and as data; loads no torch.

Times are the clock's, bytes and operations are counted, ceilings are the device's own. Only what no clock can say, such
as which of latency and instructions holds a kernel that reaches no ceiling, is taken from the cost model.
"""

from dataclasses import dataclass

import msgspec

from tilewright.evaluator.costmodel import Work, plan_work, work_terms
from tilewright.evaluator.diagnosis import diagnose
from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.hardware import Hardware
from tilewright.evaluator.report import Measure, Profile
from tilewright.evaluator.timing import CostTerm, Timing
from tilewright.sandbox.targets import Target, find_target

# Shares of a ceiling from which on it, and nothing else, is what bounds a plan.
_MEMORY_BOUND = 0.7
_COMPUTE_BOUND = 0.6
_LAUNCH_BOUND = 0.5  # of the time that starting kernels takes
_WORTH_A_NOTE = 0.1  # of the time: smaller steps are not described
_MODEL_BOUNDS = {"special": "compute", "issue": "compute", "products": "compute", "dram": "memory", "l2": "memory"}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """A measured step beside what is known of its work."""

    name: str
    us: float
    work: Work
    hardware: Hardware
    target: Target

    @property
    def moved_bytes(self) -> float:
        """Bytes that must come from or go to DRAM; 0 for operations of PyTorch."""
        if self.work.launch is None:
            return 0.0
        traffic = self.work.launch.traffic
        return traffic.compulsory_bytes - traffic.cached_bytes

    @property
    def memory_share(self) -> float:
        """Share of the copy bandwidth that the compulsory bytes draw."""
        return self.hardware.dram_us(self.moved_bytes) / self.us

    @property
    def compute_share(self) -> float:
        """Share of the matrix rate that `tl.dot` draws."""
        if self.work.launch is None or not self.work.launch.count.dot_flops:
            return 0.0
        count = self.work.launch.count
        return count.dot_flops / (self.hardware.matrix_tflops(count.dot_dtype) * 1e6) / self.us

    @property
    def stalls(self) -> str:
        """What the cost model says holds a step that reaches no ceiling: `latency` or `compute`."""
        terms = {one.name.rsplit(" ", 1)[-1]: one.us for one in work_terms(self.work, self.target, self.hardware)}
        known = {name: us for name, us in terms.items() if name in {"latency", "special", "issue", "spills", "atomics"}}
        largest = max(known, key=lambda name: known[name], default="latency")
        return _MODEL_BOUNDS.get(largest, "latency")


def measured_profile(
    dossier: Dossier, timing: Timing, steps: tuple[CostTerm, ...], own_share: float, hardware: Hardware
) -> Profile:
    """Return the profile of a bench case.

    Args:
        dossier: The candidate, with its counts and estimates.
        timing: The measured time of the case.
        steps: Measured time of each step that computes, in the plan's order.
        own_share: Share of the time in the candidate's own kernels, 0 to 1.
        hardware: Rates measured on this device.
    """
    named = tuple(
        msgspec.structs.replace(one, name=f"{place}:{one.name.split(':', 1)[-1]}") for place, one in enumerate(steps)
    )
    known = _known_steps(dossier, timing, named, hardware)
    total = max(sum(one.us for one in named), 1e-9)
    large = tuple(one for one in known if one.us >= _WORTH_A_NOTE * total)
    estimate = tuple(one for one in dossier.estimate if one.case == timing.case)
    target = find_target(dossier.recording.target)
    modelled = diagnose(dossier.recording, dossier.counts, estimate, target).notes if known and estimate else ()
    return Profile(
        bound=_bound(known, total, hardware) if known else "unknown",
        own_share=max(0.0, min(1.0, own_share)),
        steps_us=named,
        notes=(_headline(timing), *(_sentence(one) for one in large), *modelled),
        measures=(*_whole(timing, own_share), *(measure for one in large for measure in _measures(one, total))),
    )


def _known_steps(
    dossier: Dossier, timing: Timing, steps: tuple[CostTerm, ...], hardware: Hardware
) -> tuple[_Step, ...]:
    """Return the steps beside their work; none where the work was not counted."""
    recording, target = dossier.recording, find_target(dossier.recording.target)
    plan = next(one for one in recording.plans if one.case == timing.case)
    counts = next((one.launches for one in dossier.counts if one.case == timing.case), None)
    if counts is None:
        return ()
    works = plan_work(recording, plan, counts, target, hardware)
    return tuple(
        _Step(name=step.name, us=max(step.us, 1e-9), work=work, hardware=hardware, target=target)
        for step, work in zip(steps, works, strict=True)
    )


def _bound(steps: tuple[_Step, ...], total_us: float, hardware: Hardware) -> str:
    """Return what bounds a plan: a ceiling that it reaches, its launches, or what holds its longest step."""
    memory = sum(one.memory_share * one.us for one in steps) / total_us
    compute = sum(one.compute_share * one.us for one in steps) / total_us
    starts_us = hardware.launch_us + hardware.gap_us * (len(steps) - 1)
    if compute >= _COMPUTE_BOUND and compute >= memory:
        return "compute"
    if memory >= _MEMORY_BOUND:
        return "memory"
    if starts_us >= _LAUNCH_BOUND * total_us:
        return "launch"
    longest = max(steps, key=lambda one: one.us)
    return longest.stalls if longest.work.launch is not None else "memory"


def _headline(timing: Timing) -> str:
    return (
        f"{timing.case}: {timing.candidate.median_us:.1f} us, {timing.share_of_floor:.0%} of what the device allows "
        f"({timing.floor_us:.1f} us)"
    )


def _sentence(step: _Step) -> str:
    """Return how far a step is from its ceilings, in words."""
    if step.work.launch is None:
        return f"{step.name}: {step.us:.1f} us in an operation of PyTorch"
    gb_s = step.moved_bytes / step.us / 1e3
    words = f"{step.name}: {step.us:.1f} us, {gb_s:.0f} GB/s of its own bytes ({step.memory_share:.0%} of the ceiling)"
    if step.compute_share:
        tflops = step.work.launch.count.dot_flops / step.us / 1e6
        words += f", {tflops:.0f} TFLOP/s of products ({step.compute_share:.0%})"
    reread = step.work.launch.traffic.reread
    return words + (f", each byte loaded {reread:.1f} times" if reread > 1.2 else "")


def _whole(timing: Timing, own_share: float) -> tuple[Measure, ...]:
    return (
        Measure(step="", name="share_of_floor", value=timing.share_of_floor, unit="share"),
        Measure(step="", name="own_share", value=own_share, unit="share"),
    )


def _measures(step: _Step, total_us: float) -> tuple[Measure, ...]:
    """Return the numbers of one step."""
    shares = {
        "share_of_time": step.us / total_us,
        "memory_share": step.memory_share,
        "compute_share": step.compute_share,
    }
    found = [Measure(step=step.name, name=name, value=value, unit="share") for name, value in shares.items()]
    launch = step.work.launch
    if launch is None:
        return tuple(found)
    mix, facts, count = launch.facts.mix, launch.facts, launch.count
    numbers = (
        ("achieved_gb_s", step.moved_bytes / step.us / 1e3, "GB/s"),
        ("achieved_tflops", count.dot_flops / step.us / 1e6, "TFLOP/s"),
        ("reread", launch.traffic.reread, ""),
        ("sectors_used", count.load_bytes / max(1, count.load_sectors * 32), "share"),
        ("wide_loads", (mix.global_loads_128 + mix.ldgsts) / max(1, mix.global_loads + mix.ldgsts), "share"),
        ("occupancy", facts.occupancy.share, "share"),
        ("resident_programs", float(facts.occupancy.blocks), ""),
        ("registers", float(facts.registers), ""),
        ("spill_bytes", float(facts.spill_bytes), "bytes"),
        ("shared_bytes", float(facts.shared_bytes), "bytes"),
        ("programs", float(launch.launch.programs), ""),
        ("imbalance", launch.imbalance, ""),
    )
    return (*found, *(Measure(step=step.name, name=name, value=value, unit=unit) for name, value, unit in numbers))
