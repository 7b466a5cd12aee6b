"""Small tasks and a runner that answers in the sandbox's place with a function of torch."""

import functools
from collections.abc import Callable
from pathlib import Path

import torch

from tilewright.evaluator.preparation import Preparations
from tilewright.evaluator.stages import Runner, StagesOutcome, run_stages
from tilewright.sandbox.failure import Stage
from tilewright.sandbox.plan import Buffer, BufferOrigin, LaunchPlan, View
from tilewright.sandbox.protocol import Answer, CaseData, Entered, Finished, Interpret, Interpreted
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.reference import instantiate
from tilewright.tasks.spec import (
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
from tilewright.tasks.values import to_torch

Kernel = Callable[..., torch.Tensor | tuple[torch.Tensor, ...]]
Sizes = dict[str, int]

TYPES = (DType.FLOAT16, DType.BFLOAT16, DType.FLOAT32)
TRANSFORMS = (Values.LARGE_OFFSET, Values.MIXED_SCALE, Values.ALL_EQUAL, Values.ZEROS, Values.SPARSE, Values.DENORMAL)
LAYOUTS = (Layout.TRANSPOSED, Layout.SLICED, Layout.OFFSET, Layout.EXPANDED)
ROWWISE: tuple[Sizes, ...] = ({"rows": 4, "cols": 64}, {"rows": 5, "cols": 130}, {"rows": 3, "cols": 1021})
SHAPES: dict[str, tuple[Sizes, ...]] = {
    "softmax": ROWWISE,
    "layer_norm": ROWWISE,
    "cross_entropy": ROWWISE,
    "row_sum": ROWWISE,
    "matmul": ({"m": 16, "k": 32, "n": 16}, {"m": 33, "k": 65, "n": 31}, {"m": 31, "k": 130, "n": 47}),
    "attention": (
        {"batch": 1, "heads": 1, "length": 16, "width": 16},
        {"batch": 1, "heads": 2, "length": 65, "width": 32},
        {"batch": 1, "heads": 1, "length": 127, "width": 16},
    ),
}


def make_task(source: str, shapes: tuple[Sizes, ...], dtypes: tuple[DType, ...] = TYPES) -> KernelTask:
    """Make a task with the first shape as smoke case, the others as shapes, values on the second."""
    cases = []

    def add(role: CaseRole, sizes: Sizes, dtype: DType, layout: Layout, values: Values) -> None:
        name = f"{role}-{'x'.join(map(str, sizes.values()))}-{dtype}-{layout}-{values}"
        named = tuple(Size(name=key, value=value) for key, value in sizes.items())
        cases.append(instantiate(source, name=name, role=role, sizes=named, dtype=dtype, layout=layout, values=values))

    for dtype in dtypes:
        add(CaseRole.SMOKE, shapes[0], dtype, Layout.CONTIGUOUS, Values.DRAWN)
        for sizes in shapes[1:]:
            add(CaseRole.SHAPE, sizes, dtype, Layout.CONTIGUOUS, Values.DRAWN)
        for values in TRANSFORMS:
            add(CaseRole.STABILITY, shapes[1 % len(shapes)], dtype, Layout.CONTIGUOUS, values)
    for layout in LAYOUTS:
        add(CaseRole.EDGE, shapes[1 % len(shapes)], dtypes[0], layout, Values.DRAWN)
    ranges = tuple(SizeRange(name=name, low=min(16, value), high=4096) for name, value in shapes[0].items())
    return KernelTask(
        title="a task",
        family="other",
        reference_source=source,
        cases=tuple(cases),
        domain=Domain(sizes=ranges, dtypes=dtypes, layouts=LAYOUTS, values=TRANSFORMS),
        tolerance=Tolerance(),
    )


class TorchRunner:
    """Answers as a sandbox would whose candidate is a function of torch.

    Args:
        kernel: Gets the parameters by name, then the inputs.
        alter: Changes each answer before it is given back.
    """

    def __init__(self, kernel: Kernel, alter: Callable[[Interpreted], Answer] | None = None) -> None:
        self.kernel = kernel
        self.alter = alter
        self.requests: list[Interpret] = []

    def interpret(self, request: Interpret) -> tuple[Answer, ...]:
        self.requests.append(request)
        answers: list[Answer] = []
        for data in request.cases:
            answers.append(Entered(stage=Stage.SMOKE, case=data.case.name))
            got = self._run(data)
            answers.append(self.alter(got) if self.alter else got)
        return (*answers, Finished())

    def _run(self, data: CaseData) -> Interpreted:
        specs = [one for one in data.case.inputs if isinstance(one, TensorSpec)]
        tensors = iter(_read(raw, spec) for raw, spec in zip(data.inputs, specs, strict=True))
        inputs = [next(tensors) if isinstance(one, TensorSpec) else one.value for one in data.case.inputs]
        pairs = zip(data.parameters, data.case.parameters, strict=True)
        result = self.kernel({one.name: _read(raw, one.tensor) for raw, one in pairs}, *inputs)
        outputs = result if isinstance(result, tuple) else (result,)
        return answer_with(data.case.name, tuple(one.contiguous() for one in outputs))


def _read(raw: bytes, spec: TensorSpec) -> torch.Tensor:
    if not spec.elements:
        return torch.zeros(spec.shape, dtype=to_torch(spec.dtype))
    whole = torch.frombuffer(bytearray(raw), dtype=to_torch(spec.dtype))
    return whole.as_strided(spec.shape, spec.strides, spec.offset)


def answer_with(case: str, outputs: tuple[torch.Tensor, ...]) -> Interpreted:
    """Make a sandbox's answer of outputs, each in a buffer of its own."""
    views, buffers, raw = [], [], []
    for index, output in enumerate(outputs):
        dtype = DType(str(output.dtype).removeprefix("torch."))
        spec = TensorSpec(shape=tuple(output.shape), strides=tuple(output.stride()), dtype=dtype)
        views.append(View(buffer=index, tensor=spec))
        size = output.numel() * output.element_size()
        buffers.append(
            Buffer(
                index=index,
                bytes=size,
                origin=BufferOrigin.SCRATCH,
                name="empty",
                dtype=dtype,
                first_step=0,
                last_step=1,
            )
        )
        raw.append(output.contiguous().view(torch.uint8).numpy().tobytes() if output.dim() else _scalar_bytes(output))
    plan = LaunchPlan(target="cuda:90", case=case, buffers=tuple(buffers), steps=(), outputs=tuple(views))
    return Interpreted(plan=plan, outputs=tuple(raw), written=(True,) * len(outputs), changed=())


def _scalar_bytes(output: torch.Tensor) -> bytes:
    return output.reshape(1).view(torch.uint8).numpy().tobytes()


@functools.cache
def task_of(name: str) -> KernelTask:
    """Return a task of the core suite with cases of our own."""
    source = (Path(core.__path__[0]) / f"{name}.py").read_text(encoding="utf-8")
    return make_task(source, SHAPES[name])


@functools.cache
def shared_preparations() -> Preparations:
    """Return prepared cases that all tests share."""
    torch.set_num_threads(1)
    return Preparations(limit=4096)


def judge(
    task: KernelTask, kernel: Kernel, seed: int = 1, alter: Callable[[Interpreted], Answer] | None = None
) -> StagesOutcome:
    """Judge a function of torch."""
    return judge_with(task, TorchRunner(kernel, alter), seed)


def judge_with(task: KernelTask, runner: Runner, seed: int = 1) -> StagesOutcome:
    """Judge whatever a runner answers."""
    candidate = Candidate(task_id=task.id, source="", knobs=(), origin=Origin(operator="test"))
    return run_stages(task, candidate, "cuda:90", runner, seed, preparations=shared_preparations())
