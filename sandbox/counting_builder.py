"""The interpreter's builder for counting: addresses and masks are real, floating-point data are one zero, spread."""

import math
from collections.abc import Callable, Iterator

import numpy as np
import triton.language as tl
from triton._C.libtriton import ir
from triton.runtime.interpreter import TensorHandle

from tilewright.sandbox.counting_tally import Budget, CountingMemory, Tally, is_uniform, spread, zeros
from tilewright.sandbox.shims_arithmetic import BINARY, UNARY
from tilewright.sandbox.shims_builder import Builder
from tilewright.sandbox.shims_reduce import Combine, combines_directly
from tilewright.sandbox.shims_types import numpy_type

_Create = Callable[..., TensorHandle]

_SPECIAL = frozenset({
    "create_fdiv", "create_precise_divf", "create_exp", "create_exp2", "create_log", "create_log2", "create_sin",
    "create_cos", "create_sqrt", "create_precise_sqrt", "create_rsqrt", "create_erf", "create_extern_elementwise",
})  # fmt: skip
# Operations that an element takes more than one of.
_WEIGHTS = {"create_fma": 2, "create_clampf": 2}
_DOT_NAMES = {"fp16": "float16", "bf16": "bfloat16", "fp64": "float64"}


class _Results:
    """Stands for a block of inline assembly: each result is zero."""

    def __init__(self, handles: list[TensorHandle]) -> None:
        self._handles = handles

    def get_result(self, index: int) -> TensorHandle:
        """Return one result."""
        return self._handles[index]


class CountingBuilder(Builder):
    """Counts work in a tally instead of doing it.

    Floating-point values that are equal everywhere by construction (all that comes out of loads) are computed once.
    """

    def __init__(self, tally: Tally, budget: Budget) -> None:
        super().__init__()
        self.memory = CountingMemory(tally, budget)
        self._tally = tally
        self._budget = budget

    def iterate(self, steps: range, dtype: tl.dtype) -> Iterator[tl.tensor]:
        """Yield loop variables; once half the budget is spent, stop after this step and scale what it counted."""
        before = dict(self._tally.amounts)
        for done, step in enumerate(super().iterate(steps, dtype), start=1):
            yield step
            if done < len(steps) and self._budget.is_half_spent:
                self._tally.scale_since(before, len(steps) / done)
                return

    def create_dot(
        self, a: TensorHandle, b: TensorHandle, d: TensorHandle, input_precision: ir.INPUT_PRECISION, *_limits: object
    ) -> TensorHandle:
        """Count 2 M N K operations and leave the accumulator as it is."""
        self._tally.add("dot_flops", 2 * a.data.size * b.data.shape[-1])
        self._tally.dot_dtype = _dot_name(a.dtype.scalar.name, input_precision.name)
        return TensorHandle(d.data, d.dtype.scalar)

    def create_select(self, cond: TensorHandle, lhs: TensorHandle, rhs: TensorHandle) -> TensorHandle:
        """Choose; between two floats that are each equal everywhere it does not matter which."""
        dtype = lhs.dtype.scalar
        if dtype.is_floating() and is_uniform(lhs.data) and is_uniform(rhs.data):
            return TensorHandle(lhs.data, dtype)
        return super().create_select(cond, lhs, rhs)

    def create_splat(self, ret_ty: tl.block_type, arg: TensorHandle) -> TensorHandle:
        """Spread a scalar without copying it."""
        return TensorHandle(spread(np.ascontiguousarray(arg.data), tuple(ret_ty.shape.values)), arg.dtype.scalar)

    def cast_impl(self, src: TensorHandle, dst_type: tl.dtype) -> TensorHandle:
        """Convert element types; not counted."""
        return _computed_once(super().cast_impl, (src,), dst_type)

    def create_extern_elementwise(
        self, library: str, path: str, symbol: str, arguments: list[TensorHandle], result: tl.dtype, pure: bool
    ) -> TensorHandle:
        """Count a library call as one special operation an element."""
        call = super().create_extern_elementwise
        self.count_elements("create_extern_elementwise", tuple(arguments))
        return _computed_once(lambda *every: call(library, path, symbol, list(every), result, pure), tuple(arguments))

    def create_inline_asm(
        self, _text: str, _constraints: str, operands: list[TensorHandle], types: list[tl.dtype], *_options: object
    ) -> _Results:
        """Count one special operation an element and return zeros."""
        shape = max((one.data.shape for one in operands), key=math.prod, default=(1,))
        self._tally.add("special_operations", math.prod(shape))
        return _Results([TensorHandle(zeros(shape, numpy_type(kind)), kind.scalar) for kind in types])

    def create_assume(self, _condition: TensorHandle) -> None:
        """Assume nothing: it may depend on data that are not there."""

    def reduce(
        self, inputs: tl.tensor | tuple[tl.tensor, ...], axis: int | None, combine: Combine, keep_dims: bool = False
    ) -> tl.tensor | tuple[tl.tensor, ...]:
        """Count a combination for each element that vanishes."""
        first = inputs if isinstance(inputs, tl.tensor) else inputs[0]
        result = super().reduce(inputs, axis, combine, keep_dims)
        one = result if isinstance(result, tl.tensor) else result[0]
        if first.dtype.is_floating() and combines_directly(combine):
            self._tally.add("arithmetic_operations", first.handle.data.size - one.handle.data.size)
        return result

    def count_elements(self, name: str, operands: tuple[TensorHandle, ...]) -> None:
        """Count one elementwise operation."""
        kind = "special_operations" if name in _SPECIAL else "arithmetic_operations"
        self._tally.add(kind, max(one.data.size for one in operands) * _WEIGHTS.get(name, 1))


def _computed_once(create: _Create, operands: tuple[TensorHandle, ...], *rest: object) -> TensorHandle:
    """Apply an elementwise operation to one element if all operands are the same everywhere."""
    if not all(is_uniform(one.data) for one in operands):
        return create(*operands, *rest)
    shape = max((one.data.shape for one in operands), key=math.prod)
    single = [TensorHandle(np.array([one.data[(0,) * one.data.ndim]]), one.dtype) for one in operands]
    result = create(*single, *rest)
    return TensorHandle(spread(result.data, shape), result.dtype)


def _counting(name: str) -> _Create:
    stock: _Create = getattr(Builder, name)

    def create(self: CountingBuilder, *operands: TensorHandle) -> TensorHandle:
        handles = tuple(one for one in operands if isinstance(one, TensorHandle))
        self.count_elements(name, handles)
        return _computed_once(lambda *every: stock(self, *every), handles, *operands[len(handles) :])

    return create


def _dot_name(operands: str, precision: str) -> str:
    """Return the operand type by torch's name; `tf32` for fp32 operands that lose mantissa bits."""
    if operands == "fp32":
        return "float32" if precision == "IEEE" else "tf32"
    return "float8" if operands.startswith("fp8") else _DOT_NAMES.get(operands, operands)


for _name in (*BINARY, *UNARY, *_WEIGHTS):
    setattr(CountingBuilder, _name, _counting(_name))
