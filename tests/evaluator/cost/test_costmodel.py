"""The cost model: near what was measured on an H200, ordered as measured, and every term visible.

The bounds on times are the model's own band of 25 %; orders are exact.
"""

import math

import cost_samples as samples
import pytest
from msgspec import structs

from tilewright.evaluator.aten_cost import EagerOp
from tilewright.evaluator.costmodel import CostModelError, estimate
from tilewright.evaluator.costmodel_constants import BAND
from tilewright.evaluator.diagnosis import diagnose
from tilewright.evaluator.floor import beyond_floor
from tilewright.evaluator.hardware import find_hardware
from tilewright.evaluator.recording import CaseCount
from tilewright.evaluator.timing import Timing
from tilewright.sandbox.plan import View
from tilewright.sandbox.targets import UnknownTargetError, find_target, target_names
from tilewright.tasks.spec import DType

TARGET = find_target("cuda:90")
HARDWARE = find_hardware("cuda:90")
EAGER: tuple[EagerOp, ...] = ()


def timing_of(sample: samples.Sample, target: str = "cuda:90") -> Timing:
    task, recording, counts = sample
    (timing,) = estimate(task, recording, counts, (EAGER,), find_target(target), find_hardware(target))
    return timing


def us(sample: samples.Sample) -> float:
    return timing_of(sample).candidate.median_us


def terms(sample: samples.Sample) -> dict[str, float]:
    return {term.name.rsplit(" ", 1)[-1]: term.us for term in timing_of(sample).terms}


@pytest.mark.parametrize(
    ("sample", "measured_us"),
    [
        (samples.softmax_block(), 68.0),
        (samples.rms_norm(), 67.6),
        (samples.matmul(), 216.0),
        (samples.softmax_wide(4), 4166.9),
        (samples.softmax_wide(16), 808.3),
    ],
    ids=["softmax", "rms_norm", "matmul", "wide softmax, 4 warps", "wide softmax, 16 warps"],
)
def test_estimates_lie_within_the_band_of_measured_times(sample: samples.Sample, measured_us: float) -> None:
    assert us(sample) == pytest.approx(measured_us, rel=BAND)


def test_the_terms_add_up_to_the_estimate() -> None:
    for sample in (samples.softmax_block(), samples.matmul(), samples.softmax_wide(4)):
        timing = timing_of(sample)
        assert math.fsum(term.us for term in timing.terms) == pytest.approx(timing.candidate.median_us)
        assert all(term.reason for term in timing.terms)


def test_the_same_recording_gives_the_same_estimate() -> None:
    assert timing_of(samples.matmul()) == timing_of(samples.matmul())


def test_an_estimate_is_never_below_the_floor_of_its_work() -> None:
    for sample in (samples.softmax_block(), samples.rms_norm(), samples.matmul()):
        assert timing_of(sample).share_of_floor < 1


def test_tensor_cores_that_need_pipelining_are_slower_without_it() -> None:
    assert (
        us(samples.matmul())
        < us(samples.matmul(warp_groups=False))
        < us(samples.matmul(warp_groups=False, pipelined=False))
    )


def test_small_tiles_ask_the_cache_for_more() -> None:
    assert terms(samples.matmul(side=32))["l2"] > 3 * terms(samples.matmul(side=128))["l2"]
    assert us(samples.matmul(side=32)) > us(samples.matmul(side=128))


def test_spills_cost_time() -> None:
    assert us(samples.softmax_wide(4)) > 3 * us(samples.softmax_wide(16))


def test_few_bytes_under_way_draw_less_bandwidth() -> None:
    lean = samples.facts(blocks=1, total=600, global_loads=16, branches_back=1, barriers=5)
    assert terms(samples.softmax(8192, 8192, 1, lean))["dram"] > 1.5 * terms(samples.softmax_block())["dram"]


def test_waiting_for_one_load_after_another_costs_latency() -> None:
    looped = samples.facts(blocks=2, total=200, global_loads=1, branches_back=1)
    assert terms(samples.softmax(8192, 8192, 1, looped))["latency"] > terms(samples.softmax_block())["dram"]


def test_strided_loads_cost_whole_sectors() -> None:
    task, recording, (counted,) = samples.softmax_block()
    (work,) = counted.launches
    strided = structs.replace(work, load_sectors=16 * work.load_sectors)
    timing = timing_of((task, recording, (CaseCount(case=counted.case, launches=(strided,)),)))
    assert timing.candidate.median_us > 2 * us(samples.softmax_block())


def test_a_row_that_is_read_twice_stays_in_the_cache_if_it_is_short() -> None:
    def twice(columns: int) -> float:
        task, recording, (counted,) = samples.softmax(
            8192, columns, 8, samples.facts(blocks=8, total=300, global_loads_128=4)
        )
        (work,) = counted.launches
        again = structs.replace(work, load_bytes=2 * work.load_bytes, load_sectors=2 * work.load_sectors)
        both = (CaseCount(case=counted.case, launches=(again,)),)
        return terms((task, recording, both))["dram"] / terms((task, recording, (counted,)))["dram"]

    assert twice(2048) <= 1.0
    assert twice(65536) > 1.25


def test_atomics_on_one_address_queue() -> None:
    def atomics_us(addresses: int) -> float:
        case = samples.bench("sum", (samples.tensor(8192, 8192),), (samples.tensor(addresses, dtype=DType.FLOAT32),))
        work = samples.count(8192, 1 << 27, 0, atomic_operations=8192)
        step = samples.launch(0, 1, programs=8192)
        return terms(samples.sample(case, step, work, samples.facts(blocks=8, total=100, global_loads_128=4)))[
            "atomics"
        ]

    assert atomics_us(1) > 10
    assert atomics_us(8192) < 1


def test_a_kernel_that_only_stores_draws_the_full_bandwidth() -> None:
    task, recording, (counted,) = samples.softmax_block()
    (work,) = counted.launches
    blind = structs.replace(work, load_bytes=0, load_sectors=0, special_operations=0)
    found = samples.facts(blocks=8, total=40, global_stores=4, global_stores_128=4)
    recording = structs.replace(recording, builds=(structs.replace(recording.builds[0], facts=found),))
    timing = timing_of((task, recording, (CaseCount(case=counted.case, launches=(blind,)),)))
    assert timing.candidate.median_us == pytest.approx(35, rel=0.05)
    assert beyond_floor((timing,)) is not None


def test_a_second_step_pays_its_launch_and_its_bytes() -> None:
    task, recording, counts = samples.softmax_block()
    (case,) = task.cases
    plan = recording.plans[0]
    view = View(buffer=1, tensor=case.outputs[0])
    two = structs.replace(recording, plans=(structs.replace(plan, steps=(*plan.steps, samples.fill(view))),))
    timing = timing_of((task, two, counts))
    assert timing.candidate.median_us > us(samples.softmax_block()) + 30
    found = diagnose(two, counts, (timing,), TARGET)
    assert found.own_share == pytest.approx(us(samples.softmax_block()) / timing.candidate.median_us)
    assert [term.name for term in found.steps_us] == ["0:kernel", "1:aten.fill_.Scalar"]


def test_a_small_intermediate_is_read_from_the_cache() -> None:
    case = samples.bench("two", (samples.tensor(1024, 1024),), (samples.tensor(1024, 1024),))
    steps = (samples.launch(0, 2, programs=1024), samples.launch(2, 1, programs=1024))
    plan = samples.plan_of(case, steps, scratch=(samples.tensor(1024, 1024),))
    work = samples.count(1024, 1 << 21, 1 << 21)
    found = samples.recording_of(plan, kernel=samples.facts(blocks=8, total=100, global_loads_128=1))
    timing = timing_of((samples.task_of(case), found, (CaseCount(case="two", launches=(work, work)),)))
    dram = [term.us for term in timing.terms if term.name.endswith(" dram")]
    assert dram[1] < 0.8 * dram[0]


def test_an_empty_grid_costs_its_launch_only() -> None:
    case = samples.bench("empty", (samples.tensor(4),), (samples.tensor(4),))
    empty = samples.sample(case, samples.launch(0, 1, programs=0), samples.count(0, 0, 0), samples.facts(blocks=8))
    assert us(empty) == HARDWARE.launch_us


def test_what_does_not_fit_together_is_our_error() -> None:
    task, recording, (counted,) = samples.softmax_block()
    with pytest.raises(CostModelError, match="expected counts of 1 launches"):
        estimate(task, recording, (structs.replace(counted, launches=()),), (EAGER,), TARGET, HARDWARE)
    with pytest.raises(CostModelError, match="expected a plan and a count"):
        estimate(task, recording, (), (EAGER,), TARGET, HARDWARE)
    with pytest.raises(CostModelError, match="expected the operations of 1 bench cases"):
        estimate(task, recording, (counted,), (), TARGET, HARDWARE)


@pytest.mark.parametrize("target", target_names())
def test_every_target_has_rates(target: str) -> None:
    assert timing_of(samples.matmul(), target).candidate.median_us > 0
    assert find_hardware(target).source


def test_an_unknown_target_is_named() -> None:
    with pytest.raises(UnknownTargetError, match="cuda:90"):
        find_hardware("cuda:70")


@pytest.mark.parametrize(
    ("sample", "bound", "note"),
    [
        (samples.softmax_block(), "memory", None),
        (samples.matmul(), "compute", None),
        (samples.matmul(pipelined=False), "latency", "not pipelined"),
        (samples.matmul(warp_groups=False), "compute", "without warp-group instructions"),
        (samples.softmax_wide(4), "latency", "spills 22248 bytes a thread"),
    ],
)
def test_a_profile_says_what_bounds_a_kernel(sample: samples.Sample, bound: str, note: str | None) -> None:
    _, recording, counts = sample
    found = diagnose(recording, counts, (timing_of(sample),), TARGET)
    assert found.bound == bound
    assert found.own_share == 1.0
    assert note is None or any(note in one for one in found.notes)
