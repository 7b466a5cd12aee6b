import pytest

from tilewright.evaluator.aten_cost import EagerOp
from tilewright.evaluator.gpu.device_rates import MatrixRate, MeasuredHardware, MemoryRate, task_floor
from tilewright.tasks.spec import Case, CaseRole, DType, TensorSpec

MEASURED = MeasuredHardware(
    device="NVIDIA H200",
    driver="580.159",
    torch="2.11.0",
    l2_bytes=60 << 20,
    memory=(
        MemoryRate(mib=1, copy_gb_s=900, read_gb_s=9999, write_gb_s=700),  # in the cache: says nothing of memory
        MemoryRate(mib=256, copy_gb_s=4000, read_gb_s=4200, write_gb_s=4400),
        MemoryRate(mib=1024, copy_gb_s=4100, read_gb_s=4300, write_gb_s=4600),
    ),
    matrix=(MatrixRate(dtype="float16", tflops=750), MatrixRate(dtype="bfloat16", tflops=780)),
    launch_us=2.2,
    gap_us=1.1,
    wall_s=2.0,
)


def _case(read: int, written: int) -> Case:
    """Return a case that reads and writes so many float16 elements."""
    inputs = (TensorSpec(shape=(read,), strides=(1,), dtype=DType.FLOAT16),)
    outputs = (TensorSpec(shape=(written,), strides=(1,), dtype=DType.FLOAT16),)
    return Case(
        name="bench", role=CaseRole.BENCH, sizes=(), dtype=DType.FLOAT16, init_args="[]", inputs=inputs, parameters=(),
        outputs=outputs,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("read", "written", "expected"), [(1, 0, 4300), (1, 1, 4100), (3, 1, 4200), (0, 1, 4600), (1, 3, 4350)]
)
def test_the_rate_of_a_mix_lies_between_reads_copies_and_writes(read: int, written: int, expected: float) -> None:
    assert MEASURED.stream_gb_s(read, written) == pytest.approx(expected)


def test_the_floor_of_a_task_that_copies_is_its_bytes_at_the_copy_rate() -> None:
    case = _case(2**25, 2**25)  # 2^26 bytes each way
    assert task_floor(case, (), MEASURED, "cuda:90") == pytest.approx(2**27 / 4100e3)


def test_the_floor_of_a_task_that_only_reads_is_at_the_read_rate() -> None:
    case = _case(2**26, 1)
    assert task_floor(case, (), MEASURED, "cuda:90") == pytest.approx(2**27 / 4300e3, rel=1e-6)


def test_products_bound_the_floor_of_a_task_that_multiplies() -> None:
    products = (EagerOp(name="mm", bytes=0, flops=2 * 4096**3, dtype="float16", rows=0),)
    # half-precision types share the better rate: 780 Tflop/s
    assert task_floor(_case(16, 16), products, MEASURED, "cuda:90") == pytest.approx(2 * 4096**3 / 780e6)


def test_what_was_not_measured_is_the_data_sheets() -> None:
    hardware = MEASURED.to_hardware("cuda:90")
    assert hardware.half_tflops == 780
    assert hardware.tf32_tflops == 395
    assert (hardware.launch_us, hardware.gap_us) == (2.2, 1.1)
    assert hardware.dram_gb_s == 4300
    assert hardware.source == "measured on NVIDIA H200, driver 580.159"
