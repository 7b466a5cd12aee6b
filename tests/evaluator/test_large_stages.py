"""What the stages at real sizes find, on candidates that are functions of torch."""

import pytest
import torch
import torch.nn.functional as F
from msgspec import structs
from torch_rig import Kernel, judge_large, pure

from tilewright.evaluator.draws import Probe
from tilewright.evaluator.report import Place, Verdict
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import BufferOrigin, LaunchPlan

Tensor = torch.Tensor
Parameters = dict[str, Tensor]


def row_sum(_: Parameters, x: Tensor) -> Tensor:
    return x.float().sum(-1).to(x.dtype)


def softmax(_: Parameters, x: Tensor) -> Tensor:
    return torch.softmax(x.float(), -1).to(x.dtype)


def rms_norm(p: Parameters, x: Tensor) -> Tensor:
    wide = x.float()
    return (wide * torch.rsqrt(wide.square().mean(-1, keepdim=True) + 1e-6) * p["weight"].float()).to(x.dtype)


def layer_norm(p: Parameters, x: Tensor) -> Tensor:
    weight, bias = p["weight"].float(), p["bias"].float()
    return F.layer_norm(x.float(), (x.shape[-1],), weight, bias, 1e-5).to(x.dtype)


def cross_entropy(_: Parameters, logits: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(logits.float(), targets).to(logits.dtype)


def matmul(_: Parameters, a: Tensor, b: Tensor) -> Tensor:
    return (a.float() @ b.float()).to(a.dtype)


def attention(_: Parameters, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = (q.float() @ k.float().transpose(-1, -2)) * q.shape[-1] ** -0.5
    mask = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
    weights = torch.softmax(scores.masked_fill(~mask, float("-inf")), -1).to(v.dtype)
    return (weights.float() @ v.float()).to(q.dtype)


def rotary(_: Parameters, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    x1, x2 = (part.float() for part in x.chunk(2, -1))
    return torch.cat((x1 * cos.float() - x2 * sin.float(), x2 * cos.float() + x1 * sin.float()), -1).to(x.dtype)


def swiglu_mlp(p: Parameters, x: Tensor) -> Tensor:
    gate, up = x.float() @ p["w_gate"].float().T, x.float() @ p["w_up"].float().T
    return ((F.silu(gate) * up).to(x.dtype).float() @ p["w_down"].float().T).to(x.dtype)


RIGHT = (row_sum, softmax, rms_norm, layer_norm, cross_entropy, matmul, attention, rotary, swiglu_mlp)


def failure_of(name: str, kernel: Kernel) -> Failure:
    outcome = judge_large(name, kernel)
    assert outcome.failure is not None
    assert outcome.stages[-1].verdict is Verdict.FAILED
    assert outcome.failure.stage is outcome.stages[-1].stage
    return outcome.failure


@pytest.mark.parametrize("function", RIGHT, ids=lambda function: str(function.__name__))
def test_a_right_kernel_passes_every_stage(function: object) -> None:
    outcome = judge_large(function.__name__, pure(function))  # type: ignore[attr-defined, arg-type]  # a function
    assert outcome.failure is None, outcome.failure
    found = {stage.stage: stage.verdict for stage in outcome.stages}
    stages = (Stage.SHAPES, Stage.STABILITY, Stage.DETERMINISM, Stage.EDGES)
    assert found == dict.fromkeys(stages, Verdict.PASSED)
    assert all(row.place is Place.GPU for stage in outcome.stages for row in stage.cases)


def test_a_kernel_that_is_wrong_in_one_type_fails() -> None:
    def wrong_in_bfloat16(p: Parameters, x: Tensor) -> Tensor:
        return row_sum(p, x) * (1.1 if x.dtype is torch.bfloat16 else 1.0)

    failure = failure_of("row_sum", pure(wrong_in_bfloat16))
    assert failure.kind is FailureKind.WRONG_VALUES
    assert failure.stage is Stage.SHAPES


def test_a_kernel_that_is_right_for_the_declared_shape_only_fails() -> None:
    def hard_coded(p: Parameters, x: Tensor) -> Tensor:
        return (
            softmax(p, x)
            if x.shape == (48, 256)
            else torch.softmax(x.float()[:, :64], -1).repeat(1, 16)[: x.shape[0], : x.shape[1]].to(x.dtype)
        )

    assert failure_of("softmax", pure(hard_coded)).stage is Stage.SHAPES


def test_tail_rows_that_are_left_out_are_unwritten() -> None:
    def without_tail(p: Parameters, outputs: tuple[Tensor, ...], x: Tensor) -> None:
        full = x.shape[0] // 16 * 16
        outputs[0][:full] = rms_norm(p, x[:full])

    assert failure_of("rms_norm", without_tail).kind is FailureKind.UNWRITTEN


def test_half_precision_accumulation_of_a_long_sum_fails() -> None:
    def in_half(_: Parameters, x: Tensor) -> Tensor:
        total = torch.zeros(x.shape[0], dtype=x.dtype)
        for column in range(x.shape[1]):
            total += x[:, column]
        return total

    assert failure_of("row_sum", pure(in_half)).kind is FailureKind.WRONG_VALUES


def test_tf32_where_float32_was_asked_fails() -> None:
    def in_tf32(p: Parameters, a: Tensor, b: Tensor) -> Tensor:
        def rounded(x: Tensor) -> Tensor:
            return (x.view(torch.int32) + 0x1000 & ~0x1FFF).view(torch.float32)

        return rounded(a.contiguous()) @ rounded(b.contiguous()) if a.dtype is torch.float32 else matmul(p, a, b)

    failure = failure_of("matmul", pure(in_tf32))
    assert failure.kind is FailureKind.WRONG_VALUES
    assert "ieee" in failure.hint


def test_an_ignored_storage_offset_fails() -> None:
    def from_the_start(p: Parameters, x: Tensor) -> Tensor:
        start = torch.empty(0, dtype=x.dtype).set_(x.untyped_storage(), 0, x.shape, x.stride())
        return row_sum(p, start)

    assert failure_of("row_sum", pure(from_the_start)).stage is Stage.EDGES


def test_an_input_that_is_written_to_fails() -> None:
    def in_place(p: Parameters, x: Tensor) -> Tensor:
        total = row_sum(p, x)
        x[0, 0] += 1
        return total

    failure = failure_of("row_sum", pure(in_place))
    assert failure.kind is FailureKind.INPUT_CHANGED
    assert "input 0" in failure.message


def test_an_output_in_an_inputs_memory_fails() -> None:
    def alias(plan: LaunchPlan) -> LaunchPlan:
        buffers = tuple(structs.replace(one, origin=BufferOrigin.INPUT, name="input 0") for one in plan.buffers)
        return structs.replace(plan, buffers=buffers)

    outcome = judge_large("row_sum", pure(row_sum), change=alias)
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.OUTPUT_FORM


def test_answers_that_race_are_not_deterministic() -> None:
    calls = [0]

    def racing(p: Parameters, x: Tensor) -> Tensor:
        calls[0] += 1
        total = row_sum(p, x)
        # one ulp up on every third call: right each time, but not the same
        return torch.nextafter(total, total + 1) if x.dtype is torch.float32 and calls[0] % 3 == 0 else total

    assert failure_of("row_sum", pure(racing)).kind is FailureKind.NOT_DETERMINISTIC


def test_stale_memory_that_shows_through_fails() -> None:
    def adds_to_its_output(p: Parameters, outputs: tuple[Tensor, ...], x: Tensor) -> None:
        outputs[0].copy_((outputs[0].float().nan_to_num() * 1e-30 + row_sum(p, x)).to(x.dtype))

    assert failure_of("row_sum", adds_to_its_output).stage is Stage.DETERMINISM


def test_a_mean_instead_of_the_logits_shows() -> None:
    def guessing(_: Parameters, logits: Tensor, targets: Tensor) -> Tensor:
        return torch.logsumexp(logits.float(), -1).mean().to(logits.dtype)

    assert failure_of("cross_entropy", pure(guessing)).stage is Stage.SHAPES


def test_a_memorised_table_has_no_influence() -> None:
    """The tables of rotary embeddings never change between draws: only changing them shows who ignores them."""

    def memorised(p: Parameters, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        width, length = x.shape[-1], x.shape[-2]
        frequency = 10000.0 ** (-torch.arange(width // 2) / (width // 2))
        angle = torch.arange(length)[:, None] * frequency
        return rotary(p, x, angle.cos().to(x.dtype), angle.sin().to(x.dtype))

    assert failure_of("rotary", pure(memorised)).stage is Stage.STABILITY
    failure = judge_large("rotary", pure(memorised), choose=lambda draw: draw.probe is Probe.NONE).failure
    assert failure is not None
    assert failure.kind is FailureKind.NO_INFLUENCE
    assert "input 1" in failure.message


def test_a_case_without_a_plan_is_our_error() -> None:
    with pytest.raises(KeyError):
        judge_large("row_sum", pure(row_sum), change=lambda plan: structs.replace(plan, case="other"))
