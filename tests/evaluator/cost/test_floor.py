"""Floors and estimated baselines: bytes, products and the operations that eager PyTorch runs."""

import cost_samples as samples
import pytest
from msgspec import structs

from tilewright.evaluator.aten_cost import EagerOp
from tilewright.evaluator.eager_cost import eager_ops
from tilewright.evaluator.floor import baselines, beyond_floor, compulsory_bytes, floor_us
from tilewright.evaluator.hardware import find_hardware
from tilewright.evaluator.timing import Baseline, TimeKind, TimeSpan, Timing
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.targets import find_target
from tilewright.tasks.spec import Case, DType, ScalarSpec, Size, TensorSpec

TARGET = find_target("cuda:90")
HARDWARE = find_hardware("cuda:90")
SOURCE = """\
import torch
import torch.nn as nn
import torch.nn.functional as F
ROWS = 8
COLS = 8
class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(COLS))
    def forward(self, {names}):
        return {expression}
def get_init_inputs():
    return []
def get_inputs():
    return [{inputs}]
"""


def traced(expression: str, inputs: tuple[TensorSpec, ...], output: TensorSpec) -> tuple[Case, tuple[EagerOp, ...]]:
    names = ("a", "b", "c")[: len(inputs)]
    source = SOURCE.format(
        names=", ".join(names),
        expression=expression,
        inputs=", ".join(
            f"torch.zeros({one.shape}, dtype=torch.{'float32' if one.dtype.is_floating else one.dtype})"
            for one in inputs
        ),
    )
    sizes = (Size(name="COLS", value=inputs[0].shape[-1]),)
    case = samples.bench("case", inputs, (output,), sizes=sizes)
    return case, eager_ops(samples.task_of(case, source=source), case)


SQUARE = samples.tensor(8192, 8192)
PRODUCT = samples.tensor(4096, 4096)
HEADS = samples.tensor(2, 32, 2048, 128)


@pytest.mark.parametrize(
    ("expression", "inputs", "output", "measured_us"),
    [
        ("torch.softmax(a, -1)", (SQUARE,), SQUARE, 258.1),
        ("torch.softmax(a, -1)", (samples.tensor(4096, 50257),), samples.tensor(4096, 50257), 353.6),
        ("a.sum(-1)", (SQUARE,), samples.tensor(8192), 53.6),
        ("F.layer_norm(a, (4096,), self.weight)", (samples.tensor(8192, 4096),), samples.tensor(8192, 4096), 56.8),
        (
            "F.cross_entropy(a, b)",
            (samples.tensor(4096, 32000), samples.tensor(4096, dtype=DType.INT64)),
            samples.tensor(),
            266.5,
        ),
        ("a @ b", (PRODUCT, PRODUCT), PRODUCT, 200.9),
        ("F.scaled_dot_product_attention(a, b, c, is_causal=True)", (HEADS, HEADS, HEADS), HEADS, 154.4),
    ],
)
def test_estimated_eager_times_are_near_the_measured_ones(
    expression: str, inputs: tuple[TensorSpec, ...], output: TensorSpec, measured_us: float
) -> None:
    case, operations = traced(expression, inputs, output)
    eager = next(one for one in baselines(case, operations, TARGET, HARDWARE) if one.name == "eager (estimated)")
    assert eager.span.median_us == pytest.approx(measured_us, rel=0.1)


def test_a_fused_operation_counts_once() -> None:
    _, operations = traced("torch.softmax(a, -1)", (SQUARE,), SQUARE)
    assert [one.name for one in operations] == ["_softmax"]


def test_views_cost_nothing() -> None:
    _, operations = traced("a.transpose(0, 1)[1:].unsqueeze(0)", (SQUARE,), SQUARE)
    assert operations == ()


def test_a_causal_mask_halves_the_products() -> None:
    causal = traced("F.scaled_dot_product_attention(a, a, a, is_causal=True)", (HEADS,), HEADS)[1]
    full = traced("F.scaled_dot_product_attention(a, a, a)", (HEADS,), HEADS)[1]
    assert causal[0].flops == pytest.approx(full[0].flops / 2, rel=0.001)
    assert full[0].flops == 4 * 64 * 2048 * 2048 * 128


def test_a_reference_that_needs_data_counts_as_moving_its_bytes() -> None:
    case, operations = traced("a[a > 0]", (samples.tensor(8, 8),), samples.tensor(8, 8))
    assert [(one.name, one.bytes) for one in operations] == [("untraced", compulsory_bytes(case))]


def test_the_compiled_baseline_is_never_slower_than_eager() -> None:
    for expression in ("torch.softmax(a, -1)", "(a * 2 + 1).sum(-1)", "torch.cat((a, a), -1)"):
        case, operations = traced(expression, (SQUARE,), SQUARE)
        eager, compiled = baselines(case, operations, TARGET, HARDWARE)
        assert compiled.name == "compiled (estimated)"
        assert compiled.span.median_us <= eager.span.median_us


def test_compulsory_bytes_count_each_address_once() -> None:
    expanded = structs.replace(samples.tensor(4, 8), strides=(0, 1))
    case = samples.bench("case", (expanded,), (samples.tensor(4, 8),), parameters=(samples.tensor(8),))
    case = structs.replace(case, inputs=(*case.inputs, ScalarSpec(value=3)))
    assert compulsory_bytes(case) == 2 * (8 + 32 + 8)


def test_the_floor_is_the_larger_of_bytes_and_products() -> None:
    case, operations = traced("a @ b", (PRODUCT, PRODUCT), PRODUCT)
    assert floor_us(case, (), HARDWARE) == pytest.approx(24.1, rel=0.01)
    assert floor_us(case, operations, HARDWARE) == pytest.approx(174.0, rel=0.01)


def _timing(us: float, floor: float) -> Timing:
    span = TimeSpan(median_us=us, low_us=us, high_us=us)
    return Timing(
        case="bench",
        kind=TimeKind.ESTIMATED,
        device="H200",
        candidate=span,
        baselines=(Baseline(name="eager (estimated)", span=span),),
        floor_us=floor,
    )


def test_a_time_below_the_floor_is_an_incident() -> None:
    assert beyond_floor((_timing(100.0, 99.0), _timing(96.0, 100.0))) is None
    failure = beyond_floor((_timing(100.0, 99.0), _timing(94.0, 100.0)))
    assert failure is not None
    assert failure.kind is FailureKind.BEYOND_FLOOR
