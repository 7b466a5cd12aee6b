"""Elementwise floating-point operations of the interpreter, each rounded to the element type as on a GPU."""

from collections.abc import Callable

import numpy as np
import torch
import triton.language as tl
from triton._C.libtriton import ir
from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

from tilewright.sandbox.shims_libdevice import fused_multiply_add
from tilewright.sandbox.shims_numeric import CODED, Values, decode, encode

Operation = Callable[..., Values]


class Arithmetic(InterpreterBuilder):  # type: ignore[misc] # triton ships without types
    """Floating-point operations that hold for bf16 and fp8 too; integers are left to the stock builder."""

    def create_fma(self, x: TensorHandle, y: TensorHandle, z: TensorHandle) -> TensorHandle:
        """Return x * y + z, rounded once."""
        return _apply(fused_multiply_add, x, y, z)

    def create_clampf(
        self, x: TensorHandle, low: TensorHandle, high: TensorHandle, propagate: ir.PROPAGATE_NAN
    ) -> TensorHandle:
        """Clamp; a NaN stays one only if asked for."""
        if propagate == ir.PROPAGATE_NAN.ALL:
            return _apply(np.clip, x, low, high)
        return _apply(lambda v, a, b: np.fmin(np.fmax(v, a), b), x, low, high)


def _apply(operation: Operation, *operands: TensorHandle) -> TensorHandle:
    """Apply a floating-point operation and round its result to the type of the first operand."""
    dtype = operands[0].dtype.scalar
    if operands[0].data.dtype.kind == "f":
        return TensorHandle(operation(*(one.data for one in operands)), dtype)
    values = operation(*(decode(one.data, one.dtype.scalar.name) for one in operands))
    return TensorHandle(encode(values, dtype.name), dtype)


def _unary(operation: Operation) -> Callable[..., TensorHandle]:
    def create(_builder: Arithmetic, operand: TensorHandle) -> TensorHandle:
        data = operand.data
        if data.dtype.kind == "f":
            return TensorHandle(operation(data), operand.dtype.scalar)
        return _apply(operation, operand)

    return create


def _binary(operation: Operation) -> Callable[..., TensorHandle]:
    def create(_builder: Arithmetic, lhs: TensorHandle, rhs: TensorHandle) -> TensorHandle:
        data = lhs.data
        if data.dtype.kind == "f":
            return TensorHandle(operation(data, rhs.data), lhs.dtype.scalar)
        return _apply(operation, lhs, rhs)

    return create


def _comparison(operation: Operation) -> Callable[..., TensorHandle]:
    def create(_builder: Arithmetic, lhs: TensorHandle, rhs: TensorHandle) -> TensorHandle:
        left, right = lhs.data, rhs.data
        if left.dtype.kind == "u" and lhs.dtype.scalar.name in CODED:
            left, right = decode(left, lhs.dtype.scalar.name), decode(right, rhs.dtype.scalar.name)
        return TensorHandle(operation(left, right), tl.int1)

    return create


def _erf(values: Values) -> Values:
    result: Values = torch.erf(torch.from_numpy(np.array(values))).numpy()
    return result


def _reciprocal_root(values: Values) -> Values:
    return np.reciprocal(np.sqrt(values))


# PTX's min and max return the operand that is a number (`minnumf`); only the `minimumf` forms keep a NaN.
BINARY: dict[str, Operation] = {
    "create_fadd": np.add, "create_fsub": np.subtract, "create_fmul": np.multiply, "create_frem": np.fmod,
    "create_minimumf": np.minimum, "create_maximumf": np.maximum, "create_minnumf": np.fmin, "create_maxnumf": np.fmax,
    "create_fdiv": np.divide, "create_precise_divf": np.divide,
}  # fmt: skip
UNARY: dict[str, Operation] = {
    "create_fabs": np.abs, "create_floor": np.floor, "create_ceil": np.ceil, "create_exp": np.exp,
    "create_exp2": np.exp2, "create_log": np.log, "create_log2": np.log2, "create_sin": np.sin, "create_cos": np.cos,
    "create_sqrt": np.sqrt, "create_precise_sqrt": np.sqrt, "create_rsqrt": _reciprocal_root, "create_erf": _erf,
}  # fmt: skip
_COMPARISONS: dict[str, Operation] = {
    "EQ": np.equal, "NE": np.not_equal, "LT": np.less, "LE": np.less_equal, "GT": np.greater, "GE": np.greater_equal,
}  # fmt: skip


def _complete(builder: type[Arithmetic]) -> None:
    for name, operation in BINARY.items():
        setattr(builder, name, _binary(operation))
    for name, operation in UNARY.items():
        setattr(builder, name, _unary(operation))
    for relation, operation in _COMPARISONS.items():
        for prefix in ("fcmpO", "fcmpU", "icmpS", "icmpU", "icmp"):
            if hasattr(builder, f"create_{prefix}{relation}"):
                setattr(builder, f"create_{prefix}{relation}", _comparison(operation))


_complete(Arithmetic)
