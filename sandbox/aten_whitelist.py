"""Which ATen operations a launcher may use around its kernels, and how each is recorded."""

from enum import StrEnum

import torch
from torch._ops import OpOverload

from tilewright.sandbox.aten_operations import REDUCTIONS, WORK


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
_KINDS = {
    **dict.fromkeys(_ALLOCATIONS, OperationKind.ALLOCATION),
    **dict.fromkeys(WORK, OperationKind.WORK),
    **dict.fromkeys(REDUCTIONS, OperationKind.REDUCTION),
}
_VIEWS_WITHOUT_ALIAS_NOTE = {"_unsafe_view"}
_READS = {"_local_scalar_dense", "item", "equal", "allclose", "is_nonzero", "nonzero", "masked_select"}
_INITIALISERS = {
    *("uniform", "normal", "random", "bernoulli", "erfinv", "eye", "linspace", "tril", "triu", "outer"),
    *("rand", "rand_like", "randn", "randn_like", "randint", "randint_like"),
}


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
