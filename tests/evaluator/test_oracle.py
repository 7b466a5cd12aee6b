"""The exact answer, the trusted ones and what follows from them."""

import numpy as np
import pytest
import torch
from torch import nn
from torch_candidates import task_of

from tilewright.evaluator.arithmetic import Reordered, Widened
from tilewright.evaluator.compare import compare_numbers
from tilewright.evaluator.draws import Draw
from tilewright.evaluator.inputs import draw
from tilewright.evaluator.oracle import OracleError, Question, answer_exactly, expect, numbers_of
from tilewright.evaluator.tolerance import half_ulp, measure
from tilewright.tasks.spec import Case, CaseRole, DType, TensorSpec, Tolerance


def tensor_spec(tensor: torch.Tensor) -> TensorSpec:
    dtype = DType(str(tensor.dtype).removeprefix("torch."))
    return TensorSpec(shape=tuple(tensor.shape), strides=tuple(tensor.stride()), dtype=dtype)


def question_of(model: nn.Module, *inputs: torch.Tensor) -> Question:
    """Ask a module about inputs; the case's form is what eager gives."""
    outputs = model(*inputs)
    outputs = outputs if isinstance(outputs, tuple) else (outputs,)
    case = Case(
        name="a case",
        role=CaseRole.SMOKE,
        sizes=(),
        dtype=DType(str(inputs[0].dtype).removeprefix("torch.")),
        init_args="[]",
        inputs=tuple(tensor_spec(one) for one in inputs),
        parameters=(),
        outputs=tuple(tensor_spec(one) for one in outputs),
    )
    return Question(case=case, model=model, inputs=inputs, seed=0)


class Function(nn.Module):
    """A module that calls a function."""

    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: torch.Tensor) -> object:
        return self.function(*inputs)


def test_casts_inside_the_reference_do_not_round_the_exact_answer() -> None:
    x = torch.randn(4, 50).half()
    casting = Function(lambda x: torch.softmax(x.float() * torch.ones(50, dtype=torch.float32), -1).to(x.dtype))
    exact = answer_exactly(question_of(casting, x))[0]
    assert exact.dtype is torch.float64
    assert torch.equal(exact, torch.softmax(x.double(), -1))


def test_widening_reaches_new_tensors_and_plain_attributes() -> None:
    table = torch.randn(8, 8)
    with Widened():
        result = torch.zeros(3, 8, dtype=torch.float32).add_(1) @ table
    assert result.dtype is torch.float64
    assert torch.get_default_dtype() is torch.float32


@pytest.mark.parametrize(
    "function",
    [
        lambda x: x.sum(-1),
        lambda x: x.mean((0, 1)),
        lambda x: x.sum(),
        lambda x: torch.softmax(x, -1),
        lambda x: x @ x.mT,
        lambda x: x.cumsum(-1),
        lambda x: x.var(-1),
        lambda x: x.std(-1, keepdim=True),
        lambda x: nn.functional.layer_norm(x, (96,)),
        lambda x: nn.functional.group_norm(x, 2),
        lambda x: nn.functional.linear(x, x[:3], x[0, :3]),
    ],
)
def test_another_order_gives_other_bits_of_the_same_answer(function: object) -> None:
    x = torch.randn(64, 96, generator=torch.Generator().manual_seed(1))
    exact = function(x.double())
    with Reordered():
        other = function(x)
    assert other.shape == exact.shape
    assert (other - exact).abs().max() < 1e-4 * exact.abs().max()
    assert not torch.equal(other, function(x))


def test_attention_in_another_order_rounds_the_probabilities() -> None:
    q, k, v = (torch.randn(1, 2, 33, 16, generator=torch.Generator().manual_seed(n)).half() for n in range(3))
    exact = nn.functional.scaled_dot_product_attention(q.double(), k.double(), v.double(), is_causal=True)
    with torch.no_grad(), Reordered():
        other = nn.functional.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert 1e-5 < (other - exact).abs().max() < 1e-2


def test_integers_must_be_equal() -> None:
    x = torch.randn(5, 9)
    answer = expect(question_of(Function(lambda x: x.argmax(-1)), x), Tolerance())
    right = numbers_of(x.argmax(-1))
    assert compare_numbers(answer, (right,)).finding is None
    assert compare_numbers(answer, (right + np.eye(1, 5)[0],)).finding is not None


def test_nan_and_infinities_must_stand_where_the_reference_has_them() -> None:
    x = torch.tensor([[1.0, -1.0, 0.0, 2.0]])
    answer = expect(question_of(Function(lambda x: 1 / (x * (x > -0.5)).sqrt() + x.log()), x), Tolerance())
    exact = answer.outputs[0].exact
    assert np.isnan(exact).any()
    assert compare_numbers(answer, (exact,)).finding is None
    for wrong in (np.nan_to_num(exact), np.full(4, np.nan), -exact):
        assert compare_numbers(answer, (wrong,)).finding is not None


def test_a_small_element_does_not_hide_behind_a_large_one() -> None:
    x = torch.tensor([[1e2, 1e-1, 1.0, 30.0]] * 16)
    answer = expect(question_of(Function(lambda x: x * 1.5), x), Tolerance())
    wrong = answer.outputs[0].exact.copy()
    wrong[1] *= 1.001
    assert compare_numbers(answer, (wrong,)).finding is not None


def test_a_dropped_term_of_a_long_sum_shows() -> None:
    x = torch.rand(2, 4000).bfloat16()
    answer = expect(question_of(Function(lambda x: x.sum(-1)), x), Tolerance())
    cut = x[:, :3960].double().sum(-1).bfloat16()
    assert compare_numbers(answer, (numbers_of(cut),)).finding is not None


def test_where_trusted_answers_overflow_nothing_is_judged() -> None:
    x = torch.full((3, 8), 3e38)
    answer = expect(question_of(Function(lambda x: x.sum(-1) / 8), x), Tolerance())
    assert not answer.is_defined


def test_an_overflowing_product_may_be_infinite_or_nan_but_not_finite() -> None:
    x = torch.full((2, 4), 300.0).half()
    answer = expect(question_of(Function(lambda x: x * x), x), Tolerance())
    assert compare_numbers(answer, (np.full(8, np.inf),)).finding is None
    assert compare_numbers(answer, (np.full(8, 65504.0),)).finding is not None


def test_complex_outputs_are_compared_as_pairs() -> None:
    x = torch.randn(4, 16)
    answer = expect(question_of(Function(torch.fft.rfft), x), Tolerance())
    assert compare_numbers(answer, (numbers_of(torch.fft.rfft(x)),)).finding is None
    assert compare_numbers(answer, (numbers_of(torch.fft.rfft(x).conj()),)).finding is not None


def test_a_reference_that_raises_is_the_tasks_fault() -> None:
    def fail(_: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no")

    x = torch.ones(2)
    question = question_of(Function(lambda x: x), x)
    broken = Question(case=question.case, model=Function(fail), inputs=(x,), seed=0)
    with pytest.raises(OracleError, match="a case"):
        expect(broken, Tolerance())


def test_the_questions_own_numbers_stay_as_they_are() -> None:
    task = task_of("layer_norm")
    question = draw(task, Draw(case=task.cases[0], seed=1))
    before = [question.inputs[0].clone(), *(one.clone() for one in question.model.state_dict().values())]
    expect(question, task.tolerance)
    after = [question.inputs[0], *question.model.state_dict().values()]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32])
def test_half_an_ulp_is_half_the_distance_to_the_next_number(dtype: DType) -> None:
    kind = getattr(torch, dtype.value)
    x = torch.tensor([1.0, 1.5, 3.0, 1000.0, 1e-3, 1e-7, 0.0], dtype=kind)
    above = torch.nextafter(x, torch.full_like(x, torch.inf))
    expected = (above.double() - x.double()) / 2
    assert torch.from_numpy(half_ulp(numbers_of(x), dtype)).equal(expected)


def test_measures_are_exact_on_small_samples() -> None:
    got = measure(np.array([3.0, 4.0]))
    assert (got.largest, got.p999) == (4.0, 4.0)
    assert got.rms == pytest.approx(12.5**0.5)
    assert measure(np.zeros(0)).largest == 0.0
