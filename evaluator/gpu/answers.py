"""Cases at real size, drawn and answered on the device once and kept for every candidate of the same task and seed."""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

import torch

from tilewright.evaluator.compare import Comparison
from tilewright.evaluator.draws import Draw, Probe
from tilewright.evaluator.gpu.child_protocol import Busy
from tilewright.evaluator.gpu.comparison_gpu import compare_on_device
from tilewright.evaluator.gpu.expectation_gpu import DeviceAnswer
from tilewright.evaluator.gpu.influence import Nudge, derive_nudges
from tilewright.evaluator.gpu.oracle_gpu import OracleMemoryError, draw_on_device, expect_on_device
from tilewright.evaluator.gpu.sampling_gpu import RowSample
from tilewright.evaluator.oracle import OracleError, Question
from tilewright.evaluator.preparation import Unusable
from tilewright.tasks.spec import Case, CaseRole, KernelTask

_Key = tuple[str, int, str, Probe]

# Double precision is slow on parts for graphics: this bounds a hang of ours, not the work.
_ANSWER_S = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """Outcome of one case, and what to know of how it was compared."""

    comparison: Comparison
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class PreparedOnDevice:
    """A case that can be judged on the device.

    Attributes:
        question: The reference with its parameters and inputs, contiguous, on the device.
        answer: What must come back: as a whole, or an oracle for rows of it.
    """

    question: Question
    answer: DeviceAnswer | RowSample

    @property
    def case(self) -> Case:
        """The case."""
        return self.question.case

    @property
    def inputs(self) -> tuple[torch.Tensor, ...]:
        """The tensors among the inputs."""
        return tuple(one for one in self.question.inputs if isinstance(one, torch.Tensor))

    @property
    def parameters(self) -> tuple[torch.Tensor, ...]:
        """The parameters, in the case's order."""
        state = self.question.model.state_dict()
        return tuple(state[one.name] for one in self.case.parameters)

    @property
    def nbytes(self) -> int:
        """Device memory that it takes."""
        return self.answer.nbytes + sum(one.nbytes for one in (*self.inputs, *self.parameters))

    def compare(self, outputs: tuple[torch.Tensor, ...], poison: int = 0xFF) -> Compared:
        """Compare outputs on the device, their form checked before; `poison` is the byte that filled them."""
        if isinstance(self.answer, RowSample):
            comparison, note = self.answer.compare(outputs, poison)
            return Compared(comparison=comparison, note=note)
        comparison = compare_on_device(self.answer, outputs, poison)
        return Compared(comparison=comparison, note="; ".join(self.answer.notes))


class Answers:
    """Explicit cache of prepared cases on one device; the least recently used ones go first.

    Args:
        device: The device.
        most_bytes: Device memory that is kept at most; one case is kept whatever its size.
        free_memory: Called before something large is computed, and after: what others only keep can be given back.
        announce: Told of work of ours that may take long: the exact answer of a large case.
    """

    def __init__(
        self,
        device: torch.device,
        most_bytes: int,
        free_memory: Callable[[], None] = lambda: None,
        announce: Callable[[Busy], None] = lambda _: None,
    ) -> None:
        self._announce = announce
        self._device = device
        self._most_bytes = most_bytes
        self._free_memory = free_memory
        self._cases: OrderedDict[_Key, PreparedOnDevice | Unusable] = OrderedDict()
        self._nudges: dict[_Key, tuple[Nudge, ...]] = {}
        self._task: KernelTask | None = None
        self._task_id = ""

    def prepare(self, task: KernelTask, chosen: Draw) -> PreparedOnDevice | Unusable:
        """Return a case's data and answer.

        Raises:
            OracleError: The reference cannot answer a case that the task itself declares.
            OracleMemoryError: The device is too small for the answer of a bench case.
        """
        key = self._key(task, chosen)
        if key not in self._cases:
            self._announce(Busy(what=f"answering {chosen.case.name}", limit_s=_ANSWER_S))
            prepared = self._prepare(task, chosen)
            size = prepared.nbytes if isinstance(prepared, PreparedOnDevice) else 0
            while self._cases and self._kept_bytes() + size > self._most_bytes:
                oldest, _ = self._cases.popitem(last=False)
                self._nudges.pop(oldest, None)
            self._cases[key] = prepared
            self._free_memory()
        self._cases.move_to_end(key)
        return self._cases[key]

    def nudges(self, task: KernelTask, chosen: Draw) -> tuple[Nudge, ...]:
        """Return changed inputs and parameters of a case, one tensor each, and how the answer must move."""
        key = self._key(task, chosen)
        prepared = self.prepare(task, chosen)
        if isinstance(prepared, Unusable) or isinstance(prepared.answer, RowSample):
            return ()
        if key not in self._nudges:
            self._announce(Busy(what=f"answering {chosen.case.name} with changed inputs", limit_s=_ANSWER_S))
            try:
                self._nudges[key] = derive_nudges(task, chosen, prepared.question, prepared.answer, self._device)
            except (OracleMemoryError, torch.OutOfMemoryError):
                self._nudges[key] = ()
            self._free_memory()
        return self._nudges[key]

    def forget(self) -> None:
        """Give all memory back."""
        self._cases.clear()
        self._nudges.clear()
        self._free_memory()

    def _key(self, task: KernelTask, chosen: Draw) -> _Key:
        """Return what names a prepared case; the task is hashed once, not for each of its cases."""
        if self._task is not task:
            self._task, self._task_id = task, task.id
        return self._task_id, chosen.seed, chosen.case.name, chosen.probe

    def _kept_bytes(self) -> int:
        nudges = sum(nudge.own_bytes for each in self._nudges.values() for nudge in each)
        return nudges + sum(one.nbytes for one in self._cases.values() if isinstance(one, PreparedOnDevice))

    def _prepare(self, task: KernelTask, chosen: Draw) -> PreparedOnDevice | Unusable:
        name = chosen.case.name
        question = draw_on_device(task, chosen, self._device)
        try:
            answer = self._answer(question, task)
        except OracleError as error:
            if chosen.case.role is CaseRole.BENCH:
                raise
            # other cases at real size are ours: a reference that refuses them has not promised to take them
            return Unusable(case_name=name, reason=str(error))
        except OracleMemoryError as error:
            if chosen.case.role is CaseRole.BENCH:
                raise
            return Unusable(case_name=name, reason=f"too large for an exact answer on this device: {error}")
        if isinstance(answer, DeviceAnswer) and not answer.is_defined:
            return Unusable(case_name=name, reason="trusted implementations overflow here: nothing can be compared")
        return PreparedOnDevice(question=question, answer=answer)

    def _answer(self, question: Question, task: KernelTask) -> DeviceAnswer | RowSample:
        for _ in range(2):
            try:
                return expect_on_device(question, task.tolerance, self._device)
            except OracleMemoryError:
                self._free_memory()  # once more with all that others only keep
        return RowSample(question, task.tolerance, self._device)
