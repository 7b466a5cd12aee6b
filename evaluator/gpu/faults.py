"""What the driver's errors say of a candidate, and which of them are not its fault."""

from tilewright.evaluator.gpu.driver import DriverError
from tilewright.sandbox.failure import Failure, FailureKind, Stage

_MASK_HINT = "Mask the lanes beyond the end and check the strides of the arguments."
_SIZE_HINT = "Use fewer warps, smaller tiles or fewer stages."
_FAULTS = {
    "CUDA_ERROR_ILLEGAL_ADDRESS": (FailureKind.OUT_OF_BOUNDS, "touched memory outside of its buffers", _MASK_HINT),
    "CUDA_ERROR_MISALIGNED_ADDRESS": (FailureKind.CRASH, "accessed an address that is not aligned for its width", ""),
    "CUDA_ERROR_ASSERT": (FailureKind.CRASH, "failed an assertion of its own (tl.device_assert)", ""),
    "CUDA_ERROR_LAUNCH_TIMEOUT": (FailureKind.TIME_LIMIT, "was stopped by the driver's time limit", ""),
    "CUDA_ERROR_OUT_OF_MEMORY": (FailureKind.MEMORY_LIMIT, "needs more memory than the device has free", ""),
    "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES": (FailureKind.RESOURCES, "needs more registers than there are", _SIZE_HINT),
    "CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE": (
        FailureKind.RESOURCES, "is cooperative and has more programs than fit the device at once",
        "Launch at most as many programs as are resident at once.",
    ),
    "CUDA_ERROR_INVALID_CLUSTER_SIZE": (FailureKind.RESOURCES, "has larger clusters than the device forms", _SIZE_HINT),
    "CUDA_ERROR_INVALID_VALUE": (FailureKind.BAD_PLAN, "is launched in a way that the driver refuses", ""),
    "CUDA_ERROR_NOT_FOUND": (FailureKind.BAD_PLAN, "is not in its binary", ""),
    "CUDA_ERROR_NO_BINARY_FOR_GPU": (FailureKind.BAD_PLAN, "has a binary for another architecture", ""),
    "CUDA_ERROR_INVALID_IMAGE": (FailureKind.BAD_PLAN, "has a binary that the driver cannot read", ""),
    "CUDA_ERROR_UNSUPPORTED_PTX_VERSION": (FailureKind.BAD_PLAN, "has a binary newer than the driver", ""),
    "CUDA_ERROR_HARDWARE_STACK_ERROR": (FailureKind.CRASH, "overflowed its stack", ""),
    "CUDA_ERROR_ILLEGAL_INSTRUCTION": (FailureKind.CRASH, "ran into an illegal instruction", ""),
    "CUDA_ERROR_INVALID_ADDRESS_SPACE": (FailureKind.CRASH, "accessed memory of the wrong kind", ""),
    "CUDA_ERROR_INVALID_PC": (FailureKind.CRASH, "jumped to where no code is", ""),
    "CUDA_ERROR_LAUNCH_FAILED": (FailureKind.CRASH, "crashed", ""),
}  # fmt: skip


class DeviceLostError(Exception):
    """The device or its driver failed in a way that no kernel is to blame for."""


def to_failure(error: DriverError, stage: Stage, case: str, kernel: str) -> Failure:
    """Return the fault that a driver's error stands for.

    Args:
        error: What the driver said while or after a kernel was launched.
        stage: Where it happened.
        case: Name of the case.
        kernel: Name of the kernel.

    Raises:
        DeviceLostError: It is not the kernel's fault.
    """
    if error.name not in _FAULTS:
        raise DeviceLostError(f"expected the device to run kernel `{kernel}` of {case}; {error}") from error
    kind, words, hint = _FAULTS[error.name]
    return Failure(kind=kind, stage=stage, case=case, message=f"kernel `{kernel}` {words} ({error.name})", hint=hint)
