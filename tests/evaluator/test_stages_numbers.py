"""Kernels of torch, right and subtly wrong, held against the five stages."""

import math
from collections.abc import Callable

import pytest
import torch
from torch_candidates import judge, task_of

from tilewright.evaluator.compare import compare_numbers
from tilewright.evaluator.oracle import numbers_of
from tilewright.evaluator.preparation import Preparations, Prepared
from tilewright.sandbox.failure import FailureKind, Stage

Tensor = torch.Tensor
Parameters = dict[str, Tensor]
LOG2_E = 1.4426950408889634


def softmax(_: Parameters, x: Tensor) -> Tensor:
    y = x.float()
    powers = torch.exp(y - y.amax(-1, keepdim=True))
    return (powers / powers.sum(-1, keepdim=True)).to(x.dtype)


def softmax_in_base_two(_: Parameters, x: Tensor) -> Tensor:
    y = x.float() * LOG2_E  # folded in before the maximum is subtracted: common practice
    powers = torch.exp2(y - y.amax(-1, keepdim=True))
    return (powers * (1 / powers.sum(-1, keepdim=True))).to(x.dtype)


def softmax_online(_: Parameters, x: Tensor) -> Tensor:
    y = x.float()
    peak, total = torch.full(y.shape[:-1], -math.inf), torch.zeros(y.shape[:-1])
    for block in torch.split(y, 64, -1):
        higher = torch.maximum(peak, block.amax(-1))
        total = total * torch.exp(peak - higher) + torch.exp(block - higher[..., None]).sum(-1)
        peak = higher
    return (torch.exp(y - peak[..., None]) / total[..., None]).to(x.dtype)


def softmax_without_maximum(_: Parameters, x: Tensor) -> Tensor:
    powers = torch.exp(x.float())
    return (powers / powers.sum(-1, keepdim=True)).to(x.dtype)


def softmax_with_masked_lanes_as_zero(_: Parameters, x: Tensor) -> Tensor:
    y = x.float()
    peak = y.amax(-1, keepdim=True)
    powers = torch.exp(y - peak)
    return (powers / (powers.sum(-1, keepdim=True) + torch.exp(-peak))).to(x.dtype)


def softmax_cut(_: Parameters, x: Tensor) -> Tensor:
    y, left_out = x.float(), max(1, x.shape[-1] // 100)
    powers = torch.exp(y - y.amax(-1, keepdim=True))
    kept = y.shape[-1] - left_out
    total = powers[..., :kept].sum(-1, keepdim=True) * (y.shape[-1] / max(1, kept))
    return (powers / total).to(x.dtype)


def softmax_along_rows(_: Parameters, x: Tensor) -> Tensor:
    return torch.softmax(x.float(), 0).to(x.dtype)


def layer_norm(p: Parameters, x: Tensor, eps: float = 1e-5, bias: float = 1.0, correction: int = 0) -> Tensor:
    y = x.float()
    centred = y - y.mean(-1, keepdim=True)
    variance = (centred * centred).sum(-1, keepdim=True) / (y.shape[-1] - correction)
    return (centred * torch.rsqrt(variance + eps) * p["weight"].float() + bias * p["bias"].float()).to(x.dtype)


def layer_norm_in_one_pass(p: Parameters, x: Tensor) -> Tensor:
    y = x.float()
    mean = y.mean(-1, keepdim=True)
    variance = (y * y).mean(-1, keepdim=True) - mean * mean
    return ((y - mean) * torch.rsqrt(variance + 1e-5) * p["weight"].float() + p["bias"].float()).to(x.dtype)


def cross_entropy(_: Parameters, x: Tensor, labels: Tensor, shift: int = 0) -> Tensor:
    y = x.float()
    peak = y.amax(-1, keepdim=True)
    sums = torch.log(torch.exp(y - peak).sum(-1)) + peak[:, 0]
    return (sums - y.gather(1, (labels[:, None] + shift) % y.shape[1])[:, 0]).mean().to(x.dtype)


def cross_entropy_of_normal_logits(_: Parameters, x: Tensor, __: Tensor) -> Tensor:
    return x.new_tensor(math.log(x.shape[-1]) + 0.5)


def row_sum(_: Parameters, x: Tensor, block: int = 64) -> Tensor:
    total = torch.zeros(x.shape[:-1])
    for part in torch.split(x.float(), block, -1):
        total = total + part.sum(-1)
    return total.to(x.dtype)


def row_sum_in_half(_: Parameters, x: Tensor) -> Tensor:
    total = torch.zeros(x.shape[:-1], dtype=torch.float16)
    for part in torch.split(x.half(), 16, -1):
        total = total + part.sum(-1)
    return total.to(x.dtype)


def matmul(_: Parameters, a: Tensor, b: Tensor, block: int = 16, total: torch.dtype = torch.float32) -> Tensor:
    result = torch.zeros(a.shape[0], b.shape[1], dtype=total)
    for k in range(0, a.shape[1], block):
        result = result + (a[:, k : k + block].float() @ b[k : k + block].float()).to(total)
    return result.to(a.dtype)


def matmul_in_half(p: Parameters, a: Tensor, b: Tensor) -> Tensor:
    return matmul(p, a, b, total=torch.float16)


def matmul_in_tf32(p: Parameters, a: Tensor, b: Tensor) -> Tensor:
    if a.dtype is not torch.float32:
        return matmul(p, a, b)
    return matmul(p, *((one.contiguous().view(torch.int32) & ~0x1FFF).view(torch.float32) for one in (a, b)))


def matmul_without_tail(p: Parameters, a: Tensor, b: Tensor) -> Tensor:
    whole = a.shape[1] // 16 * 16
    return matmul(p, a[:, :whole], b[:whole])


def attention(_: Parameters, q: Tensor, k: Tensor, v: Tensor, shift: int = 0) -> Tensor:
    """Flash attention in blocks of 32, the scaled query and the probabilities in the inputs' type."""
    length, dtype = q.shape[-2], q.dtype
    query = (q.float() * (q.shape[-1] ** -0.5 * LOG2_E)).to(dtype).float()
    peak, total, result = torch.full(q.shape[:-1], -1e30), torch.zeros(q.shape[:-1]), torch.zeros(q.shape)
    rows = torch.arange(length)[:, None]
    for start in range(0, length, 32):
        keys, values = k[..., start : start + 32, :].float(), v[..., start : start + 32, :].float()
        columns = torch.arange(start, start + keys.shape[-2])
        scores = (query @ keys.mT).masked_fill(columns > rows + shift, -1e30)
        higher = torch.maximum(peak, scores.amax(-1))
        weights, scale = torch.exp2(scores - higher[..., None]), torch.exp2(peak - higher)
        total = total * scale + weights.sum(-1)
        result = result * scale[..., None] + weights.to(dtype).float() @ values
        peak = higher
    return (result / total[..., None]).to(dtype)


RIGHT = [
    ("softmax", softmax),
    ("softmax", softmax_in_base_two),
    ("softmax", softmax_online),
    ("layer_norm", layer_norm),
    ("cross_entropy", cross_entropy),
    ("row_sum", row_sum),
    ("matmul", matmul),
    ("attention", attention),
]
WRONG = [
    ("softmax", softmax_without_maximum, Stage.STABILITY),
    ("softmax", softmax_with_masked_lanes_as_zero, Stage.SMOKE),
    ("softmax", softmax_cut, Stage.SMOKE),
    ("softmax", softmax_along_rows, Stage.SMOKE),
    ("layer_norm", lambda p, x: layer_norm(p, x, eps=0.0), Stage.SMOKE),
    ("layer_norm", lambda p, x: layer_norm(p, x, bias=0.0), Stage.SMOKE),
    ("layer_norm", lambda p, x: layer_norm(p, x, correction=1), Stage.SMOKE),
    ("layer_norm", layer_norm_in_one_pass, Stage.STABILITY),
    ("cross_entropy", lambda p, x, t: cross_entropy(p, x, t, shift=1), Stage.SMOKE),
    ("cross_entropy", cross_entropy_of_normal_logits, Stage.SMOKE),
    ("row_sum", row_sum_in_half, Stage.SMOKE),
    ("matmul", matmul_in_half, Stage.SMOKE),
    ("matmul", matmul_in_tf32, Stage.SMOKE),
    ("matmul", matmul_without_tail, Stage.SHAPES),
    ("attention", lambda p, q, k, v: attention(p, q, k, v, shift=1), Stage.SMOKE),
    ("attention", lambda p, q, k, v: attention(p, q, k, v, shift=-1), Stage.SMOKE),
]


@pytest.mark.parametrize(("task", "kernel"), RIGHT)
def test_a_right_kernel_passes_all_stages(task: str, kernel: Callable[..., Tensor]) -> None:
    outcome = judge(task_of(task), kernel)
    assert outcome.failure is None
    assert [stage.verdict for stage in outcome.stages] == ["passed"] * 5


@pytest.mark.parametrize(("task", "kernel", "stage"), WRONG)
def test_a_subtly_wrong_kernel_fails_where_it_shows_first(
    task: str, kernel: Callable[..., Tensor], stage: Stage
) -> None:
    outcome = judge(task_of(task), kernel)
    assert outcome.failure is not None
    assert outcome.failure.stage is stage
    assert outcome.failure.kind in (FailureKind.WRONG_VALUES, FailureKind.NOT_A_NUMBER)


@pytest.mark.parametrize("name", sorted({name for name, _ in RIGHT}))
def test_twenty_seeds_give_no_false_alarm(name: str) -> None:
    task, kept = task_of(name), Preparations()
    for seed in range(2, 22):
        # two or three cases of each seed, other ones each time: all of them would take a minute
        draws = [one for stage in kept.stages(task, seed) for one in stage.draws][seed % 16 :: 16]
        for one in (kept.prepare(task, chosen) for chosen in draws):
            for kernel in (kernel for task_name, kernel in RIGHT if task_name == name):
                assert isinstance(one, Prepared)
                got = numbers_of(kernel(dict(one.question.model.state_dict()), *one.question.inputs))
                assert compare_numbers(one.answer, (got,)).finding is None, (kernel.__name__, seed, one.case_name)
