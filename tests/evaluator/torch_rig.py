"""A judge's rig on the host: candidates are functions of torch that write into poisoned outputs."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from msgspec import structs
from torch_candidates import LAYOUTS, TRANSFORMS, TYPES

from tilewright.evaluator.dossier import Trials
from tilewright.evaluator.draws import Draw
from tilewright.evaluator.gpu.answers import Answers
from tilewright.evaluator.gpu.batch_runner import CaseRunner
from tilewright.evaluator.gpu.context import Announce, Replayable
from tilewright.evaluator.gpu.large_stages import run_large_stages
from tilewright.evaluator.large_budget import LargeBudget
from tilewright.evaluator.large_cases import plan_large
from tilewright.evaluator.preparation import Preparations
from tilewright.evaluator.stages import StagesOutcome
from tilewright.sandbox.failure import Failure, Stage
from tilewright.sandbox.plan import Buffer, BufferOrigin, LaunchPlan, View
from tilewright.sandbox.protocol import Entered
from tilewright.tasks.layouts import contiguous_strides
from tilewright.tasks.reference import instantiate
from tilewright.tasks.spec import (
    Case,
    CaseRole,
    Domain,
    DType,
    KernelTask,
    Layout,
    Size,
    SizeRange,
    TensorSpec,
    Tolerance,
    Values,
)
from tilewright.tasks.suites import core
from tilewright.tasks.task_module import realise
from tilewright.tasks.values import to_torch

Tensor = torch.Tensor
# Gets the parameters by name, the poisoned outputs to write to, and the inputs laid out as the case says.
Kernel = Callable[..., None]
HOST = torch.device("cpu")
BUDGET = LargeBudget(bytes=1 << 24, max_elements=1 << 15, max_work=1 << 22)
BENCH = {
    "row_sum": {"rows": 48, "cols": 256},
    "softmax": {"rows": 48, "cols": 256},
    "layer_norm": {"rows": 48, "cols": 256},
    "rms_norm": {"rows": 48, "cols": 256},
    "cross_entropy": {"rows": 48, "cols": 256},
    "matmul": {"m": 64, "k": 128, "n": 48},
    "attention": {"batch": 2, "heads": 2, "length": 64, "width": 32},
    "rotary": {"batch": 2, "heads": 2, "length": 48, "width": 32},
    "swiglu_mlp": {"batch": 32, "dim": 48, "hidden": 64},
}


@functools.cache
def bench_task(name: str) -> KernelTask:
    """Return a task of the core suite with a bench case that a host can judge."""
    source = (Path(core.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    cases = [_case(source, name, CaseRole.BENCH, DType.FLOAT16, Values.DRAWN)]
    cases += [
        _case(source, name, CaseRole.STABILITY, dtype, values) for values in TRANSFORMS[:2] for dtype in TYPES[::2]
    ]
    ranges = tuple(SizeRange(name=key, low=2, high=4096, multiple=2 if key == "width" else 1) for key in BENCH[name])
    return KernelTask(
        title=name,
        family="other",
        reference_source=source,
        cases=tuple(cases),
        domain=Domain(sizes=ranges, dtypes=TYPES, layouts=LAYOUTS, values=TRANSFORMS),
        tolerance=Tolerance(),
    )


def _case(source: str, name: str, role: CaseRole, dtype: DType, values: Values) -> Case:
    sizes = tuple(Size(name=key, value=value) for key, value in BENCH[name].items())
    return instantiate(
        source,
        name=f"{role}-{dtype}-{values}",
        role=role,
        sizes=sizes,
        dtype=dtype,
        layout=Layout.CONTIGUOUS,
        values=values,
    )


class TorchInstance:
    """A plan whose work is a function of torch."""

    def __init__(self, kernel: Kernel, plan: LaunchPlan, case: Case) -> None:
        self._kernel, self._plan, self._case = kernel, plan, case
        self._outputs = tuple(torch.empty(spec.shape, dtype=to_torch(spec.dtype)) for spec in case.outputs)
        self._inputs: list[Tensor] = []
        self._kept: list[Tensor] = []
        self._parameters: dict[str, Tensor] = {}
        self.poison()

    @property
    def plan(self) -> LaunchPlan:
        return self._plan

    def load_tensors(
        self, inputs: tuple[Tensor, ...], parameters: tuple[Tensor, ...], case: Case | None = None
    ) -> None:
        specs = [one for one in self._case.inputs if isinstance(one, TensorSpec)]
        self._inputs = [realise(one, spec) for one, spec in zip(inputs, specs, strict=True)]
        self._kept = [one.clone() for one in self._inputs]
        self._parameters = {spec.name: one.clone() for spec, one in zip(self._case.parameters, parameters, strict=True)}

    def poison(self, byte: int = 0xFF, stream: int = 0) -> None:
        for output in self._outputs:
            output.view(-1).view(torch.uint8).fill_(byte)

    def replay(self, stream: int = 0, *, without: int | None = None) -> None:
        with torch.no_grad():
            self._kernel(self._parameters, self._outputs, *self._inputs)

    def try_replay(self, stage: Stage, announce: Announce = lambda _: None) -> Failure | None:
        self.replay()
        return None

    def outputs(self) -> tuple[Tensor, ...]:
        return self._outputs

    def inputs_changed(self) -> tuple[str, ...]:
        return tuple(
            f"input {index}"
            for index, (one, kept) in enumerate(zip(self._inputs, self._kept, strict=True))
            if not torch.equal(one.nan_to_num(), kept.nan_to_num())
        )

    def release(self) -> None:
        self._outputs = ()


class TorchRig:
    """A rig on the host."""

    def __init__(self, kernel: Kernel, cases: Mapping[str, Case], answers: Answers) -> None:
        self._kernel, self._cases, self._answers = kernel, cases, answers
        self.entered: list[Entered] = []

    @property
    def device(self) -> torch.device:
        return HOST

    @property
    def answers(self) -> Answers:
        return self._answers

    @property
    def preparations(self) -> Preparations:
        return Preparations()

    def announce(self, entered: Entered) -> None:
        self.entered.append(entered)

    def runner(self, plans: Mapping[str, LaunchPlan]) -> CaseRunner:
        raise NotImplementedError

    def open(self, plan: LaunchPlan, *, is_tight: bool = False) -> Replayable | Failure:
        return TorchInstance(self._kernel, plan, self._cases[plan.case])

    def replay_elsewhere(self, instance: Replayable, stage: Stage) -> Failure | None:
        instance.replay(1)
        return None


def plan_of(case: Case) -> LaunchPlan:
    """Return a plan that allocates each output."""
    views, buffers = [], []
    for index, spec in enumerate(case.outputs):
        plain = structs.replace(spec, strides=contiguous_strides(spec.shape), offset=0)
        views.append(View(buffer=index, tensor=plain))
        buffers.append(
            Buffer(
                index=index,
                bytes=plain.storage_bytes,
                origin=BufferOrigin.SCRATCH,
                name="empty",
                dtype=spec.dtype,
                first_step=0,
                last_step=1,
            )
        )
    return LaunchPlan(target="cuda:90", case=case.name, buffers=tuple(buffers), steps=(), outputs=tuple(views))


@functools.cache
def shared_answers() -> Answers:
    torch.set_num_threads(1)
    return Answers(HOST, 1 << 30)


def judge_large(
    name: str,
    kernel: Kernel,
    change: Callable[[LaunchPlan], LaunchPlan] = lambda plan: plan,
    choose: Callable[[Draw], bool] = lambda draw: True,
) -> StagesOutcome:
    """Judge a function of torch at what passes for real sizes here, on the draws that are chosen."""
    task = bench_task(name)
    planned_stages = tuple(
        structs.replace(one, draws=tuple(filter(choose, one.draws))) for one in plan_large(task, 1, BUDGET)
    )
    trials = Trials(seed=1, small=(), large=planned_stages)
    cases = {draw.case.name: draw.case for planned in trials.large for draw in planned.draws}
    plans = {key: change(plan_of(case)) for key, case in cases.items()}
    return run_large_stages(task, trials, plans, TorchRig(kernel, cases, shared_answers()))


def pure(function: Callable[..., Tensor | tuple[Tensor, ...]]) -> Kernel:
    """Turn a function that returns its answers into a kernel that writes them."""

    def kernel(parameters: dict[str, Tensor], outputs: tuple[Tensor, ...], *inputs: Tensor) -> None:
        result = function(parameters, *inputs)
        for output, one in zip(outputs, result if isinstance(result, tuple) else (result,), strict=True):
            output.copy_(one)

    return kernel
