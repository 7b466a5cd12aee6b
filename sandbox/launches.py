"""Kernel launches as values: `kernel[grid](...)` is intercepted, bound and resolved, and nothing runs."""

import contextlib
import inspect
import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import torch
from triton.runtime.autotuner import Autotuner, Heuristics
from triton.runtime.interpreter import InterpretedFunction
from triton.runtime.jit import JITFunction
from triton.tools.tensor_descriptor import TensorDescriptor

from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.fake_device import replaced
from tilewright.sandbox.fault import fault
from tilewright.sandbox.plan import Argument, Constant, Descriptor, Pointer, Scalar, View

Kernel: TypeAlias = JITFunction | InterpretedFunction
LaunchHandler = Callable[[Kernel, tuple[object, ...], object, Mapping[str, object]], None]

_MAX_GRID = (2**31 - 1, 65535, 65535)
_POINTERS = {
    "float64": "*fp64", "float32": "*fp32", "float16": "*fp16", "bfloat16": "*bf16", "int64": "*i64", "int32": "*i32",
    "int16": "*i16", "int8": "*i8", "uint8": "*u8", "bool": "*i1", "complex64": "*fp32",
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DescriptorView:
    """A host-side tensor descriptor whose base has become a view."""

    view: View
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    block_shape: tuple[int, ...]
    options: tuple[tuple[str, object], ...]  # padding and whatever else this Triton's descriptors carry


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One launch with everything resolved but the compilation.

    Attributes:
        kernel: Triton's JITFunction, or its InterpretedFunction in the interpreting zygote.
        grid: Programs along x, y and z.
        arguments: Name and value of every parameter, defaults applied; tensors are Views, host-side descriptors
            DescriptorViews, tuples hold any of these, and all else is the Python value.
        options: Launch options such as `num_warps`.
    """

    kernel: Kernel
    grid: tuple[int, int, int]
    arguments: tuple[tuple[str, object], ...]
    options: tuple[tuple[str, object], ...]

    @property
    def name(self) -> str:
        """Name of the kernel's Python function."""
        return str(self.kernel.fn.__name__)


@contextlib.contextmanager
def intercepted_launches(handle: LaunchHandler, configurations: Mapping[str, int]) -> Iterator[None]:
    """Hand every launch inside a `with` block to `handle`, autotuners and heuristics resolved.

    Args:
        handle: Called with the kernel, its positional arguments, the grid and the keyword arguments.
        configurations: Index of the configuration chosen for each autotuned kernel, by its knob's name; the first
            one is taken for a kernel that is not named. Pruning and benchmarking never run.
    """

    def run(kernel: Kernel, *args: object, grid: object, warmup: bool = False, **kwargs: object) -> None:
        if warmup:
            raise fault(FailureKind.LAUNCHER_ERROR, "expected kernel[grid](...); got warmup(), which needs a device")
        for hook in kernel.pre_run_hooks:
            hook(*args, **kwargs)
        handle(kernel, args, grid, kwargs)

    def run_autotuned(tuner: Autotuner, *args: object, **kwargs: object) -> None:
        config = tuner.configs[configurations.get(knob_of(tuner), 0)]
        chosen = config.all_kwargs()
        if conflicts := sorted(kwargs.keys() & config.kwargs.keys()):
            raise ValueError(f"conflicting meta-parameters: {', '.join(conflicts)}")
        # On a GPU the configuration's own hook precedes every launch; the tuner's reset and restore hooks
        # belong to benchmarking and are left out.
        if config.pre_hook is not None:
            config.pre_hook({**dict(zip(tuner.arg_names, args, strict=False)), **kwargs, **chosen})
        tuner.fn.run(*args, **kwargs, **chosen)

    with contextlib.ExitStack() as stack:
        stack.enter_context(replaced(JITFunction, "run", run))
        stack.enter_context(replaced(InterpretedFunction, "run", run))
        stack.enter_context(replaced(Autotuner, "run", run_autotuned))
        yield


def knob_of(tuner: Autotuner) -> str:
    """Return the name of the knob that chooses an autotuner's configuration."""
    return f"autotune_{tuner.base_fn.__name__}"


def find_autotuner(value: object) -> Autotuner | None:
    """Return the autotuner among a kernel's decorators, or None."""
    while isinstance(value, Heuristics | Autotuner):
        if isinstance(value, Autotuner):
            return value
        value = value.fn
    return None


def bind(
    kernel: Kernel, args: tuple[object, ...], grid: object, kwargs: Mapping[str, object],
    to_view: Callable[[torch.Tensor, str], View],
) -> Call:  # fmt: skip
    """Match a launch's arguments with the kernel's parameters and resolve its grid.

    Args:
        kernel: What is launched.
        args: Positional arguments.
        grid: Tuple of one to three numbers, or a function of the bound arguments that returns one.
        kwargs: Keyword arguments and launch options.
        to_view: Finds a tensor's place, given the tensor and the parameter's name.

    Raises:
        TypeError: The arguments do not fit the kernel; the launcher sees the same on a GPU.
        CandidateFault: The grid is beyond what a device takes.
    """
    names = set(kernel.arg_names)
    named = {name: value for name, value in kwargs.items() if name in names}
    bound = inspect.signature(kernel.fn).bind(*args, **named)
    bound.apply_defaults()
    resolved = grid(dict(bound.arguments)) if callable(grid) else grid
    return Call(
        kernel=kernel,
        grid=_three(resolved, str(kernel.fn.__name__)),
        arguments=tuple((name, _stand_in(value, name, to_view)) for name, value in bound.arguments.items()),
        options=tuple((name, value) for name, value in kwargs.items() if name not in names),
    )


def _three(grid: object, kernel: str) -> tuple[int, int, int]:
    if not isinstance(grid, tuple | list) or not 1 <= len(grid) <= 3:
        raise TypeError(f"expected a grid of one to three numbers for {kernel}; got {grid!r}")
    sizes = [operator.index(size) for size in grid] + [1] * (3 - len(grid))
    if any(size < 0 for size in sizes) or any(size > most for size, most in zip(sizes, _MAX_GRID, strict=True)):
        raise fault(FailureKind.RESOURCES, f"expected a grid within {_MAX_GRID} for {kernel}; got {tuple(sizes)}")
    return sizes[0], sizes[1], sizes[2]


def _stand_in(value: object, name: str, to_view: Callable[[torch.Tensor, str], View]) -> object:
    """Return an argument with its tensors replaced by views."""
    if isinstance(value, torch.Tensor):
        return to_view(value, name)
    if isinstance(value, TensorDescriptor):
        known = {"base", "shape", "strides", "block_shape"}
        return DescriptorView(
            view=to_view(value.base, name),
            shape=tuple(int(size) for size in value.shape),
            strides=tuple(int(stride) for stride in value.strides),
            block_shape=tuple(int(size) for size in value.block_shape),
            options=tuple((key, option) for key, option in vars(value).items() if key not in known),
        )
    if isinstance(value, tuple | list):
        return tuple(_stand_in(part, name, to_view) for part in value)
    return value


def views_of(value: object) -> tuple[View, ...]:
    """Return the views inside a bound argument."""
    if isinstance(value, View):
        return (value,)
    if isinstance(value, DescriptorView):
        return (value.view,)
    if isinstance(value, tuple):
        return tuple(view for part in value for view in views_of(part))
    return ()


def to_arguments(name: str, value: object, signature: object) -> tuple[Argument, ...]:
    """Return the plan's form of one bound argument; a tuple becomes one argument a part.

    Args:
        name: Name of the parameter.
        value: As in `Call.arguments`.
        signature: Triton's type, `constexpr` for what is not passed, or a tuple of these.
    """
    if isinstance(value, tuple) and isinstance(signature, tuple):
        parts = enumerate(zip(value, signature, strict=True))
        return tuple(one for i, (part, kind) in parts for one in to_arguments(f"{name}.{i}", part, kind))
    kind = str(signature)
    if isinstance(value, View):
        offset = value.tensor.offset * value.tensor.dtype.bytes
        return (Pointer(name=name, buffer=value.buffer, offset_bytes=offset, signature=kind),)
    if isinstance(value, DescriptorView):
        view, options = value.view, dict(value.options)
        descriptor = Descriptor(
            name=name, signature=kind, buffer=view.buffer, offset_bytes=view.tensor.offset * view.tensor.dtype.bytes,
            shape=value.shape, strides=value.strides, block_shape=value.block_shape,
            pads_with_nan=options.get("padding") == "nan", rounds_to_tf32=bool(options.get("round_f32_to_tf32")),
            flags=len(options),
        )  # fmt: skip
        return (descriptor,)
    if kind != "constexpr" and isinstance(value, int | float):
        return (Scalar(name=name, signature=kind, value=value),)
    return (Constant(name=name, value=constant_text(value)),)


def plain_signature(value: object, *, is_constexpr: bool) -> object:
    """Return Triton's type of an argument as the interpreter sees it, where nothing is specialised."""
    if isinstance(value, View):
        return _POINTERS[value.tensor.dtype.value]
    if isinstance(value, DescriptorView):
        return f"tensordesc<{_POINTERS[value.view.tensor.dtype.value][1:]}{list(value.block_shape)}>"
    if isinstance(value, tuple) and not is_constexpr:
        return tuple(plain_signature(part, is_constexpr=False) for part in value)
    return "constexpr" if is_constexpr else _number_signature(value)


def _number_signature(value: object) -> str:
    if isinstance(value, bool):
        return "u1"
    if isinstance(value, int):
        return "i32" if -(2**31) <= value < 2**31 else "i64"
    return "fp32" if isinstance(value, float) else "constexpr"


def constant_text(value: object) -> str:
    """Return a text for a constant that does not depend on addresses."""
    if isinstance(value, JITFunction | InterpretedFunction):
        return str(value.fn.__name__)
    if isinstance(value, tuple):
        return f"({', '.join(constant_text(part) for part in value)})"
    if isinstance(value, torch.dtype) or type(value).__module__.startswith("triton."):
        return str(value)
    return repr(value)
