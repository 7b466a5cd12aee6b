"""Which small cases a task gets where its file declares none."""

from collections.abc import Iterator, Sequence

from msgspec import structs

from tilewright.tasks.declaration import CaseRequest
from tilewright.tasks.probing import Prober, Sizes, to_sizes
from tilewright.tasks.shrinking import Small, Unit
from tilewright.tasks.spec import CaseRole, Domain, Layout, Values

# Alternatives of one case, the best first: the first that works and is small is taken.
Alternatives = tuple[CaseRequest, ...]
_MOST_UNITS = 6
_LONG = (1031, 521, 257, 131, 67, 37)


def derive_requests(prober: Prober, small: Small, domain: Domain, role: CaseRole) -> tuple[CaseRequest, ...]:
    """Return the small cases of a role, or its smallest one if none is small enough for the interpreter."""
    propose = {
        CaseRole.SMOKE: _smoke,
        CaseRole.SHAPE: _shape,
        CaseRole.STABILITY: _stability,
        CaseRole.EDGE: _edge,
    }[role]
    chosen = (_first_small(prober, alternatives) for alternatives in propose(small, domain))
    requests = tuple(dict.fromkeys(request for request in chosen if request is not None))
    return requests or (CaseRequest(role=role, sizes=to_sizes(small.floor), dtype=domain.dtypes[0]),)


def _first_small(prober: Prober, alternatives: Alternatives) -> CaseRequest | None:
    for request in alternatives:
        trial = prober.attempt(request)
        if trial is not None and trial.is_small:
            return request
    return None


def _smoke(small: Small, domain: Domain) -> Iterator[Alternatives]:
    for dtype in domain.dtypes:
        yield (CaseRequest(role=CaseRole.SMOKE, sizes=to_sizes(small.smoke), dtype=dtype),)


def _shape(small: Small, domain: Domain) -> Iterator[Alternatives]:
    for dtype in domain.dtypes:
        for several in _shape_sizes(small):
            yield tuple(CaseRequest(role=CaseRole.SHAPE, sizes=to_sizes(sizes), dtype=dtype) for sizes in several)


def _shape_sizes(small: Small) -> Iterator[tuple[Sizes, ...]]:
    base = small.shape
    yield (base,)
    yield _primes(small, above=True), _primes(small, above=False)
    yield (_shifted(small, 1),)
    yield (_shifted(small, -1),)
    for unit in small.units[:_MOST_UNITS]:
        value = base[unit[0]]
        step = next((one.multiple for one in small.ranges if (one.name,) == unit), value)
        longer = (next_prime(2 * value), next_prime(value), value + 1, value + step)
        yield tuple(_with(small, base, unit, one) for one in dict.fromkeys(longer))
    for unit in _longest(small.inner, small.own, 2):
        yield tuple(_with(small, small.floor, unit, length) for length in _LONG)
    for unit in _longest([unit for unit in small.units if unit not in small.inner], small.own, 1):
        yield tuple(_with(small, small.floor, unit, length) for length in _LONG[-2:])


def _longest(units: Sequence[Unit], own: Sizes, count: int) -> list[Unit]:
    return sorted(units, key=lambda unit: -own[unit[0]])[:count]


def _stability(small: Small, domain: Domain) -> Iterator[Alternatives]:
    plain = CaseRequest(role=CaseRole.STABILITY, sizes=to_sizes(small.shape), dtype=domain.dtypes[0])
    transforms = tuple(values for values in domain.values if values is not Values.DRAWN)
    for values in transforms or domain.values:
        yield (structs.replace(plain, values=values),)


def _edge(small: Small, domain: Domain) -> Iterator[Alternatives]:
    dtype = domain.dtypes[0]
    plain: list[tuple[Sizes, ...]] = [(_with(small, small.shape, unit, 1),) for unit in small.units[:_MOST_UNITS]]
    plain.append(({**small.floor, **{one.name: one.low for one in small.ranges}},))
    for several in plain:
        yield tuple(CaseRequest(role=CaseRole.EDGE, sizes=to_sizes(sizes), dtype=dtype) for sizes in several)
    for layout in domain.layouts:
        if layout is not Layout.CONTIGUOUS:
            several = (_primes(small, above=True), _primes(small, above=False), small.shape)
            yield tuple(
                CaseRequest(role=CaseRole.EDGE, sizes=to_sizes(sizes), dtype=dtype, layout=layout) for sizes in several
            )


def _with(small: Small, sizes: Sizes, unit: Unit, value: int) -> Sizes:
    """Give one unit another value, within what the constant may take."""
    limits = {one.name: one for one in small.ranges}
    clipped = {name: _clip(value, limits[name].low, limits[name].high) if name in limits else value for name in unit}
    return {**sizes, **clipped}


def _clip(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _shifted(small: Small, by: int) -> Sizes:
    """Move every constant that may take any value by one."""
    sizes = small.shape
    for unit in _free(small):
        sizes = _with(small, sizes, unit, small.shape[unit[0]] + by)
    return sizes


def _primes(small: Small, *, above: bool) -> Sizes:
    """Give every constant that may take any value a prime of its own, near the plain shape."""
    start = small.shape if above else small.floor
    sizes, taken = start, set[int]()
    for unit in _free(small):
        prime = next_prime(start[unit[0]])
        while prime in taken:
            prime = next_prime(prime)
        taken.add(prime)
        sizes = _with(small, sizes, unit, prime)
    return sizes


def _free(small: Small) -> tuple[Unit, ...]:
    """Return the units that may take any value, and those of several constants, which may."""
    stepped = {one.name for one in small.ranges if one.multiple > 1}
    return tuple(unit for unit in small.units if not stepped & set(unit))


def next_prime(number: int) -> int:
    """Return the smallest prime above a number."""
    candidate = number + 1
    while candidate < 2 or any(candidate % divisor == 0 for divisor in range(2, int(candidate**0.5) + 1)):
        candidate += 1
    return candidate
