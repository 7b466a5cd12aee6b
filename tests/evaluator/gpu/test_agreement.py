import pytest
import torch

from tilewright.evaluator.gpu.agreement import find_disagreement
from tilewright.tasks.spec import Case, CaseRole, DType, TensorSpec


def _case(length: int = 64) -> Case:
    spec = TensorSpec(shape=(31, length), strides=(length, 1), dtype=DType.FLOAT16)
    return Case(
        name="bench", role=CaseRole.BENCH, sizes=(), dtype=DType.FLOAT16, init_args="[]", inputs=(spec,), parameters=(),
        outputs=(spec,),
    )  # fmt: skip


def _answer(dtype: torch.dtype) -> torch.Tensor:
    return torch.randn(31, 64, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_answers_that_differ_by_roundings_agree(dtype: torch.dtype) -> None:
    right = _answer(dtype)
    other = (right.double() * (1 + torch.finfo(dtype).eps)).to(dtype)
    assert not torch.equal(other, right)
    assert find_disagreement([((other,), (right,))], _case()) is None


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32])
def test_one_element_that_nothing_wrote_is_found(dtype: torch.dtype) -> None:
    right = _answer(dtype)
    got = right.clone()
    got.view(torch.uint8)[30, -got.element_size() :] = 0xFF
    assert find_disagreement([((got,), (right,))], _case()) == (
        "output 0: 1 of 1984 elements are not the baseline's after the timed replays"
    )


def test_one_wrong_element_is_found() -> None:
    right = _answer(torch.float16)
    got = right.clone()
    got[3, 5] += 0.1
    assert find_disagreement([((got,), (right,))], _case()) is not None


def test_the_answer_to_other_inputs_disagrees() -> None:
    right = _answer(torch.float16)
    assert find_disagreement([((right.roll(1, 0),), (right,))], _case()) is not None


def test_zeros_are_no_answer() -> None:
    right = _answer(torch.float32)
    assert find_disagreement([((torch.zeros_like(right),), (right,))], _case()) is not None


def test_longer_sums_may_differ_by_more() -> None:
    right = torch.ones(8)
    got = right * (1 + 3e-4)
    assert find_disagreement([((got,), (right,))], _case(64)) is not None
    assert find_disagreement([((got,), (right,))], _case(1 << 16)) is None


def test_small_numbers_are_no_zeros() -> None:
    right = torch.full((31, 64), 2e-5, dtype=torch.float16)  # a softmax over 50 000 columns
    assert find_disagreement([((right * 1.002,), (right,))], _case()) is None
    assert find_disagreement([((torch.zeros_like(right),), (right,))], _case()) is not None


def test_a_large_element_may_differ_by_its_own_roundings() -> None:
    right = torch.ones(4096, dtype=torch.float16)
    right[7] = 1000
    got = right.clone()
    got[7] = 1008
    assert find_disagreement([((got,), (right,))], _case()) is None
    got[8] = 1.5
    assert find_disagreement([((got,), (right,))], _case()) is not None


def test_every_set_is_compared() -> None:
    right = _answer(torch.float16)
    sets = [((right.clone(),), (right,)) for _ in range(5)]
    sets[4][0][0][0, 0] = 100
    assert find_disagreement(sets, _case()) is not None
    assert find_disagreement(sets[:4], _case()) is None
    assert find_disagreement([], _case()) is None


def test_integers_may_differ_in_ties_only() -> None:
    right = torch.arange(1000)
    few, many = right.clone(), right.clone()
    few[:10] += 1
    many[:11] += 1
    assert find_disagreement([((few,), (right,))], _case()) is None
    assert find_disagreement([((many,), (right,))], _case()) is not None


def test_where_the_baseline_has_no_number_anything_is_right() -> None:
    right = torch.tensor([1.0, float("nan"), float("inf")])
    assert find_disagreement([((torch.tensor([1.0, 7.0, 7.0]),), (right,))], _case()) is None
