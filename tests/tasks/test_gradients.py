"""Tasks that ask for gradients: what their cases hold and how the reference answers them."""

import msgspec
import pytest
import torch
from task_files import LOSS, MATMUL, NORM, RELU, SCALE, task_file

from tilewright.tasks.derivation import describe
from tilewright.tasks.errors import TaskError
from tilewright.tasks.reference import build, draw, instantiate, run_reference
from tilewright.tasks.spec import Case, CaseRole, DType, Gradients, Layout, Size, TensorSpec

ASK = "GRADIENTS = True\n"
TWO = task_file("(self, x): return x.exp(), x.argmax(-1), x.sum()", "torch.rand(rows, cols)", "rows = 8; cols = 64")


def make(source: str, dtype: DType = DType.FLOAT32, layout: Layout = Layout.CONTIGUOUS, **sizes: int) -> Case:
    values = tuple(Size(name=name, value=value) for name, value in sizes.items())
    return instantiate(source, name="case", role=CaseRole.SHAPE, sizes=values, dtype=dtype, layout=layout)


def gradients_of(case: Case) -> Gradients:
    assert isinstance(case.gradients, Gradients)
    return case.gradients


def tensors(source: str, case: Case) -> list[torch.Tensor]:
    return [one for one in draw(source, case, seed=0) if isinstance(one, torch.Tensor)]


def test_gradients_of_floating_inputs_and_parameters_follow_the_outputs() -> None:
    case = make(NORM + ASK, DType.FLOAT16, batch=2, height=3)
    assert case.output_names == ("output 0", "gradient of input 0", "gradient of norm.weight", "gradient of norm.bias")
    assert case.input_names == ("input 0", "grad output 0")
    assert [spec.shape for spec in case.outputs] == [(2, 64, 3, 3), (2, 64, 3, 3), (64,), (64,)]
    assert case.arguments == case.inputs[:1]
    assert case.forward_outputs == case.outputs[:1]


def test_integers_have_no_gradient() -> None:
    case = make(LOSS + ASK, batch=5, classes=7)
    assert gradients_of(case) == Gradients(outputs=(0,), of=("input 0",))
    assert case.inputs[-1] == TensorSpec(shape=(), strides=(), dtype=DType.FLOAT32)


def test_numbers_among_the_inputs_keep_their_place() -> None:
    case = make(SCALE + ASK, rows=2, cols=3)
    assert case.input_names == ("input 0", "input 1", "grad output 0")
    x, grad = tensors(SCALE + ASK, case)
    assert torch.allclose(run_reference(build(SCALE + ASK, case, 0), (x, 3.14, grad), case.gradients)[1], grad * 3.14)


def test_only_floating_outputs_start_the_backward_pass() -> None:
    case = make(TWO + ASK, rows=3, cols=5)
    assert gradients_of(case).outputs == (0, 2)
    assert case.input_names == ("input 0", "grad output 0", "grad output 2")
    assert case.output_names == ("output 0", "output 1", "output 2", "gradient of input 0")


def test_gradients_are_those_of_autograd() -> None:
    case = make(MATMUL + ASK, m=3, k=5)
    a, b, grad = tensors(MATMUL + ASK, case)
    output, for_a, for_b = run_reference(build(MATMUL, case, 0), (a, b, grad), case.gradients)
    assert torch.allclose(output, a @ b)
    assert torch.allclose(for_a, grad @ b.T)
    assert torch.allclose(for_b, a.T @ grad)
    assert not any(one.requires_grad for one in (output, for_a, for_b, a, b))


@pytest.mark.parametrize(
    ("layout", "strides", "offset"),
    [
        (Layout.TRANSPOSED, (1, 3), 0),
        (Layout.SLICED, (10, 1), 0),
        (Layout.OFFSET, (5, 1), 1),
        (Layout.EXPANDED, (0, 1), 0),
    ],
)
def test_grad_outputs_are_laid_out_as_the_case_says(layout: Layout, strides: tuple[int, ...], offset: int) -> None:
    case = make(RELU + ASK, layout=layout, rows=3, cols=5)
    grad = tensors(RELU + ASK, case)[1]
    assert (grad.stride(), grad.storage_offset()) == (strides, offset)


def test_grad_outputs_are_drawn_anew_with_each_seed_and_change_no_other_input() -> None:
    case = make(RELU + ASK, rows=3, cols=5)
    plain = make(RELU, rows=3, cols=5)
    (x, grad), (other, other_grad) = (draw(RELU + ASK, case, seed) for seed in (1, 2))
    assert torch.equal(torch.as_tensor(x), torch.as_tensor(draw(RELU, plain, 1)[0]))
    assert not torch.equal(torch.as_tensor(x), torch.as_tensor(other))
    assert not torch.equal(torch.as_tensor(grad), torch.as_tensor(other_grad))


def test_a_task_without_gradients_keeps_its_identity() -> None:
    assert b"gradients" not in msgspec.msgpack.encode(make(RELU))
    assert b"gradients" in msgspec.msgpack.encode(make(RELU + ASK))


def test_a_file_that_declares_nothing_else_gets_small_cases_with_gradients() -> None:
    task = describe(NORM + ASK, "norm")
    assert task.asks_gradients
    assert task.family == "other"
    assert all(isinstance(case.gradients, Gradients) for case in task.cases)
    assert {case.role for case in task.cases} == set(CaseRole)
    assert not describe(RELU, "relu").asks_gradients


def test_frozen_parameters_get_no_gradient() -> None:
    source = task_file(
        "(self, x): return x * self.w", "torch.rand(rows, 4)", "rows = 8",
        init="(self): self.w = nn.Parameter(torch.ones(4), requires_grad=False)",
    )  # fmt: skip
    assert gradients_of(make(source + ASK, DType.FLOAT16)).of == ("input 0",)


TIED = task_file(
    "(self, x): return F.linear(F.linear(x, self.a), self.b)", "torch.rand(rows, 4)", "rows = 8",
    init="(self): self.a = nn.Parameter(torch.rand(4, 4)); self.b = self.a",
)  # fmt: skip


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (task_file("(self, x): return x.argmax(-1)", "torch.rand(4, 8)", "n = 1") + ASK, "got none"),
        (TIED + ASK, "untie"),
        (RELU + "GRADIENTS = 'yes'\n", "GRADIENTS as the page"),
    ],
)
def test_what_has_no_gradients_is_refused_in_one_line(source: str, words: str) -> None:
    with pytest.raises(TaskError, match=words) as caught:
        describe(source, "task")
    assert "\n" not in str(caught.value)
