"""Trying assignments of a task file's constants: which ones work, and what they cost."""

from collections.abc import Iterable

import msgspec
import torch

from tilewright.tasks.declaration import CaseRequest
from tilewright.tasks.errors import TaskError
from tilewright.tasks.observation import Observation, observe
from tilewright.tasks.reference import build, draw, run_reference
from tilewright.tasks.spec import Case, CaseRole, DType, Layout, Size, Values
from tilewright.tasks.task_module import Input, cast_model

# What Triton's interpreter runs in some tens of milliseconds.
MOST_ELEMENTS = 20_000
MOST_PARAMETER_ELEMENTS = 100_000
MOST_WORK = 2_000_000
# Calls of all tries together, about a millisecond each; a try counts as 25 at least, one that fails as 200 at most.
_MOST_CALLS = 8_000
_LEAST_CALLS = 25
_MOST_FAILED_CALLS = 200

Sizes = dict[str, int]


class Trial(msgspec.Struct, frozen=True, kw_only=True):
    """An assignment that works, and what it gives."""

    case: Case
    seen: Observation

    @property
    def is_small(self) -> bool:
        """Whether Triton's interpreter can run it in some tens of milliseconds."""
        is_narrow = self.seen.elements <= MOST_ELEMENTS and self.seen.parameter_elements <= MOST_PARAMETER_ELEMENTS
        return is_narrow and self.seen.work <= MOST_WORK


class Prober:
    """Tries assignments, each once, until a number of calls is spent that does not depend on the machine's speed.

    Args:
        source: The task file.
        constants: Every integer of it that may be replaced.
        own: What the file's own constants give.
    """

    def __init__(self, source: str, constants: tuple[Size, ...], own: Observation) -> None:
        self.source = source
        self.constants = constants
        self.own = own
        self._calls_left = _MOST_CALLS
        self._seen: dict[tuple[tuple[Size, ...], DType, Layout], Observation | None] = {}
        self._answers: dict[tuple[tuple[Size, ...], DType, Layout, Values], bool] = {}

    def attempt(self, request: CaseRequest) -> Trial | None:
        """Return the case if the file works with it and, where it is small, answers with defined numbers."""
        seen = self._try_once(request)
        if seen is None:
            return None
        trial = Trial(case=to_case(request, seen), seen=seen)
        if not all(output.elements for output in seen.outputs):
            return None
        if not trial.is_small:
            return trial if request.values is Values.DRAWN else None
        key = (request.sizes, request.dtype, request.layout, request.values)
        if key not in self._answers:
            self._answers[key] = is_defined(self.source, trial.case)
        return trial if self._answers[key] else None

    def attempt_sizes(self, sizes: Sizes) -> Trial | None:
        """Return the plain case of an assignment, in the file's own floating type, if it works."""
        return self.attempt(CaseRequest(role=CaseRole.SHAPE, sizes=to_sizes(sizes), dtype=self.own.dtype))

    def observe(self, request: CaseRequest) -> Observation:
        """Return what a case gives, whatever it costs.

        Raises:
            TaskError: The file does not work with it.
        """
        key = (request.sizes, request.dtype, request.layout)
        seen = self._seen.get(key)
        if seen is None:
            is_own = set(request.sizes) <= set(self.constants) and request.dtype is self.own.dtype
            if is_own and request.layout is Layout.CONTIGUOUS:
                seen = self.own
            else:
                seen = observe(self.source, request.sizes, request.dtype, request.layout)
            self._seen[key] = seen
        return seen

    def _try_once(self, request: CaseRequest) -> Observation | None:
        key = (request.sizes, request.dtype, request.layout)
        if key not in self._seen:
            if self._calls_left <= 0:
                return None
            try:
                seen = self.observe(request)
                self._calls_left -= max(seen.calls, _LEAST_CALLS) if seen is not self.own else 0
            except TaskError:
                self._calls_left -= min(max(self.own.calls, _LEAST_CALLS), _MOST_FAILED_CALLS)
                self._seen[key] = None
        return self._seen.get(key)


def to_sizes(sizes: Sizes) -> tuple[Size, ...]:
    """Return an assignment as values."""
    return tuple(Size(name=name, value=value) for name, value in sizes.items())


def to_case(request: CaseRequest, seen: Observation) -> Case:
    """Return the case that a request asks for."""
    return Case(
        name=request.name,
        role=request.role,
        sizes=request.sizes,
        dtype=request.dtype,
        layout=request.layout,
        values=request.values,
        init_args=seen.init_args,
        inputs=seen.inputs,
        parameters=seen.parameters,
        outputs=seen.outputs,
        gradients=seen.gradients,
    )


def is_defined(source: str, case: Case) -> bool:
    """Whether the reference, run for real, answers a case with numbers that a kernel can be held to.

    All outputs must be finite, in the case's dtype and in float64, and agree to a tenth. With infinities
    among the inputs, both must instead agree where the answer is NaN or infinite, and some of it must be a number.
    """
    try:
        inputs = draw(source, case, seed=0)
        if any(tensor.isnan().any() for tensor in _floating(inputs)):
            return False
        model = build(source, case, seed=0)
        outputs = run_reference(model, inputs, case.gradients)
        exact = _answer_exactly(model, inputs, case) or outputs
    except TaskError:
        return False
    if [tuple(output.shape) for output in outputs] != [spec.shape for spec in case.outputs]:
        return False
    pairs = list(zip(_floating(outputs), _floating(exact), strict=True))
    if case.values is Values.NEAR_MAX and not _is_finite_in_any_order(model, inputs, case):
        return False
    if case.values is Values.INFINITIES:
        return all(_have_same_holes(a, b) for a, b in pairs)
    return all(bool(a.isfinite().all() and b.isfinite().all()) and _are_close(a, b) for a, b in pairs)


def _answer_exactly(model: torch.nn.Module, inputs: tuple[Input, ...], case: Case) -> tuple[torch.Tensor, ...] | None:
    """Return the answer in float64, or None if the reference insists on another type."""
    try:
        return run_reference(model.double(), tuple(_to_double(value) for value in inputs), case.gradients)
    except TaskError:
        return None


def _is_finite_in_any_order(model: torch.nn.Module, inputs: tuple[Input, ...], case: Case) -> bool:
    """Whether sums of magnitudes stay finite: if not, a kernel that adds in another order may rightly overflow."""
    cast_model(model, case.dtype)
    with torch.no_grad():
        for parameter in _floating(model.parameters()):
            parameter.abs_()
    magnitudes = tuple(_to_magnitude(value) for value in inputs)
    try:
        outputs = run_reference(model, magnitudes, case.gradients)
        return all(bool(output.isfinite().all()) for output in _floating(outputs))
    except TaskError:
        return False


def is_repeatable(source: str, case: Case) -> bool:
    """Whether two models with the same `state_dict` and other random numbers give the same answers."""
    inputs = draw(source, case, seed=0)
    first, second = build(source, case, seed=1), build(source, case, seed=2)
    second.load_state_dict(first.state_dict())
    with torch.random.fork_rng(devices=()):
        torch.manual_seed(3)
        one = run_reference(first, inputs, case.gradients)
        other = run_reference(second, inputs, case.gradients)
    pairs = zip(one, other, strict=True)
    return all(torch.allclose(a.double(), b.double(), rtol=1e-2, atol=1e-3, equal_nan=True) for a, b in pairs)


def _have_same_holes(one: torch.Tensor, other: torch.Tensor) -> bool:
    same = torch.equal(one.isnan(), other.isnan()) and torch.equal(one.isinf(), other.isinf())
    return same and not bool(one.isnan().all())


def _are_close(answer: torch.Tensor, exact: torch.Tensor) -> bool:
    """Whether the error is below a tenth of the answer: beyond, no kernel can be told from a wrong one."""
    peak = exact.abs().max() if exact.numel() else exact.new_zeros(())
    smallest = torch.finfo(answer.dtype).smallest_normal * torch.finfo(answer.dtype).eps
    if peak <= smallest:
        return bool(answer.abs().max() <= 2 * smallest) if answer.numel() else True
    return bool(((answer.double() - exact) / peak).norm() <= 0.1 * (exact / peak).norm())


def _floating(values: Iterable[Input]) -> tuple[torch.Tensor, ...]:
    return tuple(value for value in values if isinstance(value, torch.Tensor) and value.is_floating_point())


def _to_magnitude(value: Input) -> Input:
    return value.abs() if isinstance(value, torch.Tensor) and value.is_floating_point() else value


def _to_double(value: Input) -> Input:
    return value.double() if isinstance(value, torch.Tensor) and value.is_floating_point() else value
