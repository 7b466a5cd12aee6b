"""Whether tensors of a plan lie within its buffers."""

from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.plan import Buffer, View

_MOST_DIMENSIONS = 64


class PlanError(Exception):
    """A plan that may not be replayed; its text is the failure's message."""

    def __init__(self, kind: FailureKind, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def need(is_true: bool, where: str, expected: str, got: str, *, kind: FailureKind = FailureKind.BAD_PLAN) -> None:
    """Insist on something.

    Raises:
        PlanError: It is not so.
    """
    if not is_true:
        raise PlanError(kind, f"{where}: expected {expected}; got {got}")


def check_view(where: str, view: View, buffers: tuple[Buffer, ...]) -> None:
    """Check that a tensor lies within its buffer.

    Raises:
        PlanError: It does not.
    """
    spec = view.tensor
    need(0 <= view.buffer < len(buffers), where, f"one of {len(buffers)} buffers", f"number {view.buffer}")
    is_shaped = len(spec.shape) == len(spec.strides) <= _MOST_DIMENSIONS
    need(is_shaped, where, "a stride for each size", f"{len(spec.shape)} sizes, {len(spec.strides)} strides")
    lowest = min((*spec.shape, *spec.strides, spec.offset))
    need(lowest >= 0, where, "sizes, strides and offset that are not negative", str(lowest))
    size = buffers[view.buffer].bytes
    got = f"its end at byte {spec.storage_bytes}"
    need(spec.storage_bytes <= size, where, f"a tensor within the {size} bytes of buffer {view.buffer}", got)
