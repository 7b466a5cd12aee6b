"""Forward and backward are recorded into one plan, on fake CUDA tensors."""

import pytest

from tilewright.sandbox.candidate_module import load_candidate
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.fault import CandidateFault
from tilewright.sandbox.plan import Aten, BufferOrigin, Forward, Launch, LaunchPlan
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.trace import PlainSink, trace_case
from tilewright.tasks.spec import Case, CaseRole, DType, Gradients, ParameterSpec, TensorSpec

MATRIX = TensorSpec(shape=(8, 16), strides=(16, 1), dtype=DType.FLOAT16)
ROW = TensorSpec(shape=(16,), strides=(1,), dtype=DType.FLOAT16)
FILE = """
import torch, triton, triton.language as tl
from torch import nn

@triton.jit
def forward_kernel(x_ptr, w_ptr, y_ptr):
    pass

@triton.jit
def backward_kernel(g_ptr, x_ptr, dx_ptr, dw_ptr):
    pass

class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x, w):
        y, aside = torch.empty_like(x), torch.empty(x.shape[0], device=x.device)
        forward_kernel[(8,)](x, w, y)
        ctx.save_for_backward(x)
        ctx.mark_non_differentiable(aside)
        return y, aside

    @staticmethod
    def backward(ctx, g, nothing):
        assert nothing is None
        (x,) = ctx.saved_tensors
        dx, dw = torch.empty_like(x), torch.empty(8, 16, device=x.device)
        backward_kernel[(8,)](g, x, dx, dw)
        return dx, DW

class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(16))

    def forward(self, x):
        return FORWARD
"""
PLAIN = "Scale.apply(x, self.weight)[0]"


def record(forward: str = PLAIN, dw: str = "dw.sum(0)", *, asks: bool = True) -> LaunchPlan:
    target = find_target("cuda:90")
    module = load_candidate(FILE.replace("FORWARD", forward).replace("DW", dw), (), target)
    case = Case(
        name="case", role=CaseRole.SMOKE, sizes=(), dtype=DType.FLOAT16, init_args="[]",
        inputs=(MATRIX, MATRIX) if asks else (MATRIX,),
        parameters=(ParameterSpec(name="weight", tensor=ROW),),
        outputs=(MATRIX, MATRIX, ROW) if asks else (MATRIX,),
        **({"gradients": Gradients(outputs=(0,), of=("input 0", "weight"))} if asks else {}),
    )  # fmt: skip
    return trace_case(module, case, target, PlainSink()).plan


def names(plan: LaunchPlan) -> list[str]:
    return [
        step.kernel if isinstance(step, Launch) else step.operation
        for step in plan.steps
        if isinstance(step, Launch | Aten)
    ]


def refusal(forward: str = PLAIN, dw: str = "dw.sum(0)") -> FailureKind:
    with pytest.raises(CandidateFault) as caught:
        record(forward, dw)
    return caught.value.failure.kind


def test_backward_follows_forward_and_gradients_follow_outputs() -> None:
    plan = record()
    assert names(plan) == ["forward_kernel", "backward_kernel", "aten.sum.dim_IntList", "aten._to_copy.default"]
    assert [view.tensor for view in plan.outputs] == [MATRIX, MATRIX, ROW]
    assert plan.forward == Forward(steps=3, outputs=1)


def test_grad_outputs_are_inputs() -> None:
    given = [(one.origin, one.name) for one in record().buffers if one.origin is not BufferOrigin.SCRATCH]
    assert given == [
        (BufferOrigin.INPUT, "input 0"),
        (BufferOrigin.INPUT, "grad output 0"),
        (BufferOrigin.PARAMETER, "weight"),
    ]


def test_a_saved_tensor_is_the_buffer_that_was_saved() -> None:
    backward = record().launches[1]
    assert backward.arguments[1].buffer == 0


def test_without_gradients_only_forward_is_recorded() -> None:
    plan = record(asks=False)
    assert names(plan) == ["forward_kernel"]
    assert plan.forward is None


def test_what_autograd_adds_is_recorded_too() -> None:
    plan = record("Scale.apply(x.float(), self.weight)[0].to(x.dtype) + Scale.apply(x, self.weight)[0]")
    backward = names(plan)[names(plan).index("backward_kernel") :]
    assert backward.count("backward_kernel") == 2
    assert backward.count("aten.add.Tensor") == 2


@pytest.mark.parametrize(
    "forward", [PLAIN.replace("x,", "x.detach(),"), PLAIN.replace("self.weight", "self.weight.data")]
)
def test_an_input_that_autograd_does_not_reach_is_named(forward: str) -> None:
    with pytest.raises(CandidateFault) as caught:
        record(forward)
    failure = caught.value.failure
    assert failure.kind is FailureKind.NO_GRADIENT
    assert ("input 0" if "detach" in forward else "weight") in failure.message


@pytest.mark.parametrize(
    ("forward", "dw", "kind"),
    [
        ("Scale.apply(x.detach(), self.weight.detach())[0]", "dw.sum(0)", FailureKind.NO_GRADIENT),
        (PLAIN, "None", FailureKind.NO_GRADIENT),
        (PLAIN, "dw.view(16, 8)", FailureKind.LAUNCHER_ERROR),
        (PLAIN, "(g * x).sum(0)", FailureKind.FORBIDDEN_OPERATION),
        (f"{PLAIN} * x.exp()", "dw.sum(0)", FailureKind.FORBIDDEN_OPERATION),
        (f"{PLAIN} * self.weight", "dw.sum(0)", FailureKind.FORBIDDEN_OPERATION),
        (f"({PLAIN}, x)", "dw.sum(0)", FailureKind.OUTPUT_FORM),
        (f"{PLAIN}[:4]", "dw.sum(0)", FailureKind.OUTPUT_FORM),
        ("3.0", "dw.sum(0)", FailureKind.OUTPUT_FORM),
    ],
)
def test_what_cannot_be_recorded_is_refused(forward: str, dw: str, kind: FailureKind) -> None:
    assert refusal(forward, dw) is kind
