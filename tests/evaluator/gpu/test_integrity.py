"""Leaving kernels out, on instances that compute on the CPU in place of replayed plans."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import cast

import pytest
import torch

from tilewright.evaluator.gpu.candidate_work import CandidateWork
from tilewright.evaluator.gpu.integrity import find_idle_kernel, measure_steps
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.plan import Alloc, Launch, LaunchPlan
from tilewright.tasks.spec import Case, CaseRole, DType, TensorSpec

SPEC = TensorSpec(shape=(32, 8), strides=(8, 1), dtype=DType.FLOAT32)
CASE = Case(
    name="bench", role=CaseRole.BENCH, sizes=(), dtype=DType.FLOAT32, init_args="[]", inputs=(SPEC,), parameters=(),
    outputs=(SPEC,),
)  # fmt: skip

Buffers = dict[str, torch.Tensor]
Kernel = Callable[[Buffers], None]


def double(at: Buffers) -> None:
    at["half"].copy_(at["x"] * 2)


def add_weight(at: Buffers) -> None:
    at["out"].copy_(at["half"] + at["w"])


def spread_weight(at: Buffers) -> None:
    at["wide"].copy_(at["w"].expand(32, 8))


def add_spread(at: Buffers) -> None:
    at["out"].copy_(at["x"] * 2 + at["wide"])


def all_at_once(at: Buffers) -> None:
    at["out"].copy_(at["x"] * 2 + at["w"])


def scribble(at: Buffers) -> None:
    at["half"].copy_(at["x"])


def add_nothing(at: Buffers) -> None:
    at["out"].add_(1e-9)


class CpuInstance:
    """Two inputs' worth of buffers and kernels that are Python functions."""

    def __init__(self, kernels: tuple[Kernel, ...]) -> None:
        self.kernels = kernels
        self.at: Buffers = {name: torch.zeros(32, 8) for name in ("x", "half", "wide", "out")}
        self.at["w"] = torch.arange(8.0)

    def poison(self, byte: int = 0xFF, stream: int = 0) -> None:
        for name in ("half", "wide", "out"):
            self.at[name].fill_(float("nan"))

    def replay(self, stream: int = 0, *, without: int | None = None) -> None:
        for index, kernel in enumerate(self.kernels, start=1):
            if index != without:
                kernel(self.at)

    def outputs(self) -> tuple[torch.Tensor, ...]:
        return (self.at["out"],)


def _launch(kernel: Kernel) -> Launch:
    return Launch(
        kernel=kernel.__name__, entry="", ptx_sha="", grid=(1, 1, 1), num_warps=4, num_stages=1, num_ctas=1,
        shared_bytes=0, global_scratch_bytes=0, arguments=(),
    )  # fmt: skip


def _work(*kernels: Kernel) -> CandidateWork:
    instances = [CpuInstance(kernels) for _ in range(2)]

    def load(instance: CpuInstance, number: int) -> None:
        generator = torch.Generator().manual_seed(number)
        instance.at["x"].copy_(torch.randn(32, 8, generator=generator))

    for number, one in enumerate(instances):
        load(one, number)
    plan = LaunchPlan(
        target="cuda:90", case="bench", buffers=(), steps=(Alloc(buffer=0), *(_launch(one) for one in kernels)),
        outputs=(),
    )  # fmt: skip
    stream = torch.cuda.Stream() if torch.cuda.is_available() else SimpleNamespace(cuda_stream=0)
    bench = SimpleNamespace(case=CASE)
    return cast(
        "CandidateWork", SimpleNamespace(plan=plan, instances=instances, stream=stream, bench=bench, load=load)
    )  # fmt: skip


def test_kernels_that_hand_results_on_are_needed() -> None:
    assert find_idle_kernel(_work(double, add_weight)) is None


def test_a_kernel_whose_work_is_overwritten_is_idle() -> None:
    found = find_idle_kernel(_work(scribble, all_at_once))
    assert found is not None
    assert found.kind is FailureKind.IDLE_KERNEL
    assert "without scribble (step 1)" in found.message


def test_a_kernel_that_changes_the_answer_by_less_than_roundings_is_idle() -> None:
    found = find_idle_kernel(_work(all_at_once, add_nothing))
    assert found is not None
    assert "add_nothing" in found.message


def test_a_kernel_that_works_on_parameters_alone_is_needed() -> None:
    assert find_idle_kernel(_work(spread_weight, add_spread)) is None


def test_a_single_kernel_is_always_needed() -> None:
    assert find_idle_kernel(_work(all_at_once)) is None


def test_inputs_are_put_back() -> None:
    work = _work(double, add_weight)
    before = [one.at["x"].clone() for one in cast("list[CpuInstance]", work.instances)]
    find_idle_kernel(work)
    after = [one.at["x"] for one in cast("list[CpuInstance]", work.instances)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_plan_of_one_step_spends_all_its_time_there() -> None:
    shares = measure_steps(_work(all_at_once), total_us=12.5)
    assert [(one.name, one.us) for one in shares.steps] == [("all_at_once", pytest.approx(12.5))]
    assert shares.own_share == pytest.approx(1)
