"""The numbers that a case is judged on: drawn by the task, laid out as the case says, gaps filled with NaN."""

import numpy as np
import torch

from tilewright.evaluator.draws import Draw, Probe
from tilewright.evaluator.oracle import Question
from tilewright.sandbox.protocol import CaseData
from tilewright.tasks.reference import build_model, draw_inputs
from tilewright.tasks.spec import KernelTask, TensorSpec
from tilewright.tasks.task_module import Input

# Byte between the elements of strided inputs: NaN in every floating type, -1 in integers.
_GAP = 0xFF
# Of a probe's row, one position in this many stands out.
_PROBE_SPACING = 128


def draw(task: KernelTask, chosen: Draw) -> Question:
    """Draw the parameters and inputs of a case on the CPU."""
    case = chosen.case
    model = build_model(task, case, chosen.seed)
    inputs: tuple[Input, ...] = draw_inputs(task, case, chosen.seed)
    if chosen.probe is Probe.SPIKES:
        generator = torch.Generator().manual_seed(chosen.seed)
        inputs = tuple(spiked(one, generator) for one in inputs)
    return Question(case=case, model=model, inputs=inputs, seed=chosen.seed)


def to_case_data(question: Question) -> CaseData:
    """Turn a question into the bytes that the sandbox's buffers start with."""
    case = question.case
    tensors = [one for one in question.inputs if isinstance(one, torch.Tensor)]
    specs = [one for one in case.inputs if isinstance(one, TensorSpec)]
    state = question.model.state_dict()
    return CaseData(
        case=case,
        inputs=tuple(to_storage(one, spec) for one, spec in zip(tensors, specs, strict=True)),
        parameters=tuple(to_storage(state[one.name], one.tensor) for one in case.parameters),
    )


def to_storage(tensor: torch.Tensor, spec: TensorSpec) -> bytes:
    """Lay a tensor's elements out in the smallest storage of its specification.

    Bytes that belong to no element are 0xFF, so that a kernel that ignores strides or offsets reads NaN.
    """
    storage = np.full(spec.storage_bytes, _GAP, dtype=np.uint8)
    if spec.elements:
        # a size repeated with stride 0 is written once
        shape = tuple(1 if stride == 0 else size for size, stride in zip(spec.shape, spec.strides, strict=True))
        first = tuple(slice(0, size) for size in shape)
        whole = torch.from_numpy(storage).view(tensor.dtype)
        whole.as_strided(shape, spec.strides, spec.offset).copy_(tensor.detach()[first])
    return storage.tobytes()


def spiked(value: Input, generator: torch.Generator) -> Input:
    """Flatten a floating tensor to its median and put drawn extremes at a few positions of each row.

    All numbers come from the tensor itself, so they stay in the reference's domain. Half of the rows have a
    spike at their last element and the rest only at random ones; the others' answers hang on these few elements.
    """
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or value.numel() < 4:
        return value
    width = value.shape[-1]
    shape, median = (value.numel() // width, width), float(value.float().median())
    rows = torch.full(shape, median, dtype=value.dtype, device=value.device)
    extremes = torch.stack([value.min(), value.max()])
    count = max(1, width // _PROBE_SPACING)
    columns = torch.randint(0, width, (rows.shape[0], count), generator=generator, device=value.device)
    columns[::2, 0] = width - 1
    signs = torch.randint(0, 2, columns.shape, generator=generator, device=value.device)
    rows.scatter_(1, columns, extremes[signs])
    return rows.reshape(value.shape)
