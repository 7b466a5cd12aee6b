"""The torch side of a task: its cases, inputs, model and answers. Runs the task's own file: for workers only."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import torch

from tilewright.tasks import task_module
from tilewright.tasks.errors import TaskError
from tilewright.tasks.gradients import differentiate
from tilewright.tasks.observation import observe
from tilewright.tasks.spec import Case, CaseRole, DType, Gradients, KernelTask, Layout, Size, TensorSpec, Values
from tilewright.tasks.task_module import Input, load_module
from tilewright.tasks.values import TransformedDraws

__all__ = ["build_model", "draw_inputs", "instantiate", "load_module", "run_reference"]


def instantiate(  # noqa: PLR0913 - these are the fields that decide a case
    source: str,
    *,
    name: str,
    role: CaseRole,
    sizes: tuple[Size, ...],
    dtype: DType,
    layout: Layout = Layout.CONTIGUOUS,
    values: Values = Values.DRAWN,
) -> Case:
    """Return a case with everything that the task file gives for it; costs no memory whatever the sizes.

    Raises:
        TaskError: The file does not work with these sizes.
    """
    seen = observe(source, sizes, dtype, layout)
    return Case(
        name=name,
        role=role,
        sizes=sizes,
        dtype=dtype,
        layout=layout,
        values=values,
        init_args=seen.init_args,
        inputs=seen.inputs,
        parameters=seen.parameters,
        outputs=seen.outputs,
        gradients=seen.gradients,
    )


def draw_inputs(task: KernelTask, case: Case, seed: int) -> tuple[Input, ...]:
    """Return the inputs of a case: CPU tensors, cast, transformed and laid out as `case.inputs` says, and scalars.

    Grad outputs, where the case has any, come last: standard normal, whatever the case does to the other values.

    Raises:
        TaskError: `get_inputs` raises, or gives other shapes than when the case was made.
    """
    return draw(task.reference_source, case, seed)


def draw(source: str, case: Case, seed: int) -> tuple[Input, ...]:
    """Return the inputs of a case of a task file; see `draw_inputs`."""
    with _seeded(seed):
        module = load_module(source, case.sizes)
        with TransformedDraws(case.values, case.dtype):
            drawn = task_module.find_inputs(module)
        grad_outputs = tuple(torch.randn(one.shape) for one in _grad_outputs(case))
    shapes = [tuple(value.shape) if isinstance(value, torch.Tensor) else None for value in drawn]
    expected = [spec.shape if isinstance(spec, TensorSpec) else None for spec in case.arguments]
    if shapes != expected:
        raise TaskError(f"expected get_inputs to give the shapes {expected} again; got {shapes}: fix its shapes")
    return task_module.realise_all((*drawn, *grad_outputs), case.inputs)


def _grad_outputs(case: Case) -> tuple[TensorSpec, ...]:
    return tuple(one for one in case.inputs[len(case.arguments) :] if isinstance(one, TensorSpec))


class Drawing(msgspec.Struct, frozen=True, kw_only=True):
    """How `get_inputs` makes its floating inputs.

    Attributes:
        is_random: Whether any random draw goes into them.
        is_plain: Whether each one of rank two and more is a random draw as it is, so that no structure
            (a triangle, symmetry, rows that sum to one) can be broken.
    """

    is_random: bool
    is_plain: bool


def examine_draws(source: str, case: Case) -> Drawing:
    """Return how `get_inputs` makes its floating inputs, by running it once."""
    with _seeded(0):
        module = load_module(source, case.sizes)
        with TransformedDraws(Values.DRAWN, case.dtype) as mode:
            inputs = task_module.find_inputs(module)
    storages = {tensor.untyped_storage().data_ptr() for tensor in mode.drawn}
    tensors = (value for value in inputs if isinstance(value, torch.Tensor) and value.is_floating_point())
    is_plain = all(value.untyped_storage().data_ptr() in storages for value in tensors if value.dim() > 1)
    return Drawing(is_random=bool(mode.drawn), is_plain=is_plain)


def build_model(task: KernelTask, case: Case, seed: int) -> torch.nn.Module:
    """Return the reference in evaluation mode, with parameters of `case.dtype`.

    Floating parameters and buffers that are all zeros or all ones get U(-0.5, 0.5) added, so that a
    kernel which leaves them out shows.

    Raises:
        TaskError: `Model` raises.
    """
    return build(task.reference_source, case, seed)


def build(source: str, case: Case, seed: int) -> torch.nn.Module:
    """Return the reference of a task file for a case; see `build_model`."""
    with _seeded(seed):
        module = load_module(source, case.sizes)
        model = task_module.make_model(module, task_module.find_init_args(module))
        with torch.no_grad():
            for tensor in model.state_dict().values():
                if tensor.is_floating_point() and tensor.numel() and _is_trivial(tensor):
                    tensor.add_(torch.rand_like(tensor) - 0.5)
    return task_module.cast_model(model, case.dtype)


def _is_trivial(tensor: torch.Tensor) -> bool:
    first = tensor.flatten()[0].item()
    return first in (0.0, 1.0) and bool((tensor == first).all())


def run_reference(
    model: torch.nn.Module, inputs: tuple[Input, ...], gradients: Gradients | msgspec.UnsetType = msgspec.UNSET
) -> tuple[torch.Tensor, ...]:
    """Return the reference's outputs, flattened; the inputs stay as they are even if forward writes to its own.

    Args:
        model: The reference.
        inputs: Arguments of forward, then the grad outputs.
        gradients: What is differentiated: the gradients follow the outputs.

    Raises:
        TaskError: Forward raises or returns something that is no tensor.
    """
    copies = [_copy(value) if isinstance(value, torch.Tensor) else value for value in inputs]
    with torch.no_grad(), task_module.blaming("forward to accept what get_inputs gives"):
        if isinstance(gradients, Gradients):
            return differentiate(model, tuple(copies), gradients)
        return task_module.flatten(model(*copies))


def _copy(tensor: torch.Tensor) -> torch.Tensor:
    storage = tensor.untyped_storage().clone()  # type: ignore[no-untyped-call]  # torch does not annotate it
    empty = torch.empty(0, dtype=tensor.dtype, device=tensor.device)
    return empty.set_(storage, tensor.storage_offset(), tensor.shape, tensor.stride())


@contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Seed torch and Python for a while, and put their generators back."""
    state = random.getstate()
    with torch.random.fork_rng(devices=()):
        torch.default_generator.manual_seed(seed)  # not torch.manual_seed: it looks for absent devices each time
        random.seed(seed)
        try:
            yield
        finally:
            random.setstate(state)
