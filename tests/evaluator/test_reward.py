"""Rewards: correctness multiplies everything, speed is clipped, and each term has its reason."""

import pytest
from msgspec import structs

from tilewright.evaluator.report import CaseResult, ErrorMeasure, Profile, Report, StageResult, Verdict
from tilewright.evaluator.reward import fitness, repair_utility, score
from tilewright.evaluator.timing import Baseline, CostTerm, TimeKind, TimeSpan, Timing
from tilewright.sandbox.failure import Failure, FailureKind, Stage

STAGES = (Stage.SMOKE, Stage.SHAPES, Stage.STABILITY, Stage.DETERMINISM, Stage.EDGES)


def timing(speedup: float, *, terms: tuple[CostTerm, ...] = ()) -> Timing:
    """A case whose lower bound is the given speed-up."""
    own = TimeSpan(median_us=80.0, low_us=60.0, high_us=100.0)
    base = 100.0 * speedup
    return Timing(
        case="bench",
        kind=TimeKind.ESTIMATED,
        device="NVIDIA H200",
        candidate=own,
        baselines=(Baseline(name="eager (estimated)", span=TimeSpan(median_us=base, low_us=base, high_us=base)),),
        floor_us=40.0,
        terms=terms,
    )


def report(*times: Timing, own_share: float = 1.0, failure: Failure | None = None, used: float = 0.5) -> Report:
    error = ErrorMeasure(max_error=used, p999_error=0.1, rms_error=0.1, max_bound=1.0, p999_bound=1.0, rms_bound=1.0)
    steps = (CostTerm(name="0:kernel", us=80.0, reason="mostly dram"),)
    return Report(
        candidate_id="candidate",
        environment_id="environment",
        stages=tuple(
            StageResult(stage=one, cases=(CaseResult(case="a", verdict=Verdict.PASSED, error=error),)) for one in STAGES
        ),
        timing=times,
        counts=(),
        profile=Profile(bound="memory", own_share=own_share, steps_us=steps, notes=()) if times else None,
        failure=failure,
        judge_s=0.0,
    )


def test_fitness_is_log2_of_the_cautious_speedup() -> None:
    assert fitness(report(timing(2.0))) == pytest.approx(1.0)


def test_fitness_takes_the_geometric_mean_of_the_cases() -> None:
    assert fitness(report(timing(8.0), timing(0.5))) == pytest.approx(1.0)


def test_one_absurd_case_is_clipped() -> None:
    assert fitness(report(timing(1e9))) == 4.0
    assert fitness(report(timing(1e-9))) == -3.0


@pytest.mark.parametrize(("share", "expected"), [(0.2, 0.0), (0.35, 1.0), (0.4, 2.0), (1.0, 2.0)])
def test_speed_counts_as_far_as_the_own_kernels_do_the_work(share: float, expected: float) -> None:
    assert fitness(report(timing(4.0), own_share=share)) == pytest.approx(expected)


def test_slowness_counts_whoever_does_the_work() -> None:
    assert fitness(report(timing(0.25), own_share=0.0)) == pytest.approx(-2.0)


def test_a_wrong_candidate_is_worth_nothing_however_fast() -> None:
    failure = Failure(kind=FailureKind.WRONG_VALUES, stage=Stage.EDGES, message="wrong")
    reward = score(report(timing(16.0), failure=failure))
    assert reward.total == 0.0
    assert reward.fitness is None
    assert not reward.is_right


def test_a_skipped_stage_is_no_pass() -> None:
    full = report(timing(2.0))
    skipped = StageResult(stage=Stage.EDGES, cases=(CaseResult(case="a", verdict=Verdict.SKIPPED),))
    assert score(structs.replace(full, stages=(*full.stages[:-1], skipped))).total == 0.0


def test_a_right_candidate_without_times_has_no_fitness() -> None:
    reward = score(report())
    assert (reward.is_right, reward.fitness, reward.total) == (False, None, 0.0)
    with pytest.raises(ValueError, match="with times"):
        fitness(report())


def test_every_term_has_a_name_and_a_reason() -> None:
    terms = score(report(timing(2.0))).terms
    assert [term.name for term in terms] == ["speed", "floor", "own_share", "resources", "robustness", "simplicity"]
    assert all(term.reason and term.weight > 0 for term in terms)


def test_spills_and_errors_near_the_bound_cost_a_little() -> None:
    spilling = timing(2.0, terms=(CostTerm(name="0:kernel spills", us=40.0, reason="48 bytes"),))
    best = score(report(timing(2.0), used=0.0)).total
    assert score(report(spilling, used=0.0)).total == pytest.approx(best - 0.05)
    assert score(report(timing(2.0), used=0.9)).total == pytest.approx(best - 0.08)


def test_a_faster_candidate_is_worth_more_than_a_simpler_one() -> None:
    assert score(report(timing(2.0), used=0.9)).total > score(report(timing(1.8), used=0.0)).total


def test_repair_utility_grows_with_the_stage_that_was_reached() -> None:
    def failing(stage: Stage, passed: int = 0) -> float:
        verdicts = (Verdict.PASSED,) * passed + (Verdict.FAILED,)
        cases = tuple(CaseResult(case=str(i), verdict=verdict) for i, verdict in enumerate(verdicts))
        failure = Failure(kind=FailureKind.WRONG_VALUES, stage=stage, message="wrong")
        empty = structs.replace(report(), failure=failure)
        return repair_utility(structs.replace(empty, stages=(StageResult(stage=stage, cases=cases),)))

    order = [failing(Stage.STATIC), failing(Stage.COMPILE), failing(Stage.SHAPES), failing(Stage.SHAPES, passed=3)]
    assert order == sorted(set(order))
    assert failing(Stage.EDGES) < repair_utility(report()) == 1.0
