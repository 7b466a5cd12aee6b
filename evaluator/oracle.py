"""The exact answer of a case and how far trusted implementations in the case's type are from it.

docs/judging.md explains the formulae.
"""

import copy
import math
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch

from tilewright.evaluator.arithmetic import Reordered, Widened
from tilewright.evaluator.expectation import Expectation, Observed, Terms, derive_expectation
from tilewright.evaluator.tolerance import Reals
from tilewright.tasks.errors import TaskError
from tilewright.tasks.reference import run_reference
from tilewright.tasks.spec import Case, DType, TensorSpec, Tolerance
from tilewright.tasks.task_module import Input
from tilewright.tasks.values import to_torch

Answers = tuple[torch.Tensor, ...]

_PERTURBED_RUNS = 3
# Longer sums are made of partial sums wherever they run in parallel; a larger allowance would hide rows left out.
_DEEPEST = 1 << 16
# Squares of numbers beyond these overflow in the arithmetic of their type.
_SQUARES_FIT = {DType.FLOAT16: 2.0**7, DType.BFLOAT16: 2.0**60, DType.FLOAT32: 2.0**60}


class OracleError(Exception):
    """The reference itself could not answer a case: the task's fault, never a candidate's."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A case with its data: what the reference is asked.

    Attributes:
        case: The case.
        model: The reference with its parameters, in the case's type.
        inputs: Arguments of `forward`, in the case's type and layout.
        seed: Seed of the oracle's own perturbations.
    """

    case: Case
    model: torch.nn.Module
    inputs: tuple[Input, ...]
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The reference's exact answer and its bounds.

    Attributes:
        outputs: One expectation an output.
        names: What to call each output.
        notes: What trusted implementations could not do, such as `eager has no float16 here`.
    """

    outputs: tuple[Expectation, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...]

    @property
    def is_defined(self) -> bool:
        """Whether at least one element of one output is judged."""
        return any(output.is_defined for output in self.outputs)


def answer_exactly(question: Question) -> Answers:
    """Run the reference in float64 on the same (already rounded) numbers.

    Raises:
        OracleError: The reference raised.
    """
    try:
        return _run(question, torch.float64, Widened())
    except TaskError as error:
        raise OracleError(f"case {question.case.name}: {error}") from error


def answer_trusted(question: Question, order: AbstractContextManager[object] | None = None) -> Answers:
    """Run the reference in the case's type, optionally in another order of reduction."""
    return _run(question, None, order or nullcontext())


def answer_rounded(question: Question, order: AbstractContextManager[object] | None = None) -> Answers:
    """Run the reference in float32 and round what comes out to the outputs' types."""
    answers = _run(question, torch.float32, order or nullcontext())
    specs = question.case.outputs
    return tuple(_rounded(one, spec) for one, spec in zip(answers, specs, strict=True))


def expect(question: Question, tolerance: Tolerance) -> Answer:
    """Compute the exact answer of a case and derive its bounds.

    Raises:
        OracleError: The reference raised, or returned something else than the case says.
    """
    exact = answer_exactly(question)
    specs = question.case.outputs
    if tuple(tuple(one.shape) for one in exact) != tuple(spec.shape for spec in specs):
        got = [tuple(one.shape) for one in exact]
        raise OracleError(f"expected case {question.case.name} to give {[s.shape for s in specs]}, got {got}")
    trusted, notes = _trusted_answers(question)
    moved = [_run_perturbed(question, number) for number in range(_PERTURBED_RUNS)]
    overflows = may_overflow(question)
    outputs = []
    for index, spec in enumerate(specs):
        observed = Observed(
            exact=numbers_of(exact[index]),
            trusted=tuple(numbers_of(answers[index]) for answers in trusted),
            moved=tuple(numbers_of(answers[index]) for answers in moved),
        )
        depth = depth_of(question.case, spec)
        terms = Terms(spec=spec, factor=tolerance.factor, depth=depth, may_overflow=overflows)
        outputs.append(derive_expectation(observed, terms))
    return Answer(outputs=tuple(outputs), names=question.case.output_names, notes=notes)


def may_overflow(question: Question) -> bool:
    """Whether squares of the inputs may not fit the case's type."""
    fits = _SQUARES_FIT.get(question.case.dtype, math.inf)
    tensors = [one for one in question.inputs if isinstance(one, torch.Tensor) and one.is_floating_point()]
    return any(bool((one.abs() > fits).any()) for one in tensors)


def depth_of(case: Case, output: TensorSpec) -> int:
    """Return the length of the longest chain of additions that an output may need, in elements, judged from shapes."""
    tensors = [one for one in case.inputs if isinstance(one, TensorSpec)]
    tensors += [one.tensor for one in case.parameters]
    sizes = [size for one in tensors for size in one.shape]
    ratios = [one.elements // max(1, output.elements) for one in tensors]
    return min(max([1, *sizes, *ratios]), _DEEPEST)


def numbers_of(tensor: torch.Tensor) -> Reals:
    """Return a tensor's elements in row-major order as float64 (complex numbers as pairs; integers exact to 2^53)."""
    flat = tensor.detach().resolve_conj()
    if flat.is_complex():
        flat = torch.view_as_real(flat)
    numbers: Reals = flat.to(torch.float64).reshape(-1).numpy()
    return numbers


def _trusted_answers(question: Question) -> tuple[list[Answers], tuple[str, ...]]:
    """Answer in the case's type in the ways that count as right; each way that fails leaves a note."""
    ways: list[tuple[str, Callable[[], Answers]]] = [
        ("eager", lambda: answer_trusted(question)),
        ("eager in another order", lambda: answer_trusted(question, Reordered())),
        ("float32, then rounded", lambda: answer_rounded(question)),
    ]
    answers, notes = [], []
    for name, way in ways:
        try:
            answers.append(way())
        except TaskError as error:
            # CPU torch lacks some operations in half precision
            notes.append(f"{name} is not available in {question.case.dtype}: {str(error)[:160]}")
    return answers, tuple(notes)


def _run(question: Question, dtype: torch.dtype | None, mode: AbstractContextManager[object]) -> Answers:
    """Run a copy of the reference, its floating numbers in a type (None: as they are).

    Inputs are made contiguous: which of its ways torch goes must not depend on the case's layout.
    """
    model = question.model
    inputs = tuple(one.contiguous() if isinstance(one, torch.Tensor) else one for one in question.inputs)
    if dtype is not None:
        model = copy.deepcopy(model).to(dtype)
        inputs = tuple(_cast(one, dtype) for one in inputs)
    with torch.random.fork_rng(devices=[]), mode:
        # torch.manual_seed would also queue a call for every kind of device that this machine has not
        torch.default_generator.manual_seed(question.seed)
        return run_reference(model, inputs, question.case.gradients)


def _run_perturbed(question: Question, number: int) -> Answers:
    """Run in float64 with every floating input and parameter moved by about one rounding of float32."""
    generator = torch.Generator().manual_seed(question.seed + 1 + number)
    model = copy.deepcopy(question.model).double()
    inputs = tuple(_perturbed(_cast(one, torch.float64), generator) for one in question.inputs)
    with torch.no_grad():
        for parameter in [*model.parameters(), *model.buffers()]:
            parameter.copy_(_perturbed_tensor(parameter, generator))
    perturbed = Question(case=question.case, model=model, inputs=inputs, seed=question.seed)
    return answer_exactly(perturbed)


def _perturbed(value: Input, generator: torch.Generator) -> Input:
    """Perturb a tensor; leave scalars."""
    return _perturbed_tensor(value, generator) if isinstance(value, torch.Tensor) else value


def _perturbed_tensor(value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Multiply each element of a floating tensor by 1 + e, e between -2^-23 and 2^-23 (rms of about 2^-24)."""
    if not value.is_floating_point():
        return value
    return value * (1 + (torch.rand(value.shape, generator=generator, dtype=torch.float64) * 2 - 1) * 2.0**-23)


def _cast(value: Input, dtype: torch.dtype) -> Input:
    """Cast a floating or complex tensor; clone any other tensor; leave scalars."""
    if not isinstance(value, torch.Tensor):
        return value
    if value.is_complex():
        return value.to(torch.complex128 if dtype is torch.float64 else value.dtype)
    return value.to(dtype, copy=True) if value.is_floating_point() else value.clone()


def _rounded(value: torch.Tensor, spec: TensorSpec) -> torch.Tensor:
    """Round to the type of an output."""
    return value.to(to_torch(spec.dtype))
