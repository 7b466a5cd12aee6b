"""A kernel that hangs or crashes costs its limit and no more, and the next candidate finds a healthy device."""

import time
from collections.abc import Mapping

import pytest
from preparing import QUIET_S, Prepared

from tilewright.evaluator.gpu.supervisor import GpuSupervisor
from tilewright.sandbox.failure import FailureKind

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]

NEXT = "softmax_heuristics"


def test_a_hang_costs_its_limit_and_is_blamed_on_its_kernel(
    prepared: Mapping[str, Prepared], supervisor: GpuSupervisor
) -> None:
    supervisor.judge(prepared[NEXT].dossier)
    warm = supervisor.judge(prepared[NEXT].dossier).judge_s
    began = time.monotonic()
    failure = supervisor.judge(prepared["endless_when_large"].dossier).failure
    took_s = time.monotonic() - began
    assert failure is not None
    assert failure.kind is FailureKind.TIME_LIMIT
    assert "endless_softmax" in failure.message
    assert took_s < warm + QUIET_S + 3.0


@pytest.mark.parametrize("name", ["far_write_when_large", "promised_alignment"])
def test_the_candidate_after_a_crash_is_judged_on_a_healthy_device(
    name: str, prepared: Mapping[str, Prepared], supervisor: GpuSupervisor
) -> None:
    failure = supervisor.judge(prepared[name].dossier).failure
    assert failure is not None
    assert failure.kind in {FailureKind.OUT_OF_BOUNDS, FailureKind.CRASH}
    assert supervisor.judge(prepared[NEXT].dossier).is_right


def test_a_plan_that_asks_for_a_terabyte_is_refused_and_the_next_one_judged(
    prepared: Mapping[str, Prepared], supervisor: GpuSupervisor
) -> None:
    found = prepared["takes_all_memory_when_large"]
    if found.dossier:
        failure = supervisor.judge(found.dossier).failure
        assert failure is not None
        assert failure.kind in {FailureKind.MEMORY_LIMIT, FailureKind.BAD_PLAN}
    else:
        assert found.ending.startswith(("MEMORY_LIMIT", "BAD_PLAN"))
    assert supervisor.judge(prepared[NEXT].dossier).is_right
