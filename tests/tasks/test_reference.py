import pytest
import torch
from msgspec import structs
from task_files import CUMSUM, LOSS, NORM, RELU, SCALE, TRIANGLE, task_file

from tilewright.tasks.errors import TaskError
from tilewright.tasks.reference import build, draw, instantiate, run_reference
from tilewright.tasks.spec import Case, CaseRole, DType, Layout, ScalarSpec, Size, TensorSpec, Values


def make(source: str, dtype: DType = DType.FLOAT32, layout: Layout = Layout.CONTIGUOUS, **sizes: int) -> Case:
    values = tuple(Size(name=name, value=value) for name, value in sizes.items())
    return instantiate(source, name="case", role=CaseRole.SHAPE, sizes=values, dtype=dtype, layout=layout)


def drawn(source: str, case: Case, values: Values = Values.DRAWN, seed: int = 0) -> torch.Tensor:
    first = draw(source, structs.replace(case, values=values), seed)[0]
    assert isinstance(first, torch.Tensor)
    return first


def test_a_case_of_gigabytes_is_described_without_allocating_them() -> None:
    case = make(RELU, rows=1 << 20, cols=1 << 20)
    assert (
        case.outputs
        == case.inputs
        == (TensorSpec(shape=(1 << 20, 1 << 20), strides=(1 << 20, 1), dtype=DType.FLOAT32),)
    )


def test_a_case_holds_arguments_parameters_and_outputs_in_its_dtype() -> None:
    case = make(NORM, DType.BFLOAT16, batch=2, height=3)
    assert case.init_args == "[64, 8]"
    assert [parameter.name for parameter in case.parameters] == ["norm.weight", "norm.bias"]
    assert {spec.tensor.dtype for spec in case.parameters} == {case.outputs[0].dtype} == {DType.BFLOAT16}
    assert case.outputs[0].shape == (2, 64, 3, 3)


def test_integer_and_boolean_inputs_keep_dtype_and_range() -> None:
    case = make(LOSS, DType.FLOAT16, batch=50, classes=7)
    logits, targets = draw(LOSS, case, 0)
    assert isinstance(logits, torch.Tensor)
    assert isinstance(targets, torch.Tensor)
    assert (logits.dtype, targets.dtype) == (torch.float16, torch.int64)
    assert 0 <= int(targets.min()) <= int(targets.max()) < 7
    assert make(CUMSUM, DType.FLOAT16, batch=3).inputs[1] == TensorSpec(
        shape=(3, 16384), strides=(16384, 1), dtype=DType.BOOL
    )


def test_a_number_among_the_inputs_is_a_scalar_of_the_case() -> None:
    assert make(SCALE).inputs[1] == ScalarSpec(value=3.14)


@pytest.mark.parametrize(
    ("layout", "strides", "offset"),
    [
        (Layout.CONTIGUOUS, (5, 1), 0),
        (Layout.TRANSPOSED, (1, 3), 0),
        (Layout.SLICED, (10, 1), 0),
        (Layout.OFFSET, (5, 1), 1),
        (Layout.EXPANDED, (0, 1), 0),
    ],
)
def test_inputs_are_laid_out_as_the_case_says(layout: Layout, strides: tuple[int, ...], offset: int) -> None:
    case = make(RELU, layout=layout, rows=3, cols=5)
    x = drawn(RELU, case)
    spec = case.inputs[0]
    assert isinstance(spec, TensorSpec)
    assert (spec.strides, spec.offset) == (strides, offset) == (x.stride(), x.storage_offset())
    assert x.untyped_storage().nbytes() == spec.storage_bytes


def test_a_layout_does_not_change_the_values() -> None:
    plain = drawn(RELU, make(RELU, rows=3, cols=5))
    for layout in (Layout.TRANSPOSED, Layout.SLICED, Layout.OFFSET):
        assert torch.equal(drawn(RELU, make(RELU, layout=layout, rows=3, cols=5)), plain)


def test_an_expanded_input_repeats_its_first_row() -> None:
    plain = drawn(RELU, make(RELU, rows=3, cols=5))
    assert torch.equal(drawn(RELU, make(RELU, layout=Layout.EXPANDED, rows=3, cols=5)), plain[:1].expand(3, 5))


def test_memory_between_the_rows_of_a_sliced_input_is_nan() -> None:
    x = drawn(RELU, make(RELU, layout=Layout.SLICED, rows=3, cols=5))
    storage = torch.empty(0).set_(x.untyped_storage())
    assert bool(storage[5:10].isnan().all())


def test_the_same_seed_draws_the_same_inputs_and_another_seed_others() -> None:
    case = make(RELU, rows=3, cols=5)
    assert torch.equal(drawn(RELU, case, seed=1), drawn(RELU, case, seed=1))
    assert not torch.equal(drawn(RELU, case, seed=1), drawn(RELU, case, seed=2))


def test_drawing_leaves_the_generator_of_the_process_alone() -> None:
    state = torch.get_rng_state()
    drawn(RELU, make(RELU, rows=3, cols=5))
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize("dtype", [DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32])
def test_every_transform_keeps_inputs_finite_but_infinities(dtype: DType) -> None:
    case = make(RELU, dtype, rows=16, cols=20)
    for values in Values:
        assert bool(drawn(RELU, case, values).isfinite().all()) is (values is not Values.INFINITIES)


def test_transforms_give_what_their_names_say() -> None:
    case = make(RELU, DType.FLOAT16, rows=16, cols=20)
    limits = torch.finfo(torch.float16)
    x = {values: drawn(RELU, case, values) for values in Values}
    assert bool((x[Values.SIGNED] < 0).any())
    assert bool((x[Values.DRAWN] >= 0).all())
    assert x[Values.NEAR_MAX].max() == limits.max / 2
    assert 0 < x[Values.DENORMAL].max() < limits.tiny
    assert x[Values.ALL_EQUAL].unique().numel() == 1
    assert not x[Values.ZEROS].any()
    assert set(x[Values.SPARSE].unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert x[Values.MIXED_SCALE].max() / x[Values.MIXED_SCALE][x[Values.MIXED_SCALE] > 0].min() > 1e3
    offset = x[Values.LARGE_OFFSET].float()
    assert offset.mean() > 100 * offset.std() > 0


def test_a_transform_keeps_the_structure_that_get_inputs_builds() -> None:
    case = make(TRIANGLE, n=16)
    for values in Values:
        x = drawn(TRIANGLE, case, values)
        assert torch.equal(x.tril(), x) or bool(x.isnan().any())


def test_parameters_that_are_all_ones_or_zeros_are_moved() -> None:
    model = build(NORM, make(NORM, batch=2), 0)
    weight, bias = (tensor for tensor in model.state_dict().values())
    assert 0.5 < float(weight.min()) < float(weight.max()) < 1.5
    assert -0.5 < float(bias.min()) < float(bias.max()) < 0.5
    assert weight.unique().numel() > 60


def test_a_reference_that_writes_to_its_input_leaves_ours_alone() -> None:
    source = task_file("(self, x): return x.mul_(2)", "torch.rand(rows, cols)", "rows = 3; cols = 5")
    case = make(source, layout=Layout.SLICED)
    inputs = draw(source, case, 0)
    (output,) = run_reference(build(source, case, 0), inputs)
    assert torch.equal(output, 2 * drawn(source, case))


def test_several_outputs_are_flattened_in_order() -> None:
    source = task_file("(self, x): return x, (x.max(1)[1], x)", "torch.rand(rows, 5)", "rows = 3")
    assert [spec.dtype for spec in make(source).outputs] == [DType.FLOAT32, DType.INT64, DType.FLOAT32]


def test_sizes_that_do_not_work_are_refused_with_the_reason() -> None:
    with pytest.raises(TaskError, match=r"got .*must be divisible by num_groups"):
        make(NORM, features=63)
