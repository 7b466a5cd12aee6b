"""What a measured candidate is told about its time: shares of ceilings from the clock, counts and rates alone."""

import sys
from pathlib import Path

import msgspec
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "cost"))
import cost_samples as samples

from tilewright.archive.descriptors import describe
from tilewright.evaluator.costmodel import estimate
from tilewright.evaluator.dossier import Dossier, Trials
from tilewright.evaluator.gpu.profile import measured_profile
from tilewright.evaluator.hardware import find_hardware
from tilewright.evaluator.report import Profile, Report
from tilewright.evaluator.timing import CostTerm, TimeKind, TimeSpan, Timing
from tilewright.sandbox.targets import find_target
from tilewright.tasks.candidate import Candidate, Origin

HARDWARE = find_hardware("cuda:90")


def dossier_of(sample: samples.Sample) -> Dossier:
    task, recording, counts = sample
    priced = estimate(task, recording, counts, ((),), find_target("cuda:90"), HARDWARE)
    return Dossier(
        task=task,
        candidate=Candidate(task_id=task.id, source="", knobs=(), origin=Origin(operator="user")),
        recording=recording,
        trials=Trials(seed=0, small=(), large=()),
        plans=(),
        binaries=(),
        counts=counts,
        estimate=priced,
    )


def timing_of(dossier: Dossier, us: float) -> Timing:
    span = TimeSpan(median_us=us, low_us=us, high_us=us)
    case = dossier.recording.plans[0].case
    return Timing(case=case, kind=TimeKind.MEASURED, device="GPU", candidate=span, baselines=(), floor_us=64.2)


def profile_of(sample: samples.Sample, us: float, *, counted: bool = True) -> Profile:
    dossier = dossier_of(sample)
    if not counted:
        dossier = msgspec.structs.replace(dossier, counts=(), estimate=())
    steps = (CostTerm(name="kernel", us=us, reason="kernel of its own"),)
    return measured_profile(dossier, timing_of(dossier, us), steps, 1.0, HARDWARE)


def value(profile: Profile, name: str) -> float:
    return next(one.value for one in profile.measures if one.name == name)


def test_a_kernel_near_the_copy_bandwidth_is_bound_by_memory() -> None:
    profile = profile_of(samples.softmax_block(), 68.0)
    assert profile.bound == "memory"
    assert value(profile, "memory_share") == pytest.approx(2 * 8192 * 8192 * 2 / 4.18e6 / 68.0)
    assert value(profile, "achieved_gb_s") == pytest.approx(2 * 8192 * 8192 * 2 / 68.0 / 1e3)
    assert value(profile, "share_of_floor") == pytest.approx(64.2 / 68.0)


def test_a_product_near_the_matrix_rate_is_bound_by_compute() -> None:
    profile = profile_of(samples.matmul(), 216.0)
    assert profile.bound == "compute"
    assert value(profile, "compute_share") == pytest.approx(2 * 4096**3 / 790e6 / 216.0)
    assert any("TFLOP/s" in note for note in profile.notes)


def test_a_kernel_far_from_every_ceiling_is_bound_by_what_the_model_says() -> None:
    looped = samples.facts(blocks=2, total=200, global_loads=1, branches_back=1)
    assert profile_of(samples.softmax(8192, 8192, 1, looped), 400.0).bound == "latency"
    issuing = samples.facts(blocks=8, total=9000, global_loads=8, global_loads_128=8)
    assert profile_of(samples.softmax(8192, 8192, 4, issuing), 400.0).bound == "compute"


def test_a_plan_that_mostly_starts_kernels_is_bound_by_launches() -> None:
    small = samples.facts(blocks=8, total=100, global_loads=1, global_loads_128=1)
    assert profile_of(samples.softmax(16, 1024, 4, small), 3.0).bound == "launch"


def test_the_headline_says_the_share_of_what_the_device_allows() -> None:
    profile = profile_of(samples.softmax_block(), 80.0)
    assert profile.notes[0] == "softmax-8192x8192: 80.0 us, 80% of what the device allows (64.2 us)"


def test_findings_of_the_compiler_are_data_too() -> None:
    profile = profile_of(samples.softmax_wide(16), 808.0)
    assert value(profile, "spill_bytes") == 820
    assert value(profile, "resident_programs") == 1
    assert any("spills 820 bytes" in note for note in profile.notes)


def test_without_counts_there_are_times_and_no_guesses() -> None:
    profile = profile_of(samples.softmax_block(), 80.0, counted=False)
    assert profile.bound == "unknown"
    assert [one.us for one in profile.steps_us] == [80.0]


def test_steps_are_named_by_their_place_so_that_the_dominant_kernel_is_found() -> None:
    sample = samples.softmax_block()
    profile = profile_of(sample, 80.0)
    assert [one.name for one in profile.steps_us] == ["0:kernel"]
    report = Report(
        candidate_id="", environment_id="", stages=(), timing=(), counts=(), profile=profile, failure=None, judge_s=0.0
    )
    assert describe(sample[1], report).memory == "128-bit"
