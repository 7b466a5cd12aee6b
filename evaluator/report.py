"""What judging found out about a candidate."""

import hashlib
import math
from enum import StrEnum

import msgspec

from tilewright.evaluator.recording import CaseCount
from tilewright.evaluator.timing import CostTerm, TimeKind, Timing
from tilewright.sandbox.failure import Failure, Stage


class Verdict(StrEnum):
    """Outcome of a stage or a case; SKIPPED never counts as passed."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


class Place(StrEnum):
    """Where a case ran."""

    INTERPRETER = "interpreter"
    GPU = "gpu"


class ErrorMeasure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Distance of one case's outputs from the fp64 oracle, and what trusted implementations allow.

    Attributes:
        max_error: Largest absolute error.
        p999_error: 99.9th percentile of the absolute error.
        rms_error: Root mean square error.
        max_bound: Largest allowed `max_error`.
        p999_bound: Largest allowed `p999_error`.
        rms_bound: Largest allowed `rms_error`.
    """

    max_error: float
    p999_error: float
    rms_error: float
    max_bound: float
    p999_bound: float
    rms_bound: float


class CaseResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One case of one stage.

    Attributes:
        case: Name of the case.
        verdict: Outcome.
        error: Distance from the oracle, or None where nothing was compared.
        note: Why it was skipped, or what was not covered; may be empty.
        wall_s: Seconds that it took.
        place: Where it ran.
    """

    case: str
    verdict: Verdict
    error: ErrorMeasure | None = None
    note: str = ""
    wall_s: float = 0.0
    place: Place = Place.INTERPRETER


class StageResult(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One of the five stages: every case a row."""

    stage: Stage
    cases: tuple[CaseResult, ...]

    @property
    def verdict(self) -> Verdict:
        """FAILED if any case failed, PASSED if at least one ran and none failed, else SKIPPED."""
        verdicts = {case.verdict for case in self.cases}
        if Verdict.FAILED in verdicts:
            return Verdict.FAILED
        return Verdict.PASSED if Verdict.PASSED in verdicts else Verdict.SKIPPED


class Measure(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One number of a profile, for who reads data rather than words.

    Attributes:
        step: The step that it belongs to, as `Profile.steps_us` names it; empty for the whole plan.
        name: Such as `memory_share`; the names stand in `evaluator/gpu/profile.py` and `evaluator/gpu/tools.py`.
        value: The number.
        unit: Such as `share`, `GB/s` or `bytes`; empty for counts.
    """

    step: str
    name: str
    value: float
    unit: str = ""


class Profile(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where the time goes, for the slowest bench case.

    Attributes:
        bound: `memory`, `compute`, `latency` or `launch`.
        own_share: Share of the GPU time spent in the candidate's own kernels, 0 to 1.
        steps_us: Time of each step, by name.
        notes: Findings in words, such as `spills 48 bytes a thread`.
        measures: The same and more as numbers; empty for estimates.
    """

    bound: str
    own_share: float
    steps_us: tuple[CostTerm, ...]
    notes: tuple[str, ...]
    measures: tuple[Measure, ...] = ()


class Report(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything judging found out about one candidate.

    Attributes:
        candidate_id: The candidate.
        environment_id: Where it was judged.
        stages: The stages that ran, in order; the last one may have failed.
        timing: One entry a bench case; empty if a stage failed.
        counts: Counted work of each bench case.
        profile: Where the time goes, or None if it was not timed.
        failure: Why it was refused, or None if it is right.
        judge_s: Seconds that judging took.
    """

    candidate_id: str
    environment_id: str
    stages: tuple[StageResult, ...]
    timing: tuple[Timing, ...]
    counts: tuple[CaseCount, ...]
    profile: Profile | None
    failure: Failure | None
    judge_s: float

    @property
    def is_right(self) -> bool:
        """Whether all five stages passed."""
        checked = {stage.stage for stage in self.stages if stage.verdict is Verdict.PASSED}
        needed = {Stage.SMOKE, Stage.SHAPES, Stage.STABILITY, Stage.DETERMINISM, Stage.EDGES}
        return self.failure is None and needed <= checked

    @property
    def geomean_us(self) -> float | None:
        """Geometric mean of the candidate's median times over the bench cases; None if it was not timed."""
        if not self.timing:
            return None
        return math.exp(sum(math.log(one.candidate.median_us) for one in self.timing) / len(self.timing))


class RewardTerm(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One named part of a reward."""

    name: str
    value: float
    weight: float
    reason: str


class Reward(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Structured reward: correctness multiplies the weighted sum of the other terms.

    Attributes:
        is_right: Whether the candidate passed every stage.
        fitness: F of the archive, in log2 of the speed-up (-3 to 4); None if not right.
        terms: Named terms.
    """

    is_right: bool
    fitness: float | None
    terms: tuple[RewardTerm, ...]

    @property
    def total(self) -> float:
        """Correctness (0 or 1) times the weighted sum of the terms."""
        return float(self.is_right) * sum(term.value * term.weight for term in self.terms)


class Environment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where candidates are judged.

    Attributes:
        target: Name of the target, such as `cuda:90`.
        device: The GPU's name, or the part that estimates are for.
        kind: Whether times are measured or estimated.
        python: Version.
        torch: Version.
        triton: Version.
        ptxas: Version.
        machine: Kernel release and architecture.
        confinement: Protections in force in the sandbox, such as `landlock-7`, `seccomp`.
        missing_confinement: Protections that this machine cannot enforce.
        driver: Version of the GPU's driver; empty where times are estimated.
    """

    target: str
    device: str
    kind: TimeKind
    python: str
    torch: str
    triton: str
    ptxas: str
    machine: str
    confinement: tuple[str, ...]
    missing_confinement: tuple[str, ...]
    driver: str = ""

    @property
    def id(self) -> str:
        """First 16 hex digits of the SHA-256 of all fields."""
        return hashlib.sha256(msgspec.msgpack.encode(self)).hexdigest()[:16]


class Admission(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether a task can tell right from wrong.

    Attributes:
        task_id: The task.
        is_admitted: Whether every must-fail twin failed and every must-pass twin passed.
        twins: Outcome of each twin, such as `zeros` FAILED (as it must).
        reason: Why it was refused, such as `degenerate: zeros pass`; empty if admitted.
    """

    task_id: str
    is_admitted: bool
    twins: tuple[CaseResult, ...]
    reason: str
