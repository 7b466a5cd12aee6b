import pytest
import torch

from tilewright.evaluator.gpu.input_sets import draw_sets, set_bytes
from tilewright.tasks.derivation import describe
from tilewright.tasks.spec import Case, CaseRole, KernelTask

TASK = """
import torch
from torch import nn

rows = 5
cols = 7


class Model(nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cols))

    def forward(self, x, scale):
        return x * self.weight * scale


def get_inputs():
    return [torch.randn(rows, cols), 2.0]


def get_init_inputs():
    return [cols]


CASES = {"bench": [{"rows": 5, "cols": 7, "dtype": "float16", "layout": "offset"}]}
"""
HERE = torch.device("cpu")


@pytest.fixture(scope="module")
def task() -> KernelTask:
    return describe(TASK, "scaled")


@pytest.fixture(scope="module")
def case(task: KernelTask) -> Case:
    return task.cases_of(CaseRole.BENCH)[0]


def test_each_set_has_numbers_of_its_own_and_the_same_parameters_elsewhere(task: KernelTask, case: Case) -> None:
    sets = draw_sets(task, case, 3, 11, HERE)
    first, second = (sets.tensors(one)[0] for one in (0, 1))
    assert sets.count == 3
    assert not torch.equal(first, second)
    assert torch.equal(sets.parameters[0][0], sets.parameters[2][0])
    assert sets.parameters[0][0].data_ptr() != sets.parameters[2][0].data_ptr()


def test_inputs_lie_as_the_case_says(task: KernelTask, case: Case) -> None:
    (x,) = draw_sets(task, case, 1, 11, HERE).tensors(0)
    assert (tuple(x.shape), x.stride(), x.storage_offset(), x.dtype) == ((5, 7), (7, 1), 1, torch.float16)
    assert draw_sets(task, case, 1, 11, HERE).inputs[0][1] == 2.0


def test_the_same_seed_draws_the_same_sets(task: KernelTask, case: Case) -> None:
    once, again, other = (draw_sets(task, case, 2, seed, HERE).tensors(1)[0] for seed in (3, 3, 4))
    assert torch.equal(once, again)
    assert not torch.equal(once, other)


def test_a_model_answers_with_the_parameters_of_the_set_that_is_installed(task: KernelTask, case: Case) -> None:
    sets = draw_sets(task, case, 2, 11, HERE)
    sets.parameters[1][0].mul_(3)
    x, scale = sets.inputs[0]
    with torch.no_grad():
        sets.install(0)
        one = sets.model(x, scale)
        sets.install(1)
        assert torch.allclose(sets.model(x, scale), 3 * one, rtol=1e-2)


def test_a_set_takes_the_bytes_of_inputs_parameters_and_outputs(case: Case) -> None:
    assert set_bytes(case) == 2 * (36 + 7 + 35)  # the offset of one element counts


def test_a_file_that_insists_on_the_cpu_is_drawn_there(case: Case) -> None:
    task = describe(TASK.replace("torch.randn(rows, cols)", "torch.randn(rows, cols, device='cpu')"), "scaled")
    (x,) = draw_sets(task, task.cases_of(CaseRole.BENCH)[0], 1, 11, HERE).tensors(0)
    assert x.isfinite().all()
