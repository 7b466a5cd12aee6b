"""The least time that a device needs for a case, and the estimated baselines that candidates are compared with."""

from tilewright.evaluator.aten_cost import EagerOp, eager_us, operation_us
from tilewright.evaluator.hardware import Hardware
from tilewright.evaluator.timing import Baseline, TimeSpan, Timing
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.targets import Target
from tilewright.tasks.spec import Case, Gradients, TensorSpec

# What a compiler's fused kernel takes over the floor of its bytes, from torch.compile's times on an H200.
_FUSED_FACTOR = 1.05  # norms and sums 1.00 to 1.06
_FUSED_CAT_FACTOR = 1.27  # rotary embedding
_FUSED_SOFTMAX_FACTOR = 1.85  # softmax 1.86 to 2.8
_FUSED_LOG_SOFTMAX_FACTOR = 2.6  # cross entropy 2.6 to 3.1
_UNFUSED_SHARE = 0.5  # of the time of operations between products that stays

_BASELINE_BAND = 0.1  # how far PyTorch's own times lie from this estimate on the shapes it was fitted to
# Operations that read as much of a tensor as their indices say.
_LOOK_UPS = frozenset({"embedding", "gather", "index_select", "index", "take"})
_BEYOND_FLOOR = 0.95  # a time below this share of the floor is an incident, not a record


def compulsory_bytes(case: Case) -> int:
    """Return bytes that every right kernel moves: each distinct input, parameter and output element once."""
    inputs = tuple(one for one in case.inputs if isinstance(one, TensorSpec))
    return _distinct_bytes((*inputs, *(one.tensor for one in case.parameters), *case.outputs))


def floor_bytes(case: Case, operations: tuple[EagerOp, ...]) -> int:
    """Return bytes that no right kernel can do without.

    Where the reference looks rows up, how much of a table is read depends on the indices: then what is written, and
    as much read.
    """
    whole = compulsory_bytes(case)
    if _LOOK_UPS.isdisjoint(one.name for one in operations):
        return whole
    return min(whole, 2 * _distinct_bytes(case.outputs))


def _distinct_bytes(tensors: tuple[TensorSpec, ...]) -> int:
    """Return bytes of tensors that lie at different addresses."""
    return sum(_distinct_elements(one) * one.dtype.bytes for one in tensors)


def _distinct_elements(tensor: TensorSpec) -> int:
    """Return elements of a tensor that lie at different addresses; an expanded dimension counts once."""
    count = 1
    for size, stride in zip(tensor.shape, tensor.strides, strict=True):
        count *= size if stride != 0 or size == 0 else 1
    return count


def floor_us(case: Case, operations: tuple[EagerOp, ...], hardware: Hardware) -> float:
    """Return the least microseconds that the bytes and the products of a case take, launches left out.

    Args:
        case: Shapes and types.
        operations: What eager PyTorch runs; their products count at the rate of their type.
        hardware: Rates of the part.
    """
    products_us = sum(one.flops / (hardware.matrix_tflops(one.dtype) * 1e6) for one in operations)
    return max(hardware.dram_us(floor_bytes(case, operations)), products_us)


def baselines(case: Case, operations: tuple[EagerOp, ...], target: Target, hardware: Hardware) -> tuple[Baseline, ...]:
    """Return the estimated times of eager PyTorch and of a fusing compiler."""
    eager = eager_us(operations, target, hardware)
    compiled = min(eager, _compiled_us(case, operations, target, hardware))
    return (
        Baseline(name="eager (estimated)", span=_span(eager)),
        Baseline(name="compiled (estimated)", span=_span(compiled)),
    )


def _span(us: float) -> TimeSpan:
    """Return an estimated time with its band."""
    return TimeSpan(median_us=us, low_us=us * (1 - _BASELINE_BAND), high_us=us * (1 + _BASELINE_BAND))


def _compiled_us(case: Case, operations: tuple[EagerOp, ...], target: Target, hardware: Hardware) -> float:
    """Return the time of a compiler that fuses everything but products into one kernel between them."""
    products = tuple(one for one in operations if one.is_product)
    others = tuple(one for one in operations if not one.is_product)
    if products:
        rest_us = sum(operation_us(one, target, hardware) for one in others)
        return eager_us(products, target, hardware) + _UNFUSED_SHARE * rest_us
    names = {one.name for one in operations}
    factor = _FUSED_FACTOR
    if "_log_softmax" in names:
        factor = _FUSED_LOG_SOFTMAX_FACTOR
    elif "_softmax" in names:
        factor = _FUSED_SOFTMAX_FACTOR
    elif "cat" in names:
        factor = _FUSED_CAT_FACTOR
    if not isinstance(case.gradients, Gradients):
        return hardware.launch_us + factor * hardware.dram_us(compulsory_bytes(case))
    # a kernel forward and one backward, which reads again what forward read
    arguments = tuple(one for one in case.arguments if isinstance(one, TensorSpec))
    again = _distinct_bytes((*arguments, *(one.tensor for one in case.parameters)))
    return 2 * hardware.launch_us + factor * hardware.dram_us(compulsory_bytes(case) + again)


def beyond_floor(timing: tuple[Timing, ...]) -> Failure | None:
    """Return a failure if a case is faster than the device allows: the kernel does not do the task's work.

    Answers that are made up for the timed shapes show here, for nothing else of that size is run.
    """
    for one in timing:
        if one.candidate.median_us < _BEYOND_FLOOR * one.floor_us:
            message = (
                f"expected at least {one.floor_us:.1f} us, the time that {one.device} needs for the bytes and products "
                f"of the task; got {one.candidate.median_us:.1f} us ({one.kind})"
            )
            hint = "read every input and write every output at this size too"
            return Failure(kind=FailureKind.BEYOND_FLOOR, stage=Stage.TIMING, case=one.case, message=message, hint=hint)
    return None
