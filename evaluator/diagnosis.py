"""Where a candidate's time goes, in shares and in words."""

from tilewright.evaluator.recording import CaseCount, KernelFacts, Recording
from tilewright.evaluator.report import Profile
from tilewright.evaluator.timing import CostTerm, Timing
from tilewright.evaluator.traffic import SECTOR_BYTES
from tilewright.sandbox.plan import Aten, Launch, LaunchPlan
from tilewright.sandbox.protocol import LaunchCount
from tilewright.sandbox.targets import Target

_WORTH_A_NOTE = 0.1  # of the time, or of the bytes

# What each term of the cost model says a kernel is bound by.
_BOUNDS = {
    "dram": "memory",
    "l2": "memory",
    "products": "compute",
    "special": "compute",
    "issue": "compute",
    "latency": "latency",
    "spills": "latency",
    "atomics": "latency",
    "launch": "launch",
    "aten": "memory",
}


def diagnose(
    recording: Recording, counts: tuple[CaseCount, ...], timing: tuple[Timing, ...], target: Target
) -> Profile:
    """Return where the time of the slowest bench case goes.

    Args:
        recording: Plans and the compiler's facts.
        counts: Counted work of each bench case.
        timing: Times with their terms, at least one.
        target: The part's limits.
    """
    slowest = max(timing, key=lambda one: one.candidate.median_us)
    plan = next(one for one in recording.plans if one.case == slowest.case)
    count = next(one for one in counts if one.case == slowest.case)
    steps = _steps(slowest.terms)
    total = sum(term.us for term in steps)
    aten = sum(term.us for term in slowest.terms if _kind(term) == "aten")
    return Profile(
        bound=_bound(slowest.terms),
        own_share=max(0.0, min(1.0, 1.0 - aten / total)) if total else 0.0,
        steps_us=steps,
        notes=_notes(recording, plan, count.launches, steps, target),
    )


def _kind(term: CostTerm) -> str:
    """Return the last word of a term's name, such as `dram`."""
    return term.name.rsplit(" ", 1)[-1]


def _steps(terms: tuple[CostTerm, ...]) -> tuple[CostTerm, ...]:
    """Return the time of each step, in order."""
    sums: dict[str, float] = {}
    largest: dict[str, CostTerm] = {}
    for term in terms:
        step = term.name.rsplit(" ", 1)[0]
        sums[step] = sums.get(step, 0.0) + term.us
        if step not in largest or term.us > largest[step].us:
            largest[step] = term
    return tuple(
        CostTerm(name=step, us=us, reason=f"mostly {_kind(largest[step])}: {largest[step].reason}")
        for step, us in sums.items()
    )


def _bound(terms: tuple[CostTerm, ...]) -> str:
    """Return what the largest kind of term is bound by; kinds overlap in time, so they are not added up."""
    sums: dict[str, float] = {}
    for term in terms:
        sums[_kind(term)] = sums.get(_kind(term), 0.0) + term.us
    known = {kind: us for kind, us in sums.items() if kind in _BOUNDS}
    return _BOUNDS[max(known, key=lambda kind: known[kind])] if known else "launch"


def _notes(
    recording: Recording, plan: LaunchPlan, counts: tuple[LaunchCount, ...], timed: tuple[CostTerm, ...], target: Target
) -> tuple[str, ...]:
    """Return findings on each launch that takes a tenth of the time or more."""
    total = sum(term.us for term in timed)
    timed_steps = [step for step in plan.steps if isinstance(step, Launch | Aten)]
    waiting = list(counts)
    notes: list[str] = []
    for step, term in zip(timed_steps, timed, strict=True):
        if isinstance(step, Aten):
            continue
        count = waiting.pop(0)
        if step.programs and term.us >= _WORTH_A_NOTE * total:
            facts = recording.build_of(step.ptx_sha).facts
            notes += [f"{step.kernel}: {note}" for note in _launch_notes(step, count, facts, target)]
    return tuple(dict.fromkeys(notes))


def _launch_notes(launch: Launch, count: LaunchCount, facts: KernelFacts, target: Target) -> list[str]:
    """Return findings on one launch, each with its number."""
    notes: list[str] = []
    if facts.spill_bytes:
        notes.append(f"spills {facts.spill_bytes} bytes a thread: smaller blocks or more warps")
    if launch.programs < target.multiprocessors:
        notes.append(f"{launch.programs} programs for {target.multiprocessors} multiprocessors: split the work further")
    loaded = count.load_sectors * SECTOR_BYTES
    if loaded > 1.5 * count.load_bytes > 0:
        notes.append(f"loads use {count.load_bytes / loaded:.0%} of their sectors: neighbours should load neighbours")
    stored = count.store_sectors * SECTOR_BYTES
    if stored > 1.5 * count.store_bytes > 0 and stored > _WORTH_A_NOTE * loaded:
        notes.append(f"stores use {count.store_bytes / stored:.0%} of their sectors")
    wide = facts.mix.global_loads_128 + facts.mix.ldgsts + facts.mix.utmaldg
    if facts.mix.global_loads > 2 * wide and target.backend == "cuda":
        notes.append(f"{wide} of {facts.mix.global_loads} load instructions are 128 bits wide")
    if facts.occupancy.share < 0.25:
        notes.append(f"occupancy {facts.occupancy.share:.0%}, limited by {facts.occupancy.limiter}")
    if count.dot_flops and target.backend == "cuda" and target.capability[0] >= 9 and not facts.mix.hgmma:
        notes.append("products without warp-group instructions: at least 64 rows a tile and num_warps a multiple of 4")
    if count.dot_flops and not (facts.mix.ldgsts or facts.mix.utmaldg):
        notes.append("loads of the products are not pipelined: num_stages of 3 or 4")
    return notes
