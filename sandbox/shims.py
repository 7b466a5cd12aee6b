"""Closes the gaps of Triton's interpreter, once a process, so that honest kernels run as they would on a GPU.

Mended here and in the `shims_*` modules: libdevice, bf16 and fp8 arithmetic, TF32 and fp16 products, rounding,
constants on the left of a tensor, methods of loop variables, reductions with any combination, scans, descriptors,
atomics, hints. What cannot be mended raises `UnsupportedError`, never a candidate's fault. Not covered: inline
assembly, `tl.dot_scaled`, `tl.map_elementwise`, fp8e4b15, clocks and multiprocessor ids, directed rounding of
libdevice, flushing of denormals, the speed-for-accuracy trades of a GPU's `exp`, `sin` and division.
"""

import inspect
from collections.abc import Callable
from types import FunctionType

import numpy as np
import torch
import triton.language as tl
from triton.language.extra import cuda
from triton.language.extra import libdevice as generic_libdevice
from triton.language.extra.cuda import gdc
from triton.language.extra.cuda import libdevice as cuda_libdevice
from triton.runtime import interpreter as stock
from triton.runtime.interpreter import InterpretedFunction

from tilewright.sandbox.shims_builder import Builder
from tilewright.sandbox.shims_numeric import UnsupportedError
from tilewright.sandbox.shims_rewrite import Kernel, loop_over, rewrite, unroll, unwrap
from tilewright.sandbox.shims_types import QuickSemantic, install_types

# Operators that constexpr answers itself, wrongly, when the other operand is a tensor.
_OPERATORS = (
    *("add", "sub", "mul", "mod", "truediv", "floordiv", "and", "or", "xor", "lshift", "rshift"),
    *("radd", "rsub", "rmul", "rtruediv", "rfloordiv", "lt", "le", "gt", "ge", "eq", "ne"),
)


def install() -> None:
    """Mend the interpreter, in a process with TRITON_INTERPRET=1, before candidates are loaded; again does nothing."""
    if isinstance(stock.interpreter_semantic, QuickSemantic):
        return
    builder = Builder()
    stock.interpreter_builder = builder
    stock.interpreter_semantic = QuickSemantic(builder)
    # The sandbox allows no new threads, and small arrays gain nothing from them.
    torch.set_num_threads(1)
    # A GPU computes infinities and NaN without a word.
    np.seterr(all="ignore")
    _bind_builtins()
    _bind_language()
    install_types()
    _mend_constants()
    _mend_functions()
    _shorten_operators()


def interpreting_semantic() -> QuickSemantic:
    """Return what interpreted kernels refer to; set its `builder` to change what operations do."""
    semantic: QuickSemantic = stock.interpreter_semantic
    return semantic


def _bind_builtins() -> None:
    """Give Triton's builtin functions the interpreter's semantics, once instead of at each launch."""
    spaces = (tl, tl.core, tl.tensor, tl.math, tl.core.tensor_descriptor_base, tl.core.tensor_descriptor)
    for space in (*spaces, cuda, cuda.utils, gdc, cuda_libdevice):
        for name, member in inspect.getmembers(space):
            if tl.core.is_builtin(member):
                setattr(space, name, _bound(member))
    for name, stub in inspect.getmembers(generic_libdevice, inspect.isfunction):
        if stub.__module__ == generic_libdevice.__name__:
            setattr(generic_libdevice, name, getattr(cuda_libdevice, name, _unknown(name)))
    for space in (gdc, cuda):
        space.gdc_wait = space.gdc_launch_dependents = lambda: None


def _bound(builtin: Callable[..., object]) -> Callable[..., object]:
    function = inspect.unwrap(builtin)
    semantic = stock.interpreter_semantic

    def call(*arguments: object, _semantic: object = None, **named: object) -> object:
        return function(*arguments, _semantic=semantic, **named)

    return call


def _unknown(name: str) -> Callable[..., object]:
    def call(*_arguments: object) -> object:
        raise UnsupportedError(f"libdevice function {name}")

    return call


def _bind_language() -> None:
    """Replace what the interpreter defines outside its builder: loops, reductions, scans, output."""
    anchor = FunctionType((lambda: None).__code__, {"tl": tl, "core": tl.core})
    stock._patch_lang(anchor)
    stock._patch_lang = lambda _function: stock._LangPatchScope()
    for space in (tl, tl.core):
        space.range = loop_over(stock.interpreter_semantic)
        space.static_range = unroll
        space.reduce = _delegated("reduce")
        space.associative_scan = _delegated("scan")
        space.static_print = space.device_print = lambda *_values, **_named: None
    tl.tensor.__index__ = lambda self: int(self.handle.data.item())


def _delegated(name: str) -> Callable[..., object]:
    """Return a function that the builder in use carries out; the compiler's own keyword arguments are dropped."""
    semantic = stock.interpreter_semantic

    def call(*arguments: object, _semantic: object = None, _generator: object = None, **named: object) -> object:
        return getattr(semantic.builder, name)(*arguments, **named)

    return call


def _mend_constants() -> None:
    for operator in _OPERATORS:
        name = f"__{operator}__"
        setattr(tl.constexpr, name, _yielding(getattr(tl.constexpr, name)))


def _yielding(operator: Callable[..., object]) -> Callable[..., object]:
    """Leave an operation between a constant and a tensor to the tensor."""

    def apply(self: tl.constexpr, other: object) -> object:
        return NotImplemented if isinstance(other, tl.tensor) else operator(self, other)

    return apply


def _shorten_operators() -> None:
    """Take sums, differences and products of tensors straight to the semantics; integers wrap in any case."""
    semantic = stock.interpreter_semantic
    for name in ("add", "sub", "mul"):
        apply = getattr(semantic, name)
        setattr(tl.tensor, f"__{name}__", _operator(apply))
        setattr(tl.tensor, f"__r{name}__", _reflected(apply))


def _operator(apply: Callable[..., object]) -> Callable[..., object]:
    return lambda self, other: apply(self, unwrap(other), False)


def _reflected(apply: Callable[..., object]) -> Callable[..., object]:
    return lambda self, other: apply(unwrap(other), self, False)


def _mend_functions() -> None:
    """Run kernels and their helpers in the form that `shims_rewrite` gives them."""

    def rewritten(self: InterpretedFunction) -> Kernel:
        known: dict[FunctionType, Kernel] = self.rewritten_fn
        if self.fn not in known:
            known[self.fn] = rewrite(self.fn, stock.interpreter_semantic)
        return known[self.fn]

    def call(self: InterpretedFunction, *arguments: object, **named: object) -> object:
        return rewritten(self)(*arguments, **named)

    InterpretedFunction.rewrite = rewritten
    InterpretedFunction.__call__ = call
    # Triton's own helpers are rewritten now, so that no child has to.
    for _, function in inspect.getmembers(tl.standard, lambda one: isinstance(one, InterpretedFunction)):
        function.rewrite()
