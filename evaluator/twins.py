"""Whether a task can tell right from wrong: answers that must fail are held against it, and answers that must pass.

Twins are computed by torch on the trusted side and go through the same comparison as candidates.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from msgspec import structs

from tilewright.evaluator.arithmetic import Reordered
from tilewright.evaluator.compare import compare_numbers
from tilewright.evaluator.draws import Draw
from tilewright.evaluator.inputs import draw
from tilewright.evaluator.oracle import (
    Answers,
    OracleError,
    Question,
    answer_exactly,
    answer_rounded,
    answer_trusted,
    numbers_of,
)
from tilewright.evaluator.preparation import Preparations, Prepared
from tilewright.evaluator.report import Admission, CaseResult, Verdict
from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import DType, KernelTask
from tilewright.tasks.task_module import Input
from tilewright.tasks.values import to_torch

# Significant bits kept by the next lower precision: float32 -> TF32, float16 -> bfloat16, bfloat16 -> fp8 (e4m3).
_LOWER_BITS = {DType.FLOAT64: 23, DType.FLOAT32: 10, DType.FLOAT16: 7, DType.BFLOAT16: 3}
_CUT = 100
# A twin that moves no element by this many units of error is right, not undetected.
_MEASURABLE_UNITS = 8.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Situation:
    """A prepared case and, for twins, the same case with other numbers."""

    prepared: Prepared
    other: Question


Twin = Callable[[_Situation], Answers | None]


def admit(task: KernelTask, seed: int, preparations: Preparations | None = None) -> Admission:
    """Try every twin on every case of the five stages.

    A trivial answer (zeros, a constant, an input, the answer for other inputs) must fail in each type that the
    task has; an imprecise one (lower precision, a cut reduction) must fail somewhere, unless it is hardly wrong
    anywhere; a right one (other orders of reduction) must pass everywhere.

    Raises:
        OracleError: The reference cannot answer a case that the task declares.
    """
    situations = tuple(_situations(task, seed, preparations or Preparations()))
    rows: list[CaseResult] = []
    reasons: list[str] = []
    for name, trivial in (_TRIVIAL | (_WITHOUT_BACKWARD if task.asks_gradients else {})).items():
        row, passed = _must_fail_in_each_type(name, trivial, situations)
        rows.append(row)
        reasons += [f"degenerate: {name} passes in {', '.join(passed)}"] if passed else []
    for name, imprecise in _IMPRECISE.items():
        row = _must_fail_somewhere(name, imprecise, situations)
        rows.append(row)
        reasons += [f"too tolerant: {name} passes"] if row.verdict is Verdict.PASSED else []
    for name, right in _RIGHT.items():
        row = _must_pass(name, right, situations)
        rows.append(row)
        reasons += [f"too strict: {name} fails ({row.note})"] if row.verdict is Verdict.FAILED else []
    if not situations:
        reasons.append("no case can be judged")
    return Admission(task_id=task.id, is_admitted=not reasons, twins=tuple(rows), reason="; ".join(reasons))


def _situations(task: KernelTask, seed: int, kept: Preparations) -> Iterator[_Situation]:
    """Yield each case once, with the numbers that the stages judge it on."""
    seen: set[str] = set()
    for planned in kept.stages(task, seed):
        for chosen in planned.draws:
            prepared = kept.prepare(task, chosen)
            if isinstance(prepared, Prepared) and chosen.case.name not in seen:
                seen.add(chosen.case.name)
                yield _Situation(prepared=prepared, other=_with_other_inputs(task, chosen, prepared))


def _with_other_inputs(task: KernelTask, chosen: Draw, prepared: Prepared) -> Question:
    """Return the question with the inputs of another seed and the same parameters."""
    other = draw(task, structs.replace(chosen, seed=chosen.seed ^ 1))
    own = prepared.question
    return Question(case=own.case, model=own.model, inputs=other.inputs, seed=own.seed)


def _passes(twin: Twin, situation: _Situation) -> bool | None:
    """Whether a twin's answer is accepted; None if it has none here."""
    try:
        outputs = twin(situation)
    except (TaskError, OracleError):
        # the reference refuses the twin's numbers, so this twin says nothing here
        return None
    if outputs is None:
        return None
    numbers = tuple(numbers_of(one) for one in outputs)
    return compare_numbers(situation.prepared.answer, numbers).finding is None


def _must_fail_in_each_type(
    name: str, twin: Twin, situations: tuple[_Situation, ...]
) -> tuple[CaseResult, tuple[DType, ...]]:
    """Judge a trivial twin; also return the types in which every case accepts it."""
    verdicts: dict[DType, list[bool | None]] = {}
    for situation in situations:
        dtype = situation.prepared.question.case.dtype
        verdicts.setdefault(dtype, []).append(_passes(twin, situation))
    every = [one for each in verdicts.values() for one in each]
    if all(one is None for one in every):
        return CaseResult(case=name, verdict=Verdict.SKIPPED, note="has no such answer"), ()
    # where the twin has no answer, such as an input of another size, a kernel that gives it would fail
    accepted = tuple(dtype for dtype, each in verdicts.items() if all(each))
    note = f"fails {sum(not one for one in every)} of {len(every)} cases"
    verdict = Verdict.PASSED if accepted else Verdict.FAILED
    return CaseResult(case=name, verdict=verdict, note=note), accepted


def _must_fail_somewhere(name: str, twin: Twin, situations: tuple[_Situation, ...]) -> CaseResult:
    """Judge an imprecise twin; skipped if it is nowhere measurably wrong."""
    passed = [(situation, _passes(twin, situation)) for situation in situations]
    failed = sum(one is False for _, one in passed)
    note = f"fails {failed} of {sum(one is not None for _, one in passed)} cases"
    if failed:
        return CaseResult(case=name, verdict=Verdict.FAILED, note=note)
    if any(one and _is_measurably_wrong(twin, situation) for situation, one in passed):
        return CaseResult(case=name, verdict=Verdict.PASSED, note=note)
    return CaseResult(case=name, verdict=Verdict.SKIPPED, note="makes no difference in this task")


def _is_measurably_wrong(twin: Twin, situation: _Situation) -> bool:
    """Whether any element of a twin's answer is off by many times the error that is normal there."""
    outputs = twin(situation)
    if outputs is None:
        return False
    for expected, got in zip(situation.prepared.answer.outputs, outputs, strict=True):
        if expected.bounds is None:
            continue
        judged = (expected.kinds == 0) & ~expected.is_free
        errors = np.abs(numbers_of(got) - expected.exact)[judged] / expected.bounds.unit[judged]
        if (errors > _MEASURABLE_UNITS).any():
            return True
    return False


def _must_pass(name: str, twin: Twin, situations: tuple[_Situation, ...]) -> CaseResult:
    """Judge a right twin."""
    passed = {one.prepared.case_name: _passes(twin, one) for one in situations}
    wrong = [case for case, one in passed.items() if one is False]
    ran = sum(one is not None for one in passed.values())
    if not ran:
        return CaseResult(case=name, verdict=Verdict.SKIPPED, note="not available in this task's types")
    note = f"passes {ran - len(wrong)} of {ran} cases" + (f", not {wrong[0]}" if wrong else "")
    return CaseResult(case=name, verdict=Verdict.FAILED if wrong else Verdict.PASSED, note=note)


def _zeros(situation: _Situation) -> Answers:
    """Return zeros of the right form."""
    specs = situation.prepared.question.case.outputs
    return tuple(torch.zeros(spec.shape, dtype=to_torch(spec.dtype)) for spec in specs)


def _without_gradients(situation: _Situation) -> Answers:
    """Return what forward gives, and zero gradients."""
    count = len(situation.prepared.question.case.forward_outputs)
    return (*answer_trusted(situation.prepared.question)[:count], *_zeros(situation)[count:])


def _constant(situation: _Situation) -> Answers:
    """Return the mean of the answer for other inputs everywhere: what a kernel can know without reading its own."""
    filled = []
    for other, spec in zip(answer_trusted(situation.other), situation.prepared.question.case.outputs, strict=True):
        numbers = numbers_of(other)
        finite = numbers[np.isfinite(numbers)]
        mean = float(finite.mean()) if finite.size else 0.0
        filled.append(torch.full(spec.shape, mean, dtype=torch.float64).to(to_torch(spec.dtype)))
    return tuple(filled)


def _input_itself(situation: _Situation) -> Answers | None:
    """Return inputs whose size is the output's; None unless every output has one."""
    tensors = [one for one in situation.prepared.question.inputs if isinstance(one, torch.Tensor)]
    chosen = []
    for expected in situation.prepared.answer.outputs:
        same = [one for one in tensors if one.numel() == expected.spec.elements]
        if not same:
            return None
        chosen.append(same[0].to(to_torch(expected.spec.dtype)))
    return tuple(chosen)


def _lower_precision(situation: _Situation) -> Answers | None:
    """Compute exactly from numbers that were rounded to fewer bits."""
    question = situation.prepared.question
    bits = _LOWER_BITS.get(question.case.dtype)
    if bits is None:
        return None
    model = copy.deepcopy(question.model).double()
    with torch.no_grad():
        for parameter in [*model.parameters(), *model.buffers()]:
            if parameter.is_floating_point():
                parameter.copy_(_rounded_to(parameter, bits))
    inputs = tuple(_rounded_to(one, bits) if isinstance(one, torch.Tensor) else one for one in question.inputs)
    return _exactly(Question(case=question.case, model=model, inputs=inputs, seed=question.seed))


def _rounded_to(value: torch.Tensor, bits: int) -> torch.Tensor:
    """Round a floating tensor to so many explicit mantissa bits, in float64."""
    if not value.is_floating_point():
        return value
    mantissa, exponent = torch.frexp(value.double())
    return torch.ldexp(torch.round(torch.ldexp(mantissa, torch.tensor(bits + 1))), exponent - bits - 1)


def _cut(situation: _Situation) -> Answers:
    """Leave out the last 1 % (at least one) along the last dimension of each floating input."""
    question = situation.prepared.question
    inputs = tuple(_without_tail(one) for one in question.inputs)
    return _exactly(Question(case=question.case, model=question.model, inputs=inputs, seed=question.seed))


def _without_tail(value: Input) -> Input:
    """Zero the tail of the last dimension."""
    if not isinstance(value, torch.Tensor) or not value.is_floating_point() or not value.dim():
        return value
    kept = value.clone()
    if kept.numel():
        kept[..., -max(1, kept.shape[-1] // _CUT) :] = 0
    return kept


def _exactly(question: Question) -> Answers:
    """Answer exactly and round to the outputs' types."""
    specs = question.case.outputs
    answers = answer_exactly(question)
    return tuple(one.to(to_torch(spec.dtype)) for one, spec in zip(answers, specs, strict=True))


_TRIVIAL: dict[str, Twin] = {
    "zeros": _zeros,
    "a constant": _constant,
    "an input passed through": _input_itself,
    "the answer for other inputs": lambda situation: answer_trusted(situation.other),
}
_WITHOUT_BACKWARD: dict[str, Twin] = {"zeros for the gradients": _without_gradients}
_IMPRECISE: dict[str, Twin] = {"next lower precision": _lower_precision, "a reduction cut by 1 %": _cut}
_RIGHT: dict[str, Twin] = {
    "eager": lambda situation: answer_trusted(situation.prepared.question),
    "reductions in other pieces": lambda situation: answer_trusted(
        situation.prepared.question, Reordered(flip=False, pieces=3)
    ),
    "float32, other pieces, then rounded": lambda situation: answer_rounded(
        situation.prepared.question, Reordered(flip=True, pieces=5)
    ),
}
