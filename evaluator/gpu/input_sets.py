"""Several sets of inputs and parameters of a bench case on the GPU: what baselines and candidates are timed on."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from tilewright.tasks import task_module
from tilewright.tasks.errors import TaskError
from tilewright.tasks.gradients import differentiate_call
from tilewright.tasks.reference import build_model, draw_inputs
from tilewright.tasks.spec import Case, Gradients, KernelTask, TensorSpec
from tilewright.tasks.task_module import Input
from tilewright.tasks.values import TransformedDraws

_SEED_STEP = 7919


@dataclass(frozen=True, slots=True, kw_only=True)
class InputSets:
    """The data of a case, several times over.

    Attributes:
        case: The case.
        model: The reference on the GPU; which set's parameters it has at the moment is the user's business.
        inputs: By set: the arguments of `forward` and the grad outputs, laid out as the case says.
        parameters: By set: the tensors of `case.parameters`, in order; the same numbers in memory of their own.
    """

    case: Case
    model: torch.nn.Module
    inputs: tuple[tuple[Input, ...], ...]
    parameters: tuple[tuple[torch.Tensor, ...], ...]

    @property
    def count(self) -> int:
        """Number of sets."""
        return len(self.inputs)

    def install(self, number: int) -> None:
        """Point the model's parameters and buffers at those of a set."""
        state = self.model.state_dict(keep_vars=True)
        for spec, tensor in zip(self.case.parameters, self.parameters[number], strict=True):
            state[spec.name].data = tensor

    def answer(self, number: int, forward: Callable[..., object]) -> tuple[torch.Tensor, ...]:
        """Return what a set gives, its parameters installed: outputs, then the gradients that the case asks for.

        Args:
            number: The set.
            forward: The model, or what a compiler made of it.
        """
        inputs = self.inputs[number]
        if isinstance(self.case.gradients, Gradients):
            return differentiate_call(forward, dict(self.model.named_parameters()), inputs, self.case.gradients)
        return task_module.flatten(forward(*inputs))

    def tensors(self, number: int) -> tuple[torch.Tensor, ...]:
        """Return the tensors among the inputs of a set, in order."""
        return tuple(one for one in self.inputs[number] if isinstance(one, torch.Tensor))


def set_bytes(case: Case) -> int:
    """Return bytes of the inputs, parameters and outputs of one set."""
    tensors = [one for one in case.inputs if isinstance(one, TensorSpec)]
    tensors += [one.tensor for one in case.parameters] + list(case.outputs)
    return sum(one.storage_bytes for one in tensors)


def draw_sets(task: KernelTask, case: Case, count: int, seed: int, device: torch.device) -> InputSets:
    """Draw sets of inputs, each with a seed of its own; the parameters are the same in all.

    The task's `get_inputs` runs with the GPU as default device, which is hundreds of times faster for large
    tensors; where that does not work, it runs on the CPU.

    Raises:
        TaskError: The task's file does not work with the case's sizes.
    """
    model = build_model(task, case, seed).to(device)
    state = model.state_dict()
    own = tuple(state[spec.name].detach().clone() for spec in case.parameters)
    inputs = tuple(_draw(task, case, seed + _SEED_STEP * (number + 1), device) for number in range(count))
    parameters = (own, *(tuple(one.clone() for one in own) for _ in range(count - 1)))
    return InputSets(case=case, model=model, inputs=inputs, parameters=parameters)


def _draw(task: KernelTask, case: Case, seed: int, device: torch.device) -> tuple[Input, ...]:
    drawn = _draw_there(task, case, seed, device)
    if drawn is None:
        drawn = draw_inputs(task, case, seed)
    return tuple(
        _place(one, spec, device) if isinstance(one, torch.Tensor) and isinstance(spec, TensorSpec) else one
        for one, spec in zip(drawn, case.inputs, strict=True)
    )


def _draw_there(task: KernelTask, case: Case, seed: int, device: torch.device) -> tuple[Input, ...] | None:
    """Return what `get_inputs` gives on the device; None if it insists on another or gives something else."""
    try:
        with (
            torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
            torch.device(device),
            task_module.blaming("get_inputs to run"),
        ):
            torch.manual_seed(seed)
            module = task_module.load_module(task.reference_source, case.sizes)
            function = task_module.find_member(module, "get_inputs")
            with TransformedDraws(case.values, case.dtype):
                drawn = tuple(function())  # type: ignore[operator]  # find_member made sure that it can be called
            specs = (one for one in case.inputs[len(case.arguments) :] if isinstance(one, TensorSpec))
            drawn += tuple(torch.randn(one.shape) for one in specs)
    except TaskError:
        return None
    shapes = [tuple(one.shape) if isinstance(one, torch.Tensor) else None for one in drawn]
    expected = [spec.shape if isinstance(spec, TensorSpec) else None for spec in case.inputs]
    return drawn if shapes == expected else None


def _place(tensor: torch.Tensor, spec: TensorSpec, device: torch.device) -> torch.Tensor:
    """Copy a tensor to the device, cast and laid out as its spec says."""
    dtype = getattr(torch, spec.dtype.value)
    for dimension, (size, stride) in enumerate(zip(spec.shape, spec.strides, strict=True)):
        if stride == 0 and size > 1:
            tensor = tensor.narrow(dimension, 0, 1)
    gap = torch.nan if spec.dtype.is_floating else 0
    storage = torch.full((spec.storage_elements,), gap, dtype=dtype, device=device)
    storage.as_strided(tuple(tensor.shape), spec.strides, spec.offset).copy_(tensor)
    return storage.as_strided(spec.shape, spec.strides, spec.offset)
