"""A measured time is possible, repeats in fresh processes and keeps the order of kernels that differ a lot."""

from collections.abc import Mapping

import pytest
from preparing import Prepared

from tilewright.evaluator.gpu.supervisor import GpuSupervisor
from tilewright.evaluator.timing import TimeKind, Timing

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

# Reads its rows once; reads them three times over in three launches.
FAST, SLOW = "softmax_heuristics", "softmax_three_launches"


def first_timing(prepared: Mapping[str, Prepared], supervisor: GpuSupervisor, name: str) -> Timing:
    report = supervisor.confirm(prepared[name].dossier)
    assert report.failure is None, report.failure
    return report.timing[0]


def test_a_time_is_measured_above_the_floor_and_within_its_spread(
    prepared: Mapping[str, Prepared], supervisor: GpuSupervisor
) -> None:
    timing = first_timing(prepared, supervisor, FAST)
    assert timing.kind is TimeKind.MEASURED
    assert 0.05 < timing.share_of_floor <= 1 / 0.95
    assert timing.paired is not None
    assert timing.paired.low <= timing.paired.median <= timing.paired.high
    assert timing.host_us is not None
    assert timing.host_us > 0


def test_a_time_repeats_in_fresh_processes(prepared: Mapping[str, Prepared], supervisor: GpuSupervisor) -> None:
    times = [first_timing(prepared, supervisor, FAST).candidate.median_us for _ in range(3)]
    assert max(times) / min(times) < 1.02


def test_three_passes_over_memory_take_longer_than_one(
    prepared: Mapping[str, Prepared], supervisor: GpuSupervisor
) -> None:
    fast = first_timing(prepared, supervisor, FAST).candidate.median_us
    slow = first_timing(prepared, supervisor, SLOW).candidate.median_us
    assert slow > 1.2 * fast
