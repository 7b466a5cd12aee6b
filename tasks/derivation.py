"""The cases and the domain of a task: what its file declares, and small cases derived for the rest."""

from collections import Counter
from collections.abc import Iterator

from msgspec import structs

from tilewright.tasks.constants import find_constants
from tilewright.tasks.declaration import CaseRequest, Declaration, read_declaration
from tilewright.tasks.errors import TaskError
from tilewright.tasks.families import recognise
from tilewright.tasks.observation import observe, read_members
from tilewright.tasks.probing import Prober, Trial, is_defined, is_repeatable, to_case, to_sizes
from tilewright.tasks.reference import examine_draws
from tilewright.tasks.shrinking import Small, shrink
from tilewright.tasks.small_cases import derive_requests
from tilewright.tasks.spec import Case, CaseRole, Domain, KernelTask, Layout, Size, TensorSpec, Tolerance, Values

# Beyond this the check of repeatability would take seconds.
_MOST_CHECKED_ELEMENTS = 1 << 20


def describe(source: str, title: str) -> KernelTask:
    """Return the task of a file: its declared cases and domain, with what is missing derived.

    Nothing of the file's own size is allocated. See `docs/tasks.md` for how cases are derived.

    Raises:
        TaskError: The file is no usable task.
    """
    declaration = read_declaration(read_members(source))
    constants = find_constants(source)
    own = observe(source, ())
    prober = Prober(source, constants, own)
    small = _find_small(prober, constants, declaration)
    domain = _find_domain(prober, small, declaration)
    cases = tuple(_make_cases(prober, small, domain, declaration))
    _check_repeatable(source, cases)
    return KernelTask(
        title=title,
        family=declaration.family or recognise(own),
        reference_source=source,
        cases=cases,
        domain=domain,
        tolerance=Tolerance(),
    )


def _find_small(prober: Prober, constants: tuple[Size, ...], declaration: Declaration) -> Small:
    """Search for small sizes, unless the file declares everything that they are needed for."""
    ranges = declaration.domain.ranges
    if not declaration.is_complete:
        return shrink(prober, constants, ranges)
    own = {size.name: size.value for size in constants if any(one.name == size.name for one in ranges or ())}
    return Small(own=own, floor=own, smoke=own, shape=own, units=(), inner=(), ranges=ranges or ())


def _find_domain(prober: Prober, small: Small, declaration: Declaration) -> Domain:
    declared = declaration.domain
    dtypes = declared.dtypes or (prober.own.dtype,)
    plain = CaseRequest(role=CaseRole.SHAPE, sizes=to_sizes(small.shape), dtype=dtypes[0])
    return Domain(
        sizes=small.ranges,
        dtypes=dtypes,
        layouts=declared.layouts or tuple(_find_layouts(prober, plain)),
        values=declared.values or tuple(_find_values(prober, plain)),
    )


def _find_layouts(prober: Prober, plain: CaseRequest) -> Iterator[Layout]:
    """Yield the layouts that change a floating input and that the reference accepts."""
    yield Layout.CONTIGUOUS
    trial = prober.attempt(plain)
    inputs = (spec for spec in prober.own.inputs if isinstance(spec, TensorSpec))
    has_matrix = any(spec.dtype.is_floating and len(spec.shape) > 1 for spec in inputs)
    if not has_matrix or trial is None or not trial.is_small:
        return
    is_plain = examine_draws(prober.source, trial.case).is_plain
    for layout in Layout:
        # Equal rows would break a triangle or a symmetry that a kernel may rely on.
        is_safe = is_plain or layout is not Layout.EXPANDED
        if layout is not Layout.CONTIGUOUS and is_safe and prober.attempt(structs.replace(plain, layout=layout)):
            yield layout


def _find_values(prober: Prober, plain: CaseRequest) -> Iterator[Values]:
    """Yield the transforms that change an input and that the reference answers with defined numbers."""
    yield Values.DRAWN
    trial = prober.attempt(plain)
    if trial is None or not trial.is_small:
        return
    drawing = examine_draws(prober.source, trial.case)
    for values in Values:
        # A kernel may leave out the zeros of a triangle, where the reference computes 0 * inf = NaN.
        is_safe = drawing.is_random and (drawing.is_plain or values is not Values.INFINITIES)
        if values is not Values.DRAWN and is_safe and prober.attempt(structs.replace(plain, values=values)):
            yield values


def _make_cases(prober: Prober, small: Small, domain: Domain, declaration: Declaration) -> Iterator[Case]:
    """Yield the cases of every role, each with a name of its own."""
    times: Counter[str] = Counter()
    for role in CaseRole:
        requests = tuple(dict.fromkeys(declaration.requests(role, small.own, domain.dtypes)))
        if requests:
            cases = tuple(_make_declared(prober, request) for request in requests)
        elif role is CaseRole.BENCH:
            cases = (_make(prober, CaseRequest(role=role, sizes=to_sizes(small.own), dtype=domain.dtypes[0])).case,)
        else:
            cases = tuple(_make(prober, request).case for request in derive_requests(prober, small, domain, role))
        for case in cases:
            times[case.name] += 1
            count = times[case.name]
            yield case if count == 1 else structs.replace(case, name=f"{case.name}-{count}")


def _make(prober: Prober, request: CaseRequest) -> Trial:
    seen = prober.observe(request)
    return Trial(case=to_case(request, seen), seen=seen)


def _make_declared(prober: Prober, request: CaseRequest) -> Case:
    """Return a case that the file declares, after running it if it is small.

    Raises:
        TaskError: The file does not work with it, or its answer is not finite.
    """
    try:
        trial = _make(prober, request)
    except TaskError as error:
        raise TaskError(f"case {request.name}: {error}") from error
    if trial.is_small and request.role is not CaseRole.BENCH and not is_defined(prober.source, trial.case):
        raise TaskError(
            f"case {request.name}: expected an answer of finite numbers that agree in {request.dtype} and float64; "
            "got NaN, infinity or another answer: leave the case out of CASES"
        )
    return trial.case


def _check_repeatable(source: str, cases: tuple[Case, ...]) -> None:
    smallest = min(cases, key=_elements)
    if _elements(smallest) <= _MOST_CHECKED_ELEMENTS and not is_repeatable(source, smallest):
        raise TaskError(
            "expected the same answer from two models with the same state_dict; got different ones: "
            "keep random numbers, and tensors that state_dict does not hold, out of Model"
        )


def _elements(case: Case) -> int:
    parameters = sum(one.tensor.elements for one in case.parameters)
    return parameters + sum(one.elements for one in case.inputs if isinstance(one, TensorSpec))
