"""The driver's errors become the candidate's fault only where a kernel can be to blame."""

import pytest

from tilewright.evaluator.gpu.driver import DriverError
from tilewright.evaluator.gpu.faults import DeviceLostError, to_failure
from tilewright.sandbox.failure import FailureKind, Stage


@pytest.mark.parametrize(
    ("name", "kind", "is_sticky"),
    [
        ("CUDA_ERROR_ILLEGAL_ADDRESS", FailureKind.OUT_OF_BOUNDS, True),
        ("CUDA_ERROR_MISALIGNED_ADDRESS", FailureKind.CRASH, True),
        ("CUDA_ERROR_LAUNCH_TIMEOUT", FailureKind.TIME_LIMIT, True),
        ("CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES", FailureKind.RESOURCES, False),
        ("CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE", FailureKind.RESOURCES, False),
        ("CUDA_ERROR_OUT_OF_MEMORY", FailureKind.MEMORY_LIMIT, False),
        ("CUDA_ERROR_NO_BINARY_FOR_GPU", FailureKind.BAD_PLAN, False),
    ],
)
def test_a_kernels_fault_names_kernel_case_and_error(name: str, kind: FailureKind, is_sticky: bool) -> None:
    error = DriverError(700, name, "k")
    failure = to_failure(error, Stage.SHAPES, "c", "k")
    assert (failure.kind, failure.stage, failure.case) == (kind, Stage.SHAPES, "c")
    assert failure.message.startswith("kernel `k` ")
    assert name in failure.message
    assert error.is_sticky is is_sticky


@pytest.mark.parametrize("name", ["CUDA_ERROR_ECC_UNCORRECTABLE", "CUDA_ERROR_SYSTEM_NOT_READY", "CUDA_ERROR_UNKNOWN"])
def test_a_failing_device_is_no_candidates_fault(name: str) -> None:
    with pytest.raises(DeviceLostError, match=name):
        to_failure(DriverError(214, name, "k"), Stage.SHAPES, "c", "k")
