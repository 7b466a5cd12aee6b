"""What interpreting a candidate finds out: values, accesses out of bounds, unwritten tails, changed inputs."""

import pytest
import torch
from interpreting import Child, launcher, output_of, request_of

from tilewright.sandbox.failure import FailureKind, Stage
from tilewright.sandbox.protocol import Entered, Interpreted
from tilewright.tasks.spec import CaseRole

SCALE = """
@triton.jit
def scale(x_ptr, y_ptr, n, factor, BLOCK: tl.constexpr):
    offs = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    mask = offs < {limit}
    x = tl.load(x_ptr + offs, mask={load_mask})
    tl.store({target} + offs, x * factor, mask={store_mask})
"""
CALL = """
y = torch.empty_like(x)
scale[(triton.cdiv(x.numel(), 64),)](x, y, x.numel(), 2.0, BLOCK=64)
return y
"""


def scale(
    limit: str = "n", load_mask: str = "mask", store_mask: str = "mask", target: str = "y_ptr", call: str = CALL
) -> str:
    kernel = SCALE.format(limit=limit, load_mask=load_mask, store_mask=store_mask, target=target)
    return launcher(kernel, call)


def row(size: int = 101) -> torch.Tensor:
    return torch.arange(size, dtype=torch.float32)


def test_a_right_kernel_writes_all_of_its_output_and_nothing_else(child: Child) -> None:
    answer = child.interpret(scale(), row())
    assert torch.equal(output_of(answer), row() * 2)
    assert (answer.written, answer.changed, answer.notes) == ((True,), (), ())


def test_each_case_is_announced_with_the_stage_of_its_role(child: Child) -> None:
    answers = child.ask(request_of(scale(), row(), role=CaseRole.EDGE))
    announced = [answer for answer in answers if isinstance(answer, Entered)]
    assert announced[1:] == [
        Entered(stage=Stage.EDGES, case="case"),
        Entered(stage=Stage.EDGES, case="case", kernel="scale"),
    ]
    assert isinstance(answers[-1], Interpreted)


def test_a_store_past_the_end_names_kernel_buffer_and_distance(child: Child) -> None:
    failure = child.refusal(scale(store_mask="offs < n + 3"), row(), role=CaseRole.SHAPE)
    assert (failure.kind, failure.stage, failure.case) == (FailureKind.OUT_OF_BOUNDS, Stage.SHAPES, "case")
    assert "kernel `scale`" in failure.message
    assert "writes up to 12 bytes past its end" in failure.message
    assert "parameter `y_ptr`" in failure.message


def test_a_load_past_the_end_is_out_of_bounds(child: Child) -> None:
    failure = child.refusal(scale(load_mask="offs < n + 1"), row())
    assert failure.kind is FailureKind.OUT_OF_BOUNDS
    assert "reads up to 4 bytes past its end of buffer `input 0`" in failure.message


def test_a_load_before_the_start_is_out_of_bounds(child: Child) -> None:
    kernel = SCALE.format(limit="n", load_mask="mask", store_mask="mask", target="y_ptr").replace(
        "x_ptr + offs", "x_ptr + offs - 2"
    )
    failure = child.refusal(launcher(kernel, CALL), row())
    assert "8 bytes before its start" in failure.message


def test_masked_lanes_may_have_any_address(child: Child) -> None:
    kernel = SCALE.format(limit="n", load_mask="mask", store_mask="mask", target="y_ptr").replace(
        "x_ptr + offs", "x_ptr + tl.where(mask, offs, 1 << 30)"
    )
    assert torch.equal(child.output(launcher(kernel, CALL), row()), row() * 2)


def test_a_misaligned_address_is_refused(child: Child) -> None:
    kernel = """
@triton.jit
def odd(x_ptr, y_ptr):
    p = (x_ptr.to(tl.pointer_type(tl.int8)) + 2).to(tl.pointer_type(tl.float32))
    tl.store(y_ptr, tl.load(p))
"""
    failure = child.refusal(launcher(kernel, "y = torch.empty_like(x)\nodd[(1,)](x, y)\nreturn y"), row(8))
    assert failure.kind is FailureKind.OUT_OF_BOUNDS
    assert "no multiple of 4" in failure.message


def test_an_unwritten_tail_is_reported(child: Child) -> None:
    answer = child.interpret(scale(store_mask="offs < n - 1"), row())
    assert answer.written == (False,)
    assert torch.isnan(output_of(answer)[-1])


def test_a_value_equal_to_the_poison_counts_as_written(child: Child) -> None:
    source = scale(target="y_ptr").replace("x * factor", "(tl.zeros_like(x).to(tl.int32, bitcast=True) - 1)")
    source = source.replace("torch.empty_like(x)", "torch.empty_like(x, dtype=torch.int32)")
    assert child.interpret(source, row()).written == (True,)


def test_a_changed_input_is_named(child: Child) -> None:
    answer = child.interpret(scale(target="x_ptr"), row())
    assert answer.changed == ("input 0",)
    assert answer.written == (False,)


def test_a_changed_parameter_is_named(child: Child) -> None:
    kernel = SCALE.format(limit="n", load_mask="mask", store_mask="mask", target="y_ptr")
    source = f"""{launcher(kernel, "return x").split("class ModelNew")[0]}
class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(7))

    def forward(self, x):
        scale[(1,)](x, self.weight, 7, 2.0, BLOCK=64)
        return torch.empty_like(x)
"""
    answer = child.interpret(source, row(7), parameters={"weight": torch.ones(7)})
    assert answer.changed == ("weight",)


def test_reading_what_nothing_wrote_is_noted(child: Child) -> None:
    answer = child.interpret(scale(call=CALL.replace("](x, y", "](torch.empty_like(x), y")), row())
    assert answer.notes == ("kernel `scale` reads bytes of `aten.empty_like.default` that nothing wrote",)


def test_an_exception_in_a_kernel_names_kernel_and_line(child: Child) -> None:
    kernel = """
@triton.jit
def broken(x_ptr, y_ptr):
    offs = tl.arange(0, 8)
    tl.store(y_ptr + offs, tl.load(x_ptr + offs) + tl.arange(0, 4))
"""
    source = launcher(kernel, "y = torch.empty_like(x)\nbroken[(1,)](x, y)\nreturn y")
    failure = child.refusal(source, row(8))
    line = 1 + source.splitlines().index("    tl.store(y_ptr + offs, tl.load(x_ptr + offs) + tl.arange(0, 4))")
    assert failure.kind is FailureKind.INTERPRETER_ERROR
    assert f"kernel `broken`, line {line}" in failure.message
    assert "Traceback" in failure.detail


def test_inline_assembly_is_not_covered_and_no_fault(child: Child) -> None:
    kernel = """
@triton.jit
def asm(x_ptr, y_ptr):
    offs = tl.arange(0, 8)
    x = tl.load(x_ptr + offs)
    y = tl.inline_asm_elementwise("mov.b32 $0, $1;", "=r,r", [x], dtype=tl.float32, is_pure=True, pack=1)
    tl.store(y_ptr + offs, y)
"""
    answer = child.interpret(launcher(kernel, "y = torch.empty_like(x)\nasm[(1,)](x, y)\nreturn y"), row(8))
    assert answer.not_covered == ("inline assembly",)
    assert answer.outputs == ()


def test_aten_steps_run_between_launches(child: Child) -> None:
    call = """
y = torch.zeros(x.shape, dtype=torch.float32, device=x.device)
scale[(2,)](x, y, x.numel(), 3.0, BLOCK=64)
z = (y.view(-1, 1) + 1).to(torch.float16).t().contiguous()
return z, y.sum()
"""
    answer = child.interpret(scale(call=call), row())
    assert torch.equal(output_of(answer, 0), (row() * 3 + 1).half().reshape(1, -1))
    assert output_of(answer, 1).item() == (row() * 3).sum().item()
    assert answer.written == (True, True)


def test_outputs_are_the_elements_in_row_major_order(child: Child) -> None:
    call = CALL.replace("return y", "return y.view(3, 4).t()")
    x = row(12)
    assert torch.equal(child.output(scale(call=call), x), (x * 2).view(3, 4).t())


def test_inputs_keep_offset_and_strides(child: Child) -> None:
    base = torch.arange(40, dtype=torch.float32)
    x = base.as_strided((3, 4), (10, 2), 1)
    call = """
x = x.contiguous()
y = torch.empty_like(x)
scale[(1,)](x, y, x.numel(), 2.0, BLOCK=64)
return y
"""
    assert torch.equal(child.output(scale(call=call), x), x * 2)


def test_an_empty_grid_runs_nothing(child: Child) -> None:
    answer = child.interpret(scale(), torch.empty(0))
    assert (answer.outputs, answer.written) == ((b"",), (True,))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.int64, torch.int8, torch.bool])
def test_every_element_type_survives_a_copy(child: Child, dtype: torch.dtype) -> None:
    x = (row(37) - 11).to(dtype)
    assert torch.equal(child.apply("x", x, dtype=dtype), x)
