"""Cells follow from compiled facts, on the kernel and the case that take the most time."""

import pytest
from archive_samples import make_candidate, make_facts, make_recording, make_report, make_task
from msgspec import structs

from tilewright.archive.descriptors import Structure, all_cells, describe, parse_cell
from tilewright.evaluator.recording import InstructionMix, Recording
from tilewright.evaluator.timing import CostTerm
from tilewright.sandbox.plan import Launch

TASK = make_task()
CANDIDATE = make_candidate(TASK, 0)
REPORT = make_report(CANDIDATE)


def with_mix(**changes: int) -> Recording:
    recording = make_recording(CANDIDATE, cell="scalar|independent|one-pass")
    (build,) = recording.builds
    mix = structs.replace(InstructionMix(total=100, global_loads=8), **changes)
    facts = structs.replace(build.facts, mix=mix, shared_bytes=16384)
    return structs.replace(recording, builds=(structs.replace(build, facts=facts),))


def test_there_are_64_cells_and_their_names_can_be_read():
    cells = all_cells()
    assert len(set(cells)) == 64
    assert [parse_cell(name).cell for name in cells] == list(cells)


@pytest.mark.parametrize("name", ["", "128-bit", "128-bit|block|sideways", "a|b|c|d"])
def test_other_names_are_no_cells(name: str):
    assert parse_cell(name) is None


@pytest.mark.parametrize("cell", all_cells())
def test_every_cell_can_be_reached(cell: str):
    if cell.endswith("|one-pass") or cell.endswith("|streaming"):
        recording = make_recording(CANDIDATE, cell=cell)
        assert describe(recording, REPORT).cell == cell


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        ({}, "scalar"),
        ({"global_loads_128": 3}, "scalar"),
        ({"global_loads_128": 4}, "128-bit"),
        ({"global_loads_128": 8, "shared_loads": 4, "shared_stores": 4}, "staged"),
        ({"hgmma": 4, "shared_stores": 4}, "staged"),
        ({"ldgsts": 1}, "async"),
        ({"utmaldg": 1, "hgmma": 4}, "async"),
    ],
)
def test_the_memory_path_follows_the_instructions(mix: dict[str, int], expected: str):
    assert describe(with_mix(**mix), REPORT).memory == expected


@pytest.mark.parametrize(
    ("mix", "expected"),
    [
        ({}, "independent"),
        ({"barriers": 2, "hmma": 4}, "independent"),
        ({"barriers": 2}, "block"),
        ({"shuffles": 5, "hmma": 4}, "block"),
        ({"atomics": 1, "shuffles": 5}, "grid"),
    ],
)
def test_cooperation_follows_the_instructions(mix: dict[str, int], expected: str):
    assert describe(with_mix(**mix), REPORT).cooperation == expected


def test_shared_memory_of_a_reduction_is_no_staging():
    facts = structs.replace(make_facts("staged|block|one-pass", "0"), shared_bytes=512)
    recording = make_recording(CANDIDATE)
    build = structs.replace(recording.builds[0], facts=facts)
    assert describe(structs.replace(recording, builds=(build,)), REPORT).memory == "scalar"


def test_a_program_cluster_is_persistent():
    recording = make_recording(CANDIDATE)
    plans = tuple(
        structs.replace(
            plan, steps=tuple(structs.replace(s, num_ctas=2) if isinstance(s, Launch) else s for s in plan.steps)
        )
        for plan in recording.plans
    )
    assert describe(structs.replace(recording, plans=plans), REPORT).cooperation == "persistent"


def test_the_outer_loop_of_a_persistent_kernel_is_no_streaming():
    assert describe(make_recording(CANDIDATE, cell="scalar|persistent|one-pass"), REPORT).structure == "one-pass"


def test_launches_that_share_scratch_memory_cooperate():
    recording = make_recording(CANDIDATE, cell="scalar|independent|one-pass")
    plans = tuple(
        structs.replace(plan, steps=(*plan.steps, structs.replace(plan.launches[0], grid=(1, 1, 1))))
        for plan in recording.plans
    )
    found = describe(structs.replace(recording, plans=plans), REPORT)
    assert (found.cooperation, found.structure) == ("grid", "several")


def test_little_time_in_own_kernels_is_foreign():
    report = make_report(CANDIDATE, own_share=0.29)
    assert describe(make_recording(CANDIDATE), report).structure is Structure.FOREIGN


def test_the_kernel_that_takes_the_most_time_decides():
    recording = make_recording(CANDIDATE, cell="128-bit|block|one-pass")
    second = structs.replace(
        recording.builds[0], kernel="tail", ptx_sha="tail", facts=make_facts("async|independent|streaming", "1")
    )
    plans = tuple(
        structs.replace(
            plan, steps=(*plan.steps, structs.replace(plan.launches[0], kernel="tail", ptx_sha="tail", arguments=()))
        )
        for plan in recording.plans
    )
    recording = structs.replace(recording, plans=plans, builds=(*recording.builds, second))
    steps_us = tuple(CostTerm(name=name, us=us, reason="") for name, us in (("0:softmax_kernel", 1.0), ("1:tail", 9.0)))
    report = structs.replace(REPORT, profile=structs.replace(REPORT.profile, steps_us=steps_us))
    assert describe(recording, report).cell == "async|independent|several"


def test_neighbours_are_one_step_away_in_one_dimension():
    here = parse_cell("scalar|block|one-pass")
    assert [tuple(here.neighbours(dimension)) for dimension in range(3)] == [
        ("128-bit|block|one-pass",),
        ("scalar|independent|one-pass", "scalar|grid|one-pass"),
        ("scalar|block|several", "scalar|block|streaming"),
    ]
