"""What one operation of eager PyTorch costs."""

import math

import msgspec

from tilewright.evaluator.hardware import Hardware
from tilewright.evaluator.triton_names import words
from tilewright.sandbox.targets import Target

# Shares of the sustained rates that PyTorch's own kernels reach, from its times on an H200.
_PRODUCT_SHARE = 0.84  # cuBLAS: 684 TFLOP/s at 4096^3, 621 at 4096 x 11008 x 4096
_ATTENTION_SHARE = 0.56  # fused attention: 445 TFLOP/s for causal 2x32x2048x128
_REDUCTION_SHARE = 0.64  # row sum 8192x8192 in 53.6 us, layer norm 8192x4096 in 56.8 us
_POINTWISE_SHARE = 0.9
# Softmax takes one block a row, two blocks a multiprocessor: 5.5 us a row, and 0.345 ns an element
# (258 us at 8192x8192 and 354 us at 4096x50257).
_SOFTMAX_ROW_US = 5.5
_SOFTMAX_ELEMENT_US = 3.45e-4
_SOFTMAX_BLOCKS = 2

_REDUCTIONS = words(
    "sum mean amax amin max min var var_mean std prod argmax argmin norm linalg_vector_norm native_layer_norm "
    "native_group_norm native_batch_norm _fused_rms_norm native_layer_norm_backward native_group_norm_backward "
    "native_batch_norm_backward _fused_rms_norm_backward cumsum logsumexp"
)
SOFTMAXES = frozenset(("_softmax", "_log_softmax"))


class EagerOp(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One operation that PyTorch runs as a kernel of its own.

    Attributes:
        name: ATen's name without namespace and overload, such as `_softmax`.
        bytes: Bytes of its distinct tensor arguments and results.
        flops: Multiplications and additions of products and convolutions; 0 for everything else.
        dtype: Type of its first tensor argument.
        rows: Rows that a softmax works on; 0 for everything else.
    """

    name: str
    bytes: int
    flops: int
    dtype: str
    rows: int = 0

    @property
    def is_product(self) -> bool:
        """Whether it is a matrix product, a convolution or attention."""
        return self.flops > 0


def operation_us(operation: EagerOp, target: Target, hardware: Hardware) -> float:
    """Return the estimated microseconds of one operation, its launch included."""
    memory_us = hardware.dram_us(operation.bytes)
    if operation.is_product:
        share = _ATTENTION_SHARE if "attention" in operation.name else _PRODUCT_SHARE
        peak = hardware.matrix_tflops(operation.dtype)
        if "32" in operation.dtype:
            peak = hardware.fp32_tflops  # PyTorch leaves TF32 off
        work_us = max(memory_us / _POINTWISE_SHARE, operation.flops / (peak * share * 1e6))
    elif operation.name in SOFTMAXES and operation.rows:
        columns = operation.bytes / operation.rows / (2 if "16" in operation.dtype else 4) / 2
        waves = operation.rows / (target.multiprocessors * _SOFTMAX_BLOCKS)
        work_us = max(memory_us / _POINTWISE_SHARE, waves * (_SOFTMAX_ROW_US + columns * _SOFTMAX_ELEMENT_US))
    elif operation.name in _REDUCTIONS:
        work_us = memory_us / _REDUCTION_SHARE
    else:
        work_us = memory_us / _POINTWISE_SHARE
    return hardware.launch_us + work_us


def eager_us(operations: tuple[EagerOp, ...], target: Target, hardware: Hardware) -> float:
    """Return the estimated microseconds of operations that run one after another."""
    return math.fsum(operation_us(one, target, hardware) for one in operations)
