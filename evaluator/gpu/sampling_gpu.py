"""Judging an answer too large for an exact one: rows drawn once the output exists exactly, all of it coarsely."""

import hashlib

import torch
from msgspec import structs

from tilewright.evaluator import oracle
from tilewright.evaluator.compare import Comparison, Finding
from tilewright.evaluator.gpu.comparison_gpu import compare_on_device
from tilewright.evaluator.gpu.expectation_gpu import flatten, kinds_of
from tilewright.evaluator.gpu.oracle_gpu import OracleMemoryError, exact_run, expect_on_device, precise
from tilewright.evaluator.oracle import OracleError, Question
from tilewright.sandbox.failure import FailureKind
from tilewright.tasks.spec import TensorSpec, Tolerance

_SAMPLED_ELEMENTS = 1 << 20
_TRIED_ROWS = 6
# Rows that are answered apart agree to this share of the answer where rows do not depend on each other.
_SAME = 1e-9
# An element outside of the sample may be off by this many times the largest error allowed within it.
_COARSE = 8.0


class RowSample:
    """An oracle for references whose rows are independent of each other.

    Args:
        question: The case with its data.
        tolerance: How close is right.
        device: Where the data is.

    Raises:
        OracleMemoryError: Rows are not independent, or not even eager fits.
        OracleError: The reference raised.
    """

    def __init__(self, question: Question, tolerance: Tolerance, device: torch.device) -> None:
        self._question, self._tolerance, self._device = question, tolerance, device
        self._rows = _leading(question)
        if not self._rows or not self._is_independent():
            raise OracleMemoryError(
                f"expected memory for the exact answer of {question.case.name}, or rows that are independent: use a "
                "device with more memory or smaller bench cases"
            )
        try:
            with precise(device):
                self._eager = oracle.answer_trusted(question)
        except torch.OutOfMemoryError as error:
            raise OracleMemoryError(str(error)) from error

    @property
    def nbytes(self) -> int:
        """Device memory that it keeps."""
        return sum(one.nbytes for one in self._eager)

    def compare(self, outputs: tuple[torch.Tensor, ...], poison: int) -> tuple[Comparison, str]:
        """Compare outputs; the note says on how many rows: the outputs' bits decide which, so none can foresee them."""
        width = max(1, max(one.numel() for one in outputs) // self._rows)
        count = max(1, min(self._rows, _SAMPLED_ELEMENTS // width))
        generator = torch.Generator().manual_seed(_digest(outputs) ^ self._question.seed)
        rows = torch.randperm(self._rows, generator=generator)[:count].sort().values.to(self._device)
        answer = expect_on_device(sub_question(self._question, rows, self._rows), self._tolerance, self._device)
        compared = compare_on_device(answer, tuple(one.index_select(0, rows) for one in outputs), poison)
        note = f"compared exactly on {count} of {self._rows} rows and coarsely on all"
        if compared.finding is not None:
            return compared, note
        bounds = [one.bounds.absolute.largest if one.bounds is not None else 0.0 for one in answer.outputs]
        for output, eager, bound, name in zip(outputs, self._eager, bounds, answer.names, strict=True):
            finding = _compare_coarsely(flatten(output), flatten(eager), bound, name)
            if finding is not None:
                return Comparison(error=compared.error, finding=finding), note
        return compared, note

    def _is_independent(self) -> bool:
        """Whether some rows alone get the answers that they get among others."""
        generator = torch.Generator().manual_seed(self._question.seed)
        rows = torch.randperm(self._rows, generator=generator)[:_TRIED_ROWS].to(self._device)
        half = rows[: max(1, len(rows) // 2)]
        together, apart = (sub_question(self._question, one, self._rows) for one in (rows, half))
        try:
            run = exact_run(together, self._device)
            pairs = tuple(zip(run(together), run(apart), strict=True))
        except OracleError:
            return False
        return all(
            first.shape[0] == len(rows)
            and second.shape[0] == len(half)
            and torch.allclose(first[: len(half)].double(), second.double(), rtol=_SAME, atol=_SAME, equal_nan=True)
            for first, second in pairs
        )


def sub_question(question: Question, rows: torch.Tensor, leading: int) -> Question:
    """Return the question about some rows: of every tensor input whose leading size is `leading`, these rows only."""
    inputs = tuple(
        one.index_select(0, rows) if isinstance(one, torch.Tensor) and one.dim() and one.shape[0] == leading else one
        for one in question.inputs
    )
    outputs = tuple(structs.replace(spec, shape=(len(rows), *spec.shape[1:])) for spec in question.case.outputs)
    specs = tuple(
        structs.replace(spec, shape=tuple(one.shape), strides=tuple(one.stride()), offset=0)
        if isinstance(spec, TensorSpec) and isinstance(one, torch.Tensor)
        else spec
        for spec, one in zip(question.case.inputs, inputs, strict=True)
    )
    case = structs.replace(question.case, inputs=specs, outputs=outputs)
    return Question(case=case, model=question.model, inputs=inputs, seed=question.seed)


def _leading(question: Question) -> int:
    """Return the leading size that all outputs and the first input share, or 0."""
    tensors = [one for one in question.inputs if isinstance(one, torch.Tensor) and one.dim()]
    sizes = {spec.shape[0] if spec.shape else 0 for spec in question.case.outputs}
    first = tensors[0].shape[0] if tensors else 0
    return first if sizes == {first} else 0


def _digest(outputs: tuple[torch.Tensor, ...]) -> int:
    """Return a number that depends on all of the outputs' bits."""
    sums = [flatten(one).view(torch.uint8).sum(dtype=torch.int64) for one in outputs]
    ends = [
        flatten(one)[:: max(1, one.numel() // 4096)].cpu().contiguous().view(torch.uint8).numpy() for one in outputs
    ]
    digest = hashlib.sha256(repr([int(one) for one in sums]).encode())
    for part in ends:
        digest.update(part.tobytes())
    return int.from_bytes(digest.digest()[:4], "little")


def _compare_coarsely(got: torch.Tensor, eager: torch.Tensor, bound: float, name: str) -> Finding | None:
    """Find elements that are off by far more than the sampled ones may be, such as rows that were left out."""
    if not got.is_floating_point():
        wrong = got != eager
    else:
        scale = eager.abs().nan_to_num(nan=0.0, posinf=0.0)
        allowed = _COARSE * (bound + torch.finfo(eager.dtype).eps * scale)
        wrong = ((got - eager).abs() > allowed) | (kinds_of(got) != kinds_of(eager))
    count = int(torch.count_nonzero(wrong))
    if not count:
        return None
    index = int(wrong.to(torch.uint8).argmax())
    message = (
        f"{name}, element {index} in row-major order, is {float(got[index]):.7g}, PyTorch gives "
        f"{float(eager[index]):.7g}; {count} of {wrong.numel()} elements are off"
    )
    return Finding(kind=FailureKind.WRONG_VALUES, message=message)
