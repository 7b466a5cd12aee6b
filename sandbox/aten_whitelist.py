"""Which ATen operations a launcher may use around its kernels, and how each is recorded."""

from enum import StrEnum

import torch
from torch._ops import OpOverload


class OperationKind(StrEnum):
    """What an ATen operation is for the recorder."""

    QUERY = "query"  # asks about a tensor's metadata
    VIEW = "view"  # another look at the same storage: leaves no step
    ALLOCATION = "allocation"  # storage with undefined contents
    WORK = "work"  # a small operation that is recorded as an Aten step
    REDUCTION = "reduction"  # as WORK, but only over what a kernel of the launcher wrote
    HOST_READ = "host_read"  # the host waits for data
    FORBIDDEN = "forbidden"


_ALLOCATIONS = {"empty", "empty_like", "empty_strided", "new_empty", "new_empty_strided"}
# Fills, casts, copies and plain arithmetic: what launchers do between kernels. Anything that stands for a
# kernel of its own (products, norms, softmax, exponentials, sorting) is left out on purpose.
_WORK = {
    *("zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full"),
    *("fill", "zero", "arange", "scalar_tensor"),
    *("_to_copy", "copy", "clone", "cat", "stack", "constant_pad_nd", "repeat", "slice_scatter", "select_scatter"),
    *("add", "sub", "rsub", "mul", "div", "neg", "reciprocal", "abs", "maximum", "minimum", "clamp", "where"),
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_not", "logical_and", "logical_or"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "floor_divide", "remainder"),
}
_REDUCTIONS = {"sum", "mean", "amax", "amin", "max", "min", "any", "all"}
_KINDS = {
    **dict.fromkeys(_ALLOCATIONS, OperationKind.ALLOCATION),
    **dict.fromkeys(_WORK, OperationKind.WORK),
    **dict.fromkeys(_REDUCTIONS, OperationKind.REDUCTION),
}
_VIEWS_WITHOUT_ALIAS_NOTE = {"_unsafe_view"}
_READS = {"_local_scalar_dense", "item", "equal", "allclose", "is_nonzero", "nonzero", "masked_select"}
_INITIALISERS = {"uniform", "normal", "random", "bernoulli", "erfinv", "eye", "linspace", "tril", "triu", "outer"}


def name_of(operation: OpOverload) -> str:
    """Return the qualified overload, such as `aten.copy_.default`."""
    return str(operation)


def classify(operation: OpOverload) -> OperationKind:
    """Return how an operation is recorded when a launcher calls it inside `forward`."""
    namespace, name = operation._schema.name.split("::")
    if namespace == "prim":
        return OperationKind.QUERY
    if namespace != "aten":
        return OperationKind.FORBIDDEN
    if _reads_data(operation, name):
        return OperationKind.HOST_READ
    if operation.is_view or name in _VIEWS_WITHOUT_ALIAS_NOTE:
        return OperationKind.VIEW
    return _KINDS.get(name.removesuffix("_"), OperationKind.FORBIDDEN)


def initialises(operation: OpOverload) -> bool:
    """Return whether an operation may fill parameters and buffers in `__init__`; the case's own replace them."""
    kind = classify(operation)
    if kind not in (OperationKind.FORBIDDEN, OperationKind.REDUCTION, OperationKind.HOST_READ):
        return True
    base = operation._schema.name.split("::")[1].removesuffix("_")
    return base in _INITIALISERS or torch.Tag.pointwise in operation.tags


def _reads_data(operation: OpOverload, name: str) -> bool:
    dependent = {torch.Tag.data_dependent_output, torch.Tag.dynamic_output_shape}
    return name in _READS or not dependent.isdisjoint(operation.tags)
