import pytest

from tilewright.tasks.derivation import describe
from tilewright.tasks.spec import CaseRole, DType, KernelTask, Layout, TensorSpec, Values
from tilewright.tasks.suite import find_task_files

BENCH = {
    "softmax": [(8192, 8192), (4096, 50257)],
    "layer_norm": [(8192, 4096)],
    "rms_norm": [(4096, 4096), (16384, 4096)],
    "cross_entropy": [(4096, 32000), (8192, 50257)],
    "row_sum": [(8192, 8192)],
    "rotary": [(2, 32, 2048, 128)],
    "matmul": [(4096, 4096, 4096), (4096, 4096, 11008)],
    "attention": [(2, 32, 2048, 128)],
    "swiglu_mlp": [(2048, 4096, 11008)],
}
PATHS = {path.stem: path for path in find_task_files("core")}
# Multiples of none of the block sizes that kernels use.
BLOCKS = (16, 32, 64, 128, 256, 512, 1024)


@pytest.fixture(scope="module", params=sorted(BENCH))
def task(request: pytest.FixtureRequest) -> KernelTask:
    """One file of the suite."""
    return describe(PATHS[request.param].read_text(), request.param)


def test_bench_shapes_are_the_published_ones(task: KernelTask) -> None:
    bench = task.cases_of(CaseRole.BENCH)
    assert [tuple(size.value for size in case.sizes) for case in bench] == BENCH[task.title]
    assert {case.dtype for case in bench} == {DType.FLOAT16}
    assert task.family == task.title


def test_small_cases_are_few_and_small(task: KernelTask) -> None:
    small = [case for case in task.cases if case.role is not CaseRole.BENCH]
    assert 25 <= len(small) <= 36
    for case in small:
        tensors = [spec for spec in case.inputs if isinstance(spec, TensorSpec)]
        assert sum(spec.elements for spec in (*tensors, *case.outputs)) <= 20_000


def test_small_cases_cover_dtypes_layouts_and_odd_sizes(task: KernelTask) -> None:
    shapes = task.cases_of(CaseRole.SHAPE)
    assert {case.dtype for case in shapes} == {DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32}
    assert {case.dtype for case in task.cases_of(CaseRole.SMOKE)} == set(task.domain.dtypes)
    assert any(sum(size.value % block != 0 for size in case.sizes for block in BLOCKS) >= 7 for case in shapes)
    edges = {case.layout for case in task.cases_of(CaseRole.EDGE)}
    assert edges >= {Layout.CONTIGUOUS, Layout.TRANSPOSED, Layout.SLICED, Layout.OFFSET}
    assert len(task.cases_of(CaseRole.STABILITY)) >= 6


def test_values_of_stability_differ_from_what_is_drawn(task: KernelTask) -> None:
    values = {case.values for case in task.cases_of(CaseRole.STABILITY)}
    assert Values.DRAWN not in values
    assert {Values.ZEROS, Values.ALL_EQUAL, Values.LARGE_OFFSET} <= values
