"""Whether each input and parameter counts: some elements change, and the answer must move as the oracle says."""

import copy
from dataclasses import dataclass

import torch
from msgspec import structs

from tilewright.evaluator.compare import Finding
from tilewright.evaluator.draws import Draw
from tilewright.evaluator.gpu.expectation_gpu import DeviceAnswer, DeviceExpectation, flatten
from tilewright.evaluator.gpu.oracle_gpu import draw_on_device, exact_run
from tilewright.evaluator.oracle import OracleError, Question
from tilewright.sandbox.failure import FailureKind
from tilewright.tasks.errors import TaskError
from tilewright.tasks.reference import examine_draws
from tilewright.tasks.spec import KernelTask, TensorSpec

_POSITIONS = 64
# Elements that move by fewer times their allowed error say nothing.
_CLEAR = 8.0
_CLEAREST = 4096
# A clear move must be right to this share of itself, beyond the allowed error.
_SHARE = 0.25


@dataclass(frozen=True, slots=True, kw_only=True)
class Moves:
    """Elements of one output that must move.

    Attributes:
        places: Their places in row-major order.
        before: Exact numbers before the change, float64.
        after: Exact numbers after it.
        allowed: Errors that are right there.
    """

    places: torch.Tensor
    before: torch.Tensor
    after: torch.Tensor
    allowed: torch.Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class Nudge:
    """One tensor changed, all others as they were.

    Attributes:
        name: The changed tensor's name, such as `input 0` or `weight`.
        inputs: The tensors among the inputs.
        parameters: The parameters, in the case's order.
        moves: What must move, by output; nothing where the change makes no clear difference.
        own_bytes: Device memory of what is not the unchanged question's.
    """

    name: str
    inputs: tuple[torch.Tensor, ...]
    parameters: tuple[torch.Tensor, ...]
    moves: tuple[Moves, ...]
    own_bytes: int

    @property
    def is_clear(self) -> bool:
        """Whether anything must move."""
        return any(one.places.numel() for one in self.moves)


def derive_nudges(
    task: KernelTask, chosen: Draw, question: Question, answer: DeviceAnswer, device: torch.device
) -> tuple[Nudge, ...]:
    """Change each input and each parameter of a question in turn, and answer each change exactly.

    Elements take extreme values of their own tensor. Where `get_inputs` builds a tensor from its draws (a triangle,
    probabilities), random elements would break what the reference was promised: then the whole tensor is drawn anew.

    Raises:
        OracleMemoryError: The device has too little memory.
    """
    changed = (*_changed_inputs(task, chosen, question, device), *_changed_parameters(question, device))
    nudges = []
    for name, other in changed:
        try:
            after = exact_run(other, device)(other)
        except OracleError:
            continue  # the reference refuses these numbers: nothing can be said
        moves = tuple(_moves(one, flatten(new)) for one, new in zip(answer.outputs, after, strict=True))
        state = other.model.state_dict()
        inputs = tuple(one for one in other.inputs if isinstance(one, torch.Tensor))
        parameters = tuple(state[one.name] for one in question.case.parameters)
        own = inputs if other.model is question.model else parameters
        nudge = Nudge(
            name=name, inputs=inputs, parameters=parameters, moves=moves, own_bytes=sum(one.nbytes for one in own)
        )
        nudges.append(nudge)
    return tuple(nudges)


def check_moves(nudge: Nudge, outputs: tuple[torch.Tensor, ...], names: tuple[str, ...]) -> Finding | None:
    """Compare the outputs for changed inputs with how they must have moved."""
    for moves, output, name in zip(nudge.moves, outputs, names, strict=True):
        if not moves.places.numel():
            continue
        got = flatten(output)[moves.places].double()
        step = (moves.after - moves.before).abs()
        wrong = ~((got - moves.after).abs() <= _SHARE * step + moves.allowed)
        if not bool(wrong.any()):
            continue
        index = int(wrong.to(torch.uint8).argmax())
        stayed = (got - moves.before).abs() <= _SHARE * step + moves.allowed
        is_deaf = bool(stayed[wrong].any())
        message = (
            f"{nudge.name} was changed: expected element {int(moves.places[index])} of {name} (row-major) to go from "
            f"{float(moves.before[index]):.7g} to {float(moves.after[index]):.7g}, got {float(got[index]):.7g}; "
            f"{int(wrong.sum())} of {wrong.numel()} elements do not follow"
        )
        kind = FailureKind.NO_INFLUENCE if is_deaf else FailureKind.WRONG_VALUES
        return Finding(kind=kind, message=message, hint="compute from what the tensors hold, from all of it, each time")
    return None


def _moves(expected: DeviceExpectation, after: torch.Tensor) -> Moves:
    """Return the elements that clearly move, the clearest first."""
    before = expected.exact.double()
    new = after.double()
    if expected.bounds is None:
        allowed = torch.zeros_like(before)
        # at ties a right answer may be another integer
        is_single = all(torch.equal(other, expected.exact) for other in expected.alternatives)
        clear = (new - before).abs() if is_single else torch.zeros_like(before)
    else:
        allowed = expected.bounds.unit.double() * expected.bounds.local.largest
        clear = ((new - before).abs() / allowed).nan_to_num_(nan=0.0, posinf=0.0)
        clear = torch.where(clear > _CLEAR, clear, 0.0)
    if expected.judged is not None:
        clear = torch.where(expected.judged, clear, 0.0)
    best = clear.topk(min(_CLEAREST, clear.numel()))
    places = best.indices[best.values > 0]
    return Moves(places=places, before=before[places], after=new[places], allowed=allowed[places])


def _changed_inputs(
    task: KernelTask, chosen: Draw, question: Question, device: torch.device
) -> list[tuple[str, Question]]:
    """Return the question with each tensor input changed in turn."""
    redrawn = _redrawn(task, chosen, device)
    generator = torch.Generator(device).manual_seed(question.seed)
    changed = []
    for index, (value, name) in enumerate(zip(question.inputs, question.case.input_names, strict=True)):
        if not isinstance(value, torch.Tensor) or not value.numel():
            continue
        other = redrawn[index] if redrawn is not None else None
        if other is None or torch.equal(other, value):
            other = _with_extremes(value, generator)
        inputs = (*question.inputs[:index], other, *question.inputs[index + 1 :])
        changed.append((name, Question(case=question.case, model=question.model, inputs=inputs, seed=question.seed)))
    return changed


def _redrawn(task: KernelTask, chosen: Draw, device: torch.device) -> tuple[torch.Tensor | None, ...] | None:
    """Return other draws of the inputs if `get_inputs` builds any from its draws; None if each is a plain draw."""
    smallest = min(task.cases, key=lambda case: sum(one.elements for one in case.inputs if isinstance(one, TensorSpec)))
    try:
        if examine_draws(task.reference_source, smallest).is_plain:
            return None
    except TaskError:
        return None
    other = draw_on_device(task, structs.replace(chosen, seed=chosen.seed ^ 1), device)
    return tuple(one if isinstance(one, torch.Tensor) else None for one in other.inputs)


def _changed_parameters(question: Question, device: torch.device) -> list[tuple[str, Question]]:
    """Return the question with each parameter changed in turn."""
    generator = torch.Generator(device).manual_seed(question.seed + 1)
    changed = []
    for spec in question.case.parameters:
        model = copy.deepcopy(question.model)
        parameter = model.state_dict()[spec.name]
        if parameter.numel():
            parameter.copy_(_with_extremes(parameter, generator))
            other = Question(case=question.case, model=model, inputs=question.inputs, seed=question.seed)
            changed.append((spec.name, other))
    return changed


def _with_extremes(value: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
    """Return a copy in which a few elements, the last among them, have other values of the same tensor."""
    flat = value.detach().clone().reshape(-1)
    places = torch.randint(0, flat.numel(), (_POSITIONS,), generator=generator, device=flat.device)
    places[0] = flat.numel() - 1
    if flat.dtype is torch.bool:
        flat[places] = ~flat[places]
    elif not flat.is_floating_point():
        sources = torch.randint(0, flat.numel(), (_POSITIONS,), generator=generator, device=flat.device)
        flat[places] = flat[sources]
    else:
        low, high = flat.min(), flat.max()
        if bool(low == high):
            high = high + 0.5
        flat[places] = torch.where(flat[places] > (low + high) / 2, low, high)
    return flat.reshape(value.shape)
