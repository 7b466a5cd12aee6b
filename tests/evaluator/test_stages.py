"""What the stages do with a sandbox's answers."""

from collections.abc import Callable

import pytest
import torch
from msgspec import structs
from torch_candidates import TorchRunner, judge, judge_with, task_of

from tilewright.evaluator.report import Verdict
from tilewright.evaluator.stages import StagesOutcome
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import BufferOrigin
from tilewright.sandbox.protocol import Answer, Entered, Finished, Interpret, Interpreted, Refused

Tensor = torch.Tensor


def row_sum(_: dict[str, Tensor], x: Tensor) -> Tensor:
    return x.float().sum(-1).to(x.dtype)


def altered(change: Callable[[Interpreted], Answer]) -> Failure:
    """Return why an altered answer of a right kernel is refused."""
    outcome = judge(task_of("row_sum"), row_sum, alter=change)
    assert outcome.failure is not None
    return outcome.failure


def verdicts(outcome: StagesOutcome) -> dict[Stage, Verdict]:
    return {stage.stage: stage.verdict for stage in outcome.stages}


def test_the_smoke_stage_has_a_child_of_its_own_and_determinism_a_second_one_on_other_garbage() -> None:
    runner = TorchRunner(row_sum)
    assert judge_with(task_of("row_sum"), runner).failure is None
    poisons = [request.poison for request in runner.requests]
    assert poisons == [0xFF, 0xFF, 0x7F]
    repeated = [one.case.name for one in runner.requests[2].cases]
    names = [one.case.name for one in runner.requests[1].cases]
    assert repeated
    assert all(names.count(name) >= 2 for name in repeated)


def test_judging_stops_at_the_first_stage_that_fails() -> None:
    outcome = judge(task_of("row_sum"), lambda _, x: row_sum(_, x) * 2)
    assert verdicts(outcome) == {Stage.SMOKE: Verdict.FAILED}


def test_a_stage_in_which_nothing_was_covered_is_skipped_and_not_passed() -> None:
    outcome = judge(
        task_of("row_sum"), row_sum, alter=lambda got: structs.replace(got, not_covered=("inline assembly",))
    )
    assert outcome.failure is None
    assert set(verdicts(outcome).values()) == {Verdict.SKIPPED}
    assert "inline assembly" in outcome.stages[0].cases[0].note


def test_a_changed_input_fails() -> None:
    failure = altered(lambda got: structs.replace(got, changed=("input 0",)))
    assert failure.kind is FailureKind.INPUT_CHANGED
    assert "input 0" in failure.message


def test_an_unwritten_output_fails() -> None:
    assert altered(lambda got: structs.replace(got, written=(False,))).kind is FailureKind.UNWRITTEN


def test_poison_left_in_an_output_is_called_unwritten() -> None:
    def leave_tail(got: Interpreted) -> Answer:
        return structs.replace(got, outputs=(got.outputs[0][:-4] + b"\xff" * 4,))

    assert altered(leave_tail).kind is FailureKind.UNWRITTEN


def test_an_answer_of_the_wrong_length_is_a_protocol_failure() -> None:
    assert altered(lambda got: structs.replace(got, outputs=(got.outputs[0][:-1],))).kind is FailureKind.PROTOCOL


def test_an_answer_for_another_case_is_a_protocol_failure() -> None:
    def misname(got: Interpreted) -> Answer:
        return structs.replace(got, plan=structs.replace(got.plan, case="another"))

    assert altered(misname).kind is FailureKind.PROTOCOL


def test_an_output_in_an_inputs_memory_fails() -> None:
    def alias(got: Interpreted) -> Answer:
        buffers = tuple(structs.replace(one, origin=BufferOrigin.INPUT, name="input 0") for one in got.plan.buffers)
        return structs.replace(got, plan=structs.replace(got.plan, buffers=buffers))

    failure = altered(alias)
    assert failure.kind is FailureKind.OUTPUT_FORM
    assert "input 0" in failure.message


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"shape": (3,), "strides": (1,)}, "shape"),
        ({"dtype": "int8"}, "int8"),
        ({"strides": (0,)}, "strides"),
        ({"strides": (2,)}, "strides"),
    ],
)
def test_an_output_of_another_form_fails(change: dict[str, object], word: str) -> None:
    def reshape(got: Interpreted) -> Answer:
        view = got.plan.outputs[0]
        other = structs.replace(view, tensor=structs.replace(view.tensor, **change))
        return structs.replace(got, plan=structs.replace(got.plan, outputs=(other,)))

    failure = altered(reshape)
    assert failure.kind is FailureKind.OUTPUT_FORM
    assert word in failure.message


def test_a_missing_output_fails() -> None:
    failure = altered(lambda got: structs.replace(got, plan=structs.replace(got.plan, outputs=()), outputs=()))
    assert failure.kind is FailureKind.OUTPUT_FORM


class Dying:
    """A sandbox that dies in the second case."""

    def interpret(self, request: Interpret) -> tuple[Answer, ...]:
        answers = TorchRunner(row_sum).interpret(structs.replace(request, cases=request.cases[:1]))[:-1]
        death = Failure(kind=FailureKind.CRASH, stage=Stage.RECORD, message="killed by signal 11")
        return (*answers, Entered(stage=Stage.SMOKE, case=request.cases[1].case.name), Refused(failure=death))


def test_a_death_counts_for_the_case_that_was_entered_last() -> None:
    outcome = judge_with(task_of("row_sum"), Dying())
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.CRASH
    assert outcome.failure.stage is Stage.SMOKE
    assert [case.verdict for case in outcome.stages[0].cases] == [Verdict.PASSED, Verdict.FAILED]
    assert outcome.failure.case == outcome.stages[0].cases[1].case


class Silent:
    """A sandbox that finishes without an answer."""

    def interpret(self, _: Interpret) -> tuple[Answer, ...]:
        return (Finished(),)


def test_silence_is_a_protocol_failure() -> None:
    outcome = judge_with(task_of("row_sum"), Silent())
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.PROTOCOL


def test_answers_that_depend_on_earlier_calls_are_not_deterministic() -> None:
    calls = [0]

    def drift(_: dict[str, Tensor], x: Tensor) -> Tensor:
        calls[0] += 1
        total = row_sum(_, x)
        # one ulp up on every other call: right each time, but not the same
        return torch.nextafter(total, total + 1) if x.dtype is torch.float32 and calls[0] % 2 else total

    outcome = judge(task_of("row_sum"), drift)
    assert outcome.failure is not None or verdicts(outcome)[Stage.DETERMINISM] is Verdict.PASSED
    task = structs.replace(
        task_of("row_sum"), cases=tuple(one for one in task_of("row_sum").cases if one.dtype == "float32")
    )
    outcome = judge(task, drift)
    assert outcome.failure is not None
    assert outcome.failure.kind is FailureKind.NOT_DETERMINISTIC


def test_a_task_that_declares_it_need_not_agree_bit_for_bit() -> None:
    calls = [0]

    def drift(_: dict[str, Tensor], x: Tensor) -> Tensor:
        calls[0] += 1
        total = row_sum(_, x)
        return torch.nextafter(total, total + 1) if x.dtype is torch.float32 and calls[0] % 2 else total

    whole = task_of("row_sum")
    task = structs.replace(
        whole,
        cases=tuple(one for one in whole.cases if one.dtype == "float32"),
        tolerance=structs.replace(whole.tolerance, is_deterministic=False),
    )
    assert judge(task, drift).failure is None


def test_a_message_names_the_worst_element_and_what_was_expected() -> None:
    def off(_: dict[str, Tensor], x: Tensor) -> Tensor:
        total = row_sum(_, x)
        total[1] = 1000.0
        return total

    outcome = judge(task_of("row_sum"), off)
    assert outcome.failure is not None
    assert "output[1] is 1000" in outcome.failure.message
    assert "expected" in outcome.failure.message
    error = outcome.stages[0].cases[-1].error
    assert error is not None
    assert error.max_error > error.max_bound


def test_a_wrong_tail_is_blamed_on_the_mask() -> None:
    def softmax(_: dict[str, Tensor], x: Tensor) -> Tensor:
        y = torch.softmax(x.float(), -1)
        y[:, 60:] = 0.5
        return y.to(x.dtype)

    outcome = judge(task_of("softmax"), softmax)
    assert outcome.failure is not None
    assert "mask of the last block" in outcome.failure.hint
