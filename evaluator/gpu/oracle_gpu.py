"""The exact answer of a case at real size and its bounds, computed on the device that the case is judged on.

The same question, the same kinds of answer and the same formulae as in `oracle` (docs/judging.md).
"""

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from tilewright.evaluator import oracle
from tilewright.evaluator.draws import Draw, Probe
from tilewright.evaluator.expectation import Terms
from tilewright.evaluator.gpu.arithmetic_gpu import ReorderedOnGpu
from tilewright.evaluator.gpu.expectation_gpu import DeviceAnswer, DeviceObserved, derive, flatten
from tilewright.evaluator.inputs import spiked
from tilewright.evaluator.oracle import Answers, OracleError, Question
from tilewright.tasks import task_module
from tilewright.tasks.errors import TaskError
from tilewright.tasks.reference import build_model, draw_inputs
from tilewright.tasks.spec import Case, KernelTask, TensorSpec, Tolerance
from tilewright.tasks.task_module import Input
from tilewright.tasks.values import TransformedDraws, to_torch

_PERTURBED_RUNS = 3
_NO_FLOAT64 = "float64 is not available for this reference on the device: the oracle is float32 without TF32"


class OracleMemoryError(Exception):
    """The device has too little memory for the exact answer of a case as a whole."""


@contextmanager
def precise(device: torch.device) -> Iterator[None]:
    """Make a device the default one, and let nothing on it compute less precisely than its types say."""
    matmul = torch.backends.cuda.matmul
    kept = (
        matmul.allow_tf32,
        torch.backends.cudnn.allow_tf32,
        matmul.allow_fp16_reduced_precision_reduction,
        matmul.allow_bf16_reduced_precision_reduction,
    )
    try:
        matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
        matmul.allow_fp16_reduced_precision_reduction = matmul.allow_bf16_reduced_precision_reduction = False
        with torch.device(device):
            yield
    finally:
        matmul.allow_tf32, torch.backends.cudnn.allow_tf32 = kept[:2]
        matmul.allow_fp16_reduced_precision_reduction, matmul.allow_bf16_reduced_precision_reduction = kept[2:]


def draw_on_device(task: KernelTask, chosen: Draw, device: torch.device) -> Question:
    """Draw the parameters and inputs of a case on a device, contiguous (a size of stride 0 repeats its first element).

    The task's functions run with the device as default; where they insist on another one they run on the CPU.

    Raises:
        TaskError: They do not work with the case's sizes.
    """
    case = chosen.case
    with _seeded(chosen.seed, device):
        model = _on_device(lambda: build_model(task, case, chosen.seed), device).to(device)
    inputs = _draw_there(task, case, chosen.seed, device) or draw_inputs(task, case, chosen.seed)
    placed = tuple(
        _place(one, spec, device) if isinstance(one, torch.Tensor) and isinstance(spec, TensorSpec) else one
        for one, spec in zip(inputs, case.inputs, strict=True)
    )
    if chosen.probe is Probe.SPIKES:
        generator = torch.Generator(device).manual_seed(chosen.seed)
        placed = tuple(spiked(one, generator) for one in placed)
    return Question(case=case, model=model, inputs=placed, seed=chosen.seed)


def _on_device(build: Callable[[], torch.nn.Module], device: torch.device) -> torch.nn.Module:
    try:
        with torch.device(device):
            return build()
    except TaskError:
        return build()  # a reference that mixes devices while it is made


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Seed the generators of the host and of a device, and put them back."""
    is_cuda = device.type == "cuda"
    with torch.random.fork_rng(devices=[device] if is_cuda else []):
        torch.default_generator.manual_seed(seed)
        if is_cuda:
            with torch.cuda.device(device):
                torch.cuda.manual_seed(seed)
        yield


def _draw_there(task: KernelTask, case: Case, seed: int, device: torch.device) -> tuple[Input, ...] | None:
    """Return what `get_inputs` gives with the device as default; None if that does not work."""
    try:
        with _seeded(seed, device), torch.device(device), task_module.blaming("get_inputs to run on the device"):
            module = task_module.load_module(task.reference_source, case.sizes)
            with TransformedDraws(case.values, case.dtype):
                drawn = module.get_inputs()
            specs = case.inputs[len(case.arguments) :]
            grad_outputs = [torch.randn(one.shape) for one in specs if isinstance(one, TensorSpec)]
    except TaskError:
        return None
    inputs = (*drawn, *grad_outputs)
    shapes = [tuple(one.shape) if isinstance(one, torch.Tensor) else None for one in inputs]
    return inputs if shapes == [one.shape if isinstance(one, TensorSpec) else None for one in case.inputs] else None


def _place(tensor: torch.Tensor, spec: TensorSpec, device: torch.device) -> torch.Tensor:
    """Copy a tensor to a device, in the case's type."""
    placed = tensor.detach().to(device=device, dtype=to_torch(spec.dtype))
    for dimension, (size, stride) in enumerate(zip(spec.shape, spec.strides, strict=True)):
        if stride == 0 and size > 1:
            placed = placed.narrow(dimension, 0, 1).expand(placed.shape)
    return placed.contiguous()


def exact_run(question: Question, device: torch.device) -> Callable[[Question], Answers]:
    """Return a way to answer exactly: in float64, or in float32 without TF32 where the device has no float64 for it.

    Raises:
        OracleError: The reference raised in both.
        OracleMemoryError: The device has too little memory for the question.
    """

    def widely(asked: Question) -> Answers:
        with precise(device), _blaming_memory():
            return oracle.answer_exactly(asked)

    def narrowly(asked: Question) -> Answers:
        with precise(device), _blaming_memory():
            return _in_float32(asked)

    try:
        first = widely(question)
    except OracleError:
        narrowly(question)
        return narrowly
    return lambda asked: first if asked is question else widely(asked)


def expect_on_device(question: Question, tolerance: Tolerance, device: torch.device) -> DeviceAnswer:
    """Compute the exact answer of a case and derive its bounds, all on a device.

    Raises:
        OracleError: The reference raised, or returned something else than the case says.
        OracleMemoryError: The device has too little memory for the whole answer.
    """
    case, specs = question.case, question.case.outputs
    run = exact_run(question, device)
    exact = run(question)
    if tuple(tuple(one.shape) for one in exact) != tuple(spec.shape for spec in specs):
        got = [tuple(one.shape) for one in exact]
        raise OracleError(f"expected case {case.name} to give {[spec.shape for spec in specs]}, got {got}")
    is_narrow = any(one.dtype is torch.float32 for one in exact)
    flat = tuple(_to_numbers(one) for one in exact)
    del exact
    with precise(device), _blaming_memory():
        trusted, notes = _trusted_answers(question)
        sensitivity = _sensitivity(question, run, flat, device)
        overflows = oracle.may_overflow(question)
        outputs = []
        for index, spec in enumerate(specs):
            observed = DeviceObserved(
                exact=flat[index],
                trusted=tuple(flatten(answers[index]) for answers in trusted),
                sensitivity=sensitivity[index],
            )
            depth = oracle.depth_of(case, spec)
            terms = Terms(spec=spec, factor=tolerance.factor, depth=depth, may_overflow=overflows)
            outputs.append(derive(observed, terms))
    notes = (_NO_FLOAT64, *notes) if is_narrow else notes
    return DeviceAnswer(outputs=tuple(outputs), names=case.output_names, notes=notes)


def _to_numbers(tensor: torch.Tensor) -> torch.Tensor:
    """Flatten; real numbers to float64, integers as they are."""
    flat = flatten(tensor)
    return flat.double() if flat.is_floating_point() else flat


def _trusted_answers(question: Question) -> tuple[list[Answers], tuple[str, ...]]:
    """Answer in the case's type in the ways that count as right; each way that fails leaves a note."""
    ways: tuple[tuple[str, Callable[[], Answers]], ...] = (
        ("eager", lambda: oracle.answer_trusted(question)),
        ("eager in another order", lambda: oracle.answer_trusted(question, ReorderedOnGpu())),
        ("float32, then rounded", lambda: oracle.answer_rounded(question)),
    )
    answers, notes = [], []
    for name, way in ways:
        try:
            answers.append(way())
        except TaskError as error:
            if _is_memory(error):
                raise
            notes.append(f"{name} is not available in {question.case.dtype}: {str(error)[:160]}")
    return answers, tuple(notes)


def _sensitivity(
    question: Question, run: Callable[[Question], Answers], exact: tuple[torch.Tensor, ...], device: torch.device
) -> tuple[torch.Tensor, ...]:
    """Return how far each answer moves under inputs and parameters that are off by a rounding of float32."""
    moved = [torch.zeros_like(one) for one in exact]
    for number in range(_PERTURBED_RUNS):
        for index, answer in enumerate(run(_perturbed(question, number, device))):
            if exact[index].is_floating_point():
                step = (_to_numbers(answer) - exact[index]).abs_().nan_to_num_(nan=0.0, posinf=0.0)
                moved[index] = torch.maximum(moved[index], step)
    return tuple(moved)


def _perturbed(question: Question, number: int, device: torch.device) -> Question:
    """Move every floating number by about one rounding of float32."""
    generator = torch.Generator(device).manual_seed(question.seed + 1 + number)

    def move(value: Input) -> Input:
        if not isinstance(value, torch.Tensor) or not value.is_floating_point():
            return value
        noise = torch.rand(value.shape, generator=generator, dtype=torch.float64, device=device)
        return value.double().mul_(noise.mul_(2).sub_(1).mul_(2.0**-23).add_(1))

    model = copy.deepcopy(question.model).double()
    with torch.no_grad():
        for parameter in [*model.parameters(), *model.buffers()]:
            moved = move(parameter)
            assert isinstance(moved, torch.Tensor)
            parameter.copy_(moved)
    return Question(case=question.case, model=model, inputs=tuple(map(move, question.inputs)), seed=question.seed)


def _in_float32(question: Question) -> Answers:
    """Answer in float32, whatever the case's type."""

    def cast(value: Input) -> Input:
        return value.float() if isinstance(value, torch.Tensor) and value.is_floating_point() else value

    model = copy.deepcopy(question.model).float()
    plain = Question(case=question.case, model=model, inputs=tuple(map(cast, question.inputs)), seed=question.seed)
    try:
        return oracle.answer_trusted(plain)
    except TaskError as error:
        raise OracleError(f"case {question.case.name}: {error}") from error


@contextmanager
def _blaming_memory() -> Iterator[None]:
    """Turn an exhausted device into an OracleMemoryError."""
    try:
        yield
    except Exception as error:
        if not _is_memory(error):
            raise
        raise OracleMemoryError(str(error)) from error


def _is_memory(error: BaseException | None) -> bool:
    """Whether an error, or what caused it, is a lack of device memory."""
    while error is not None:
        if isinstance(error, torch.OutOfMemoryError):
            return True
        error = error.__cause__
    return False
