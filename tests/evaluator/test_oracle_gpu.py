"""The oracle and the comparison of large outputs say what those of small ones say, on the same numbers."""

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
import torch
from torch_candidates import shared_preparations, task_of

from tilewright.evaluator.compare import compare_numbers
from tilewright.evaluator.draws import Draw, Probe
from tilewright.evaluator.gpu.comparison_gpu import compare_on_device
from tilewright.evaluator.gpu.expectation_gpu import DeviceAnswer, half_ulp, measure
from tilewright.evaluator.gpu.oracle_gpu import OracleMemoryError, draw_on_device, expect_on_device
from tilewright.evaluator.gpu.sampling_gpu import RowSample, sub_question
from tilewright.evaluator.oracle import Answer, Question, numbers_of
from tilewright.evaluator.preparation import Prepared
from tilewright.evaluator.tolerance import half_ulp as half_ulp_on_host
from tilewright.evaluator.tolerance import measure as measure_on_host
from tilewright.tasks.spec import DType, KernelTask, Layout, Tolerance, Values
from tilewright.tasks.values import to_torch

HOST = torch.device("cpu")
TASKS = ("softmax", "layer_norm", "cross_entropy", "matmul", "attention")


@cache
def prepared(name: str) -> tuple[tuple[Prepared, DeviceAnswer], ...]:
    return tuple(_prepare(task_of(name)))


def _prepare(task: KernelTask) -> Iterator[tuple[Prepared, DeviceAnswer]]:
    for planned in shared_preparations().stages(task, 1):
        for chosen in planned.draws:
            one = shared_preparations().prepare(task, chosen)
            if isinstance(one, Prepared):
                yield one, expect_on_device(one.question, task.tolerance, HOST)


def near(one: float, other: float) -> bool:
    return abs(one - other) <= 1e-3 * max(abs(one), abs(other), 1e-30)


@pytest.mark.parametrize("name", TASKS)
def test_bounds_are_those_of_small_cases(name: str) -> None:
    for one, answer in prepared(name):
        for expected, got in zip(one.answer.outputs, answer.outputs, strict=True):
            assert expected.bounds is not None
            assert got.bounds is not None
            free = np.zeros(expected.is_free.shape, dtype=bool) if got.is_free is None else got.is_free.numpy()
            assert (free == expected.is_free).all(), one.case_name
            # the noise on the inputs comes from another generator: sensitivity, and with it the bounds, differ a little
            for bound, other in (
                (expected.bounds.absolute, got.bounds.absolute),
                (expected.bounds.local, got.bounds.local),
            ):
                assert 0.5 < (other.largest + 1e-30) / (bound.largest + 1e-30) < 2, one.case_name
                assert 0.5 < (other.rms + 1e-30) / (bound.rms + 1e-30) < 2, one.case_name


def verdict_of(answer: Answer, device: DeviceAnswer, outputs: tuple[torch.Tensor, ...]) -> tuple[object, object]:
    host = compare_numbers(answer, tuple(numbers_of(one) for one in outputs)).finding
    # no byte that real numbers are made of: what was never written is told apart elsewhere
    found = compare_on_device(device, outputs, 0x5A).finding
    return (host.kind if host else None), (found.kind if found else None)


@pytest.mark.parametrize("name", TASKS)
def test_verdicts_are_those_of_small_cases(name: str) -> None:
    for one, device in prepared(name):
        exact = tuple(
            torch.from_numpy(expected.exact).reshape(expected.spec.shape).to(to_torch(expected.spec.dtype))
            for expected in one.answer.outputs
        )
        right, wrong_by_much = verdict_of(one.answer, device, exact), []
        assert right == (None, None), one.case_name
        for change in (lambda x: x * 1.05 + 0.01, torch.zeros_like, lambda x: x.flip(0), lambda x: x / 0):
            host, found = verdict_of(one.answer, device, tuple(change(x) for x in exact))
            wrong_by_much.append(host == found)
        assert all(wrong_by_much), one.case_name


def test_measures_are_those_of_the_host() -> None:
    values = torch.rand(12_345, dtype=torch.float64) ** 4
    host, device = measure_on_host(values.numpy()), measure(values)
    assert near(host.largest, device.largest)
    assert near(host.p999, device.p999)
    assert near(host.rms, device.rms)


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32])
def test_half_roundings_are_those_of_the_host(dtype: DType) -> None:
    values = torch.tensor([0.0, 1.0, -1.5, 1e-7, 65504.0, 3e-45, 1e38], dtype=torch.float64)
    assert half_ulp(values, dtype).tolist() == half_ulp_on_host(values.numpy(), dtype).tolist()


def bench_question(task: KernelTask) -> Question:
    case = max(
        (one for one in task.cases if one.dtype is DType.FLOAT32 and one.values is Values.DRAWN),
        key=lambda one: one.outputs[0].elements,
    )
    return draw_on_device(task, Draw(case=case, seed=3), HOST)


def test_draws_are_contiguous_and_expanded_inputs_repeat_their_first_row() -> None:
    task = task_of("softmax")
    case = next(one for one in task.cases if one.layout is Layout.EXPANDED)
    (x,) = draw_on_device(task, Draw(case=case, seed=3), HOST).inputs
    assert isinstance(x, torch.Tensor)
    assert x.is_contiguous()
    assert (x == x[0]).all()


def test_spikes_decide_the_answer_on_the_device_too() -> None:
    task = task_of("softmax")
    case = task.cases[0]
    (x,) = draw_on_device(task, Draw(case=case, seed=3, probe=Probe.SPIKES), HOST).inputs
    assert isinstance(x, torch.Tensor)
    assert len(x.unique()) == 3


def test_sampled_rows_are_drawn_from_the_outputs_own_bits() -> None:
    question = bench_question(task_of("softmax"))
    (x,) = question.inputs
    assert isinstance(x, torch.Tensor)
    sample = RowSample(question, Tolerance(), HOST)
    right = torch.softmax(x, -1)
    compared, note = sample.compare((right,), 0xFF)
    assert compared.finding is None
    assert "rows" in note
    broken = right.clone()
    broken[-1] = 0
    assert sample.compare((broken,), 0xFF)[0].finding is not None


def test_a_reference_whose_rows_depend_on_each_other_cannot_be_sampled() -> None:
    question = bench_question(task_of("cross_entropy"))
    with pytest.raises(OracleMemoryError, match="independent"):
        RowSample(question, Tolerance(), HOST)


def test_a_question_about_some_rows_gets_their_answers() -> None:
    question = bench_question(task_of("matmul"))
    a, b = question.inputs
    assert isinstance(a, torch.Tensor)
    assert isinstance(b, torch.Tensor)
    rows = torch.tensor([3, 1])
    sub = sub_question(question, rows, a.shape[0])
    answer = expect_on_device(sub, Tolerance(), HOST)
    assert torch.allclose(answer.outputs[0].exact, (a.double() @ b.double())[rows].reshape(-1))
