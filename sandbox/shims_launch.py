"""Runs the programs of one launch in the interpreter, on arguments that point into made-up memory."""

import inspect
import random
from collections.abc import Iterable, Iterator
from functools import cache

import numpy as np
import triton.language as tl
from triton.runtime.interpreter import TensorHandle

from tilewright.sandbox.bounds import base_address
from tilewright.sandbox.launches import Call, DescriptorView, views_of
from tilewright.sandbox.plan import View
from tilewright.sandbox.shims_builder import Builder
from tilewright.sandbox.shims_numeric import UnsupportedError
from tilewright.sandbox.shims_rewrite import unwrap
from tilewright.sandbox.shims_types import QuickSemantic

Program = tuple[int, int, int]

# Pointers to the parts of a complex number are what Triton sees of it.
_ELEMENTS = {
    "float64": tl.float64, "float32": tl.float32, "float16": tl.float16, "bfloat16": tl.bfloat16, "int64": tl.int64,
    "int32": tl.int32, "int16": tl.int16, "int8": tl.int8, "uint8": tl.uint8, "bool": tl.int1, "complex64": tl.float32,
}  # fmt: skip


def run_programs(call: Call, programs: Iterable[Program], semantic: QuickSemantic) -> None:
    """Run some programs of a launch one after another; what memory does is up to the semantic's builder.

    Raises:
        Exception: Whatever the kernel raises; `OutOfBoundsError` and `UnsupportedError` among it.
    """
    builder: Builder = semantic.builder
    kernel = call.kernel.rewrite()
    arguments = _values(call, semantic)
    builder.grid_dim = call.grid
    for program in programs:
        builder.grid_idx = program
        kernel(**arguments)


def programs_of(grid: Program, order: int = 0) -> Iterator[Program]:
    """Return all programs of a grid in the order in which a GPU starts them, x fastest, or shuffled by a seed.

    A GPU promises no order: atomics on floating numbers give other sums in another one.
    """
    programs = ((x, y, z) for z in range(grid[2]) for y in range(grid[1]) for x in range(grid[0]))
    if order == 0:
        return programs
    shuffled = list(programs)
    random.Random(order).shuffle(shuffled)
    return iter(shuffled)


def pointed_to(call: Call) -> dict[int, str]:
    """Return the buffers that a launch was given, each with the first parameter that points to it."""
    names: dict[int, str] = {}
    for name, value in call.arguments:
        for view in views_of(value):
            names.setdefault(view.buffer, name)
    return names


def _values(call: Call, semantic: QuickSemantic) -> dict[str, object]:
    """Return the arguments as a kernel sees them: constants are plain, all other numbers typed."""
    parameters = inspect.signature(call.kernel.fn).parameters
    return {
        name: unwrap(value) if "constexpr" in str(parameters[name].annotation) else _value(value, semantic)
        for name, value in call.arguments
    }


def _value(value: object, semantic: QuickSemantic) -> object:
    if isinstance(value, View):
        return _pointer(value)
    if isinstance(value, DescriptorView):
        return _descriptor(value, semantic)
    if isinstance(value, bool | int | float):
        return semantic.to_tensor(value)
    if isinstance(value, tuple):
        return tuple(_value(part, semantic) for part in value)
    return unwrap(value)


def _pointer(view: View) -> tl.tensor:
    address = base_address(view.buffer) + view.tensor.offset * view.tensor.dtype.bytes
    kind = _pointer_type(view.tensor.dtype.value)
    return tl.tensor(TensorHandle(np.array([address], dtype=np.uint64), kind), kind)


@cache
def _pointer_type(dtype: str) -> tl.pointer_type:
    return tl.pointer_type(_ELEMENTS[dtype])


def _descriptor(value: DescriptorView, semantic: QuickSemantic) -> tl.tensor_descriptor:
    if dict(value.options).get("round_f32_to_tf32"):
        raise UnsupportedError("a descriptor that rounds to TF32")
    strides = [*(semantic.to_tensor(stride) for stride in value.strides[:-1]), tl.constexpr(value.strides[-1])]
    return semantic.make_tensor_descriptor(
        _pointer(value.view),
        [semantic.to_tensor(size) for size in value.shape],
        strides,
        [tl.constexpr(size) for size in value.block_shape],
        dict(value.options).get("padding", "zero"),
    )
