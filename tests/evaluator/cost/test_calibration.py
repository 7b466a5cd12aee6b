"""Fitting the cost model to times: what is known is found again, what does not help is not kept."""

from pathlib import Path

import cost_samples as samples
import numpy
import pytest
from msgspec import structs

from tilewright.evaluator.calibration import FEWEST, Calibration, CalibrationError, calibrate, calibrated, observe
from tilewright.evaluator.calibration_file import (
    CalibrationFileError,
    choose_calibration,
    keep_calibration,
    read_calibrations,
)
from tilewright.evaluator.calibration_fit import climb
from tilewright.evaluator.calibration_fitting import Device, Observation
from tilewright.evaluator.costmodel import estimate, step_terms
from tilewright.evaluator.costmodel_constants import SHIPPED, CostConstants
from tilewright.evaluator.hardware import find_hardware
from tilewright.evaluator.timing import TimeKind, TimeSpan, Timing
from tilewright.sandbox.targets import find_target

WHERE = Device(device="NVIDIA H200", target=find_target("cuda:90"), hardware=find_hardware("cuda:90"))
SLOW_WAITS = structs.replace(SHIPPED, latency_factor=2.0)


def kernels() -> list[samples.Sample]:
    """Softmax kernels, half of them bound by waiting for loads and half by instructions, of times that interleave."""
    found = []
    for number in range(18):
        loads = 4 + number
        waits = samples.facts(blocks=2, total=100, global_loads=loads, global_loads_128=loads, branches_back=1)
        found.append(samples.softmax(8192, 8192, 1, structs.replace(waits, sass_sha=f"waits {number}")))
        starts = samples.facts(blocks=8, total=1800 + 350 * number, global_loads=8, global_loads_128=8)
        found.append(samples.softmax(8192, 8192, 4, structs.replace(starts, sass_sha=f"starts {number}")))
    return found


def observation(sample: samples.Sample, constants: CostConstants, noise: float = 1.0) -> Observation:
    """A kernel whose measured time is what the model says with some constants."""
    task, recording, counts = sample
    hardware = structs.replace(WHERE.hardware, constants=constants)
    us = (
        sum(one.us for one in step_terms(recording, recording.plans[0], counts[0].launches, WHERE.target, hardware))
        * noise
    )
    span = TimeSpan(median_us=us, low_us=us, high_us=us)
    timing = Timing(
        case=counts[0].case, kind=TimeKind.MEASURED, device=WHERE.device, candidate=span, baselines=(), floor_us=1.0
    )
    return observe(task, recording, counts, timing, WHERE)


def fitted(constants: CostConstants) -> Calibration:
    return calibrate(tuple(observation(one, constants) for one in kernels()), WHERE)


def test_a_constant_that_differs_on_a_device_is_found() -> None:
    found = fitted(SLOW_WAITS)
    assert found.is_fitted
    assert found.held_out_after > found.held_out_before
    assert found.constants.latency_factor > 1.2
    assert all(one.after.kendall >= one.before.kendall for one in found.groups if one.after.kendall is not None)


def test_the_shipped_constants_stay_where_no_fit_orders_held_out_kernels_better() -> None:
    found = fitted(SHIPPED)
    assert not found.is_fitted
    assert found.constants == SHIPPED
    assert found.held_out_before == pytest.approx(1.0)


def test_times_without_any_order_leave_the_shipped_constants_or_order_what_was_held_out() -> None:
    noise = numpy.random.default_rng(1).uniform(0.5, 2.0, size=len(kernels()))
    found = calibrate(
        tuple(observation(one, SHIPPED, by) for one, by in zip(kernels(), noise.tolist(), strict=True)), WHERE
    )
    assert found.constants == SHIPPED or found.held_out_after > found.held_out_before


def test_the_same_times_give_the_same_constants() -> None:
    assert fitted(SLOW_WAITS) == fitted(SLOW_WAITS)


def test_one_kernel_under_two_names_counts_once() -> None:
    twice = tuple(observation(one, SHIPPED) for one in (*kernels(), *kernels()))
    assert calibrate(twice, WHERE).times == len(kernels())


def test_too_few_times_are_the_users_to_hear() -> None:
    few = tuple(observation(one, SHIPPED) for one in kernels()[: FEWEST - 1])
    with pytest.raises(CalibrationError, match=f"at least {FEWEST} kernels measured on NVIDIA H200, got {FEWEST - 1}"):
        calibrate(few, WHERE)


def test_an_estimate_is_no_observation() -> None:
    task, recording, counts = samples.softmax_block()
    (timing,) = estimate(task, recording, counts, ((),), WHERE.target, WHERE.hardware)
    with pytest.raises(ValueError, match="measured time"):
        observe(task, recording, counts, timing, WHERE)


def test_a_calibrated_part_says_so_and_its_floors_stay() -> None:
    found = fitted(SLOW_WAITS)
    hardware = calibrated(WHERE.hardware, found)
    assert hardware.constants == found.constants
    assert hardware.band == found.band
    assert found.id in hardware.device
    assert hardware.dram_gb_s == WHERE.hardware.dram_gb_s
    assert calibrated(find_hardware("cuda:80"), found) == find_hardware("cuda:80")
    assert calibrated(WHERE.hardware, None) == WHERE.hardware


def test_a_file_keeps_one_calibration_a_device(tmp_path: Path) -> None:
    path = tmp_path / "a.calibration.json"
    first = fitted(SHIPPED)
    other = structs.replace(first, device="NVIDIA H100")
    newer = structs.replace(first, band=0.5)
    for one in (first, other, newer):
        keep_calibration(path, one)
    assert read_calibrations(path) == (other, newer)
    assert choose_calibration(read_calibrations(path), "cuda:90", "NVIDIA H200") == newer
    assert choose_calibration((other,), "cuda:90", "NVIDIA H200") == other
    assert choose_calibration((other,), "cuda:80", "NVIDIA A100") is None


def test_no_file_is_no_calibration_and_another_file_is_named(tmp_path: Path) -> None:
    assert read_calibrations(tmp_path / "absent.json") == ()
    (tmp_path / "other.json").write_text("{}")
    with pytest.raises(CalibrationFileError, match=r"other\.json"):
        read_calibrations(tmp_path / "other.json")


def test_descent_finds_a_peak_and_leaves_what_does_not_matter() -> None:
    found = climb(lambda theta: -abs(theta[0] - 0.75), numpy.full(3, -1.0), numpy.full(3, 1.0))
    assert found.tolist() == [0.75, 0.0, 0.0]


def test_descent_stays_within_its_bounds() -> None:
    found = climb(lambda theta: float(theta.sum()), numpy.full(2, -1.0), numpy.array([0.3, 1.0]))
    assert found.tolist() == [0.3, 1.0]
