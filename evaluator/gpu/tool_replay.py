"""Replays one case of a dossier once, for a tool that watches this process: `python -m ...tool_replay DOSSIER CASE`.

Every buffer is an allocation of its own and of exact size, and scratch memory is left as the driver gives it: so a tool
that checks memory sees a read beyond an end or of what nothing wrote, which our arena and its poison would hide.
"""

import os
import sys
from pathlib import Path

import msgspec
import torch

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu import driver
from tilewright.evaluator.gpu.aten import AtenStep
from tilewright.evaluator.gpu.binaries import Binaries
from tilewright.evaluator.gpu.input_sets import draw_sets
from tilewright.evaluator.gpu.launch_step import LaunchStep
from tilewright.sandbox.plan import Alloc, BufferOrigin, Launch, LaunchPlan, View
from tilewright.tasks.spec import Case

_WARM_REPLAYS = 1


class PlainInstance:
    """A plan on plain allocations.

    Args:
        plan: The plan.
        binaries: Its kernels.
        given: Inputs and parameters, laid out as the plan's case says, in the order of the plan's buffers.
        device: Where everything lies.
    """

    def __init__(
        self, plan: LaunchPlan, binaries: Binaries, given: tuple[torch.Tensor, ...], device: torch.device
    ) -> None:
        self._memory: list[torch.Tensor] = []
        waiting = list(given)
        for buffer in plan.buffers:
            own = torch.empty(max(1, buffer.bytes), dtype=torch.uint8, device=device)
            if buffer.origin is not BufferOrigin.SCRATCH:
                _copy(waiting.pop(0), own)
            self._memory.append(own)
        self._steps = [self._prepare(step, binaries, device) for step in plan.steps if not isinstance(step, Alloc)]

    def replay(self) -> None:
        """Run every step on the default stream."""
        for step in self._steps:
            if isinstance(step, LaunchStep):
                step.enqueue(0)
            else:
                step.run()

    def _prepare(self, step: object, binaries: Binaries, device: torch.device) -> LaunchStep | AtenStep:
        if not isinstance(step, Launch):
            return AtenStep(step, self._tensor_at, device)  # type: ignore[arg-type]  # steps are one of three kinds
        members = step.programs * step.num_ctas
        sizes = (step.global_scratch_bytes * members, step.profile_scratch_bytes * members)
        scratch = [torch.empty(size, dtype=torch.uint8, device=device) for size in sizes]
        self._memory += scratch
        addresses = [one.data_ptr() for one in self._memory]
        first, second = (one.data_ptr() if one.numel() else 0 for one in scratch)
        return LaunchStep(step, binaries.of(step), addresses, (first, second), device.index or 0)

    def _tensor_at(self, view: View) -> torch.Tensor:
        dtype: torch.dtype = getattr(torch, view.tensor.dtype.value)
        memory = self._memory[view.buffer]
        typed = memory[: memory.numel() // dtype.itemsize * dtype.itemsize].view(dtype)
        return torch.as_strided(typed, view.tensor.shape, view.tensor.strides, view.tensor.offset)


def _copy(tensor: torch.Tensor, memory: torch.Tensor) -> None:
    """Copy a tensor's storage, gaps and offset included."""
    storage = torch.empty(0, dtype=torch.uint8, device=tensor.device).set_(tensor.untyped_storage())
    count = min(storage.numel(), memory.numel())
    memory[:count].copy_(storage[:count])


def main(path: Path, name: str) -> None:
    """Replay a case: once unseen, once between marks that a profiler looks for."""
    dossier = msgspec.msgpack.decode(path.read_bytes(), type=Dossier)
    device = torch.device("cuda", 0)
    driver.open_device(0)
    case = find_case(dossier, name)
    sets = draw_sets(dossier.task, case, 1, 0, device)
    given = (*sets.tensors(0), *sets.parameters[0])
    instance = PlainInstance(dossier.plan_of(name), Binaries(dossier.binaries), given, device)
    for _ in range(_WARM_REPLAYS):
        instance.replay()
    torch.cuda.synchronize()
    torch.cuda.profiler.start()  # type: ignore[no-untyped-call]  # torch does not annotate it
    instance.replay()
    torch.cuda.synchronize()
    torch.cuda.profiler.stop()  # type: ignore[no-untyped-call]  # torch does not annotate it


def find_case(dossier: Dossier, name: str) -> Case:
    """Return a case of a dossier's task or trials.

    Raises:
        KeyError: There is none of that name.
    """
    draws = (draw for stage in (*dossier.trials.small, *dossier.trials.large) for draw in stage.draws)
    for case in (*dossier.task.cases, *(draw.case for draw in draws)):
        if case.name == name:
            return case
    raise KeyError(name)


if __name__ == "__main__":
    os.environ["PYTORCH_NO_CUDA_MEMORY_CACHING"] = "1"
    main(Path(sys.argv[1]), sys.argv[2])
