"""Finding small assignments of a task file's constants with which it still works."""

from collections.abc import Callable, Iterator

import msgspec

from tilewright.tasks.errors import TaskError
from tilewright.tasks.observation import Observation, observe_inputs
from tilewright.tasks.probing import Prober, Sizes, to_sizes
from tilewright.tasks.spec import Size, SizeRange, TensorSpec

# Constants up to this stay as they are (strides, kernel sizes, groups), unless they size an input.
_LARGEST_OPTION = 16
_LADDER = (2, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
_DIVISORS = (2, 4, 8, 16, 32, 64)
_MULTIPLES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64)
_GROWN_WORK = 400_000

Unit = tuple[str, ...]


class _Limits(msgspec.Struct, frozen=True, kw_only=True):
    """How far to grow: elements in all, the largest last dimension of an input, the largest of any other.

    A row, a channel or an image is often a program of its own, and the interpreter's time goes by programs.
    """

    elements: int
    inner: int
    outer: int


_SMOKE = _Limits(elements=800, inner=64, outer=8)
_SHAPE = _Limits(elements=5_000, inner=128, outer=8)


class Small(msgspec.Struct, frozen=True, kw_only=True):
    """Small assignments of the constants that vary.

    Attributes:
        own: The file's own values.
        floor: The smallest that works.
        smoke: A little larger: the first thing to check.
        shape: Larger still: where other small cases start from.
        units: Constants that were lowered, alone or (where they must stay equal) together.
        inner: Those of them that are the last dimension of an input.
        ranges: What each constant may take while the others stay.
    """

    own: Sizes
    floor: Sizes
    smoke: Sizes
    shape: Sizes
    units: tuple[Unit, ...]
    inner: tuple[Unit, ...]
    ranges: tuple[SizeRange, ...]


def shrink(prober: Prober, constants: tuple[Size, ...], declared: tuple[SizeRange, ...] | None) -> Small:
    """Search for small assignments: lower each constant in turn, then grow what is largest in the file.

    Args:
        prober: Tries assignments.
        constants: Every integer that may be replaced.
        declared: The ranges that the file declares; only these constants are lowered then.
    """
    own = {size.name: size.value for size in constants}
    allowed = _allowing(declared)
    names = sorted(_lowerable(prober.source, own, declared), key=lambda name: -own[name])
    floor, units = _lower(prober, own, names, allowed)
    varied = {name for name in own if floor[name] != own[name]}
    own, floor = ({name: sizes[name] for name in sizes if name in varied} for sizes in (own, floor))
    inner = tuple(unit for unit in units if _is_inner(prober.source, own, unit))
    growth = _Growth(prober=prober, own=own, units=units, inner=inner, is_allowed=allowed)
    smoke = growth.grow(floor, _SMOKE)
    shape = growth.grow(smoke, _SHAPE)
    found = (_find_range(prober, own, floor, shape, name) for name, *others in units if not others)
    ranges = declared if declared is not None else tuple(one for one in found if one is not None)
    return Small(own=own, floor=floor, smoke=smoke, shape=shape, units=units, inner=inner, ranges=ranges)


def _allowing(declared: tuple[SizeRange, ...] | None) -> Callable[[str, int], bool]:
    ranges = {one.name: one for one in declared or ()}

    def is_allowed(name: str, value: int) -> bool:
        limits = ranges.get(name)
        if limits is None:
            return declared is None
        return limits.low <= value <= limits.high and (value - limits.low) % limits.multiple == 0

    return is_allowed


def _lowerable(source: str, own: Sizes, declared: tuple[SizeRange, ...] | None) -> Iterator[str]:
    """Yield the constants worth lowering: declared ones, else large ones and those that size an input."""
    if declared is not None:
        yield from (one.name for one in declared)
        return
    shapes = observe_inputs(source, ())
    for name, value in own.items():
        if value > _LARGEST_OPTION:
            yield name
        elif value > 1:
            try:
                other = observe_inputs(source, to_sizes({name: value + 1}))
            except TaskError:
                continue
            if other != shapes:
                yield name


def _lower(
    prober: Prober, own: Sizes, names: list[str], allowed: Callable[[str, int], bool]
) -> tuple[Sizes, tuple[Unit, ...]]:
    """Lower one constant after the other, then equal ones together; twice, since one may block another."""
    floor = dict(own)
    lowered: list[Unit] = []
    singles: list[Unit] = [(name,) for name in names]
    equal = [tuple(name for name in names if own[name] == value) for value in dict.fromkeys(own[n] for n in names)]
    together = [unit for unit in equal if len(unit) > 1]
    for unit in (*singles, *together, *singles):
        is_taken = any(set(unit) & set(other) and unit != other for other in lowered)
        if is_taken:
            continue
        for value in _LADDER:
            if value >= floor[unit[0]]:
                break
            if not all(allowed(name, value) for name in unit):
                continue
            before = prober.attempt_sizes(floor)
            trial = prober.attempt_sizes({**floor, **dict.fromkeys(unit, value)})
            if trial is not None and (before is None or not _have_same_tensors(before.seen, trial.seen)):
                floor.update(dict.fromkeys(unit, value))
                lowered += [unit] if unit not in lowered else []
            if trial is not None:
                break
    stuck = [name for name in names if floor[name] == own[name]]
    floor = _scale_down(prober, floor, stuck, allowed)
    return floor, tuple(sorted(lowered, key=lambda unit: list(own).index(unit[0])))


def _scale_down(prober: Prober, sizes: Sizes, names: list[str], allowed: Callable[[str, int], bool]) -> Sizes:
    """Divide constants that depend on each other (one twice the other) by one number; they do not vary further."""
    found = sizes
    for divisor in _DIVISORS if len(names) > 1 else ():
        scaled = {name: sizes[name] // divisor for name in names if sizes[name] % divisor == 0}
        is_legal = all(allowed(name, value) for name, value in scaled.items())
        trial = prober.attempt_sizes({**sizes, **scaled}) if scaled and is_legal else None
        if trial is not None:
            found = {**sizes, **scaled}
            if _is_within(trial.seen, _SHAPE):
                break
    return found


def _have_same_tensors(one: Observation, other: Observation) -> bool:
    return (one.inputs, one.parameters, one.outputs) == (other.inputs, other.parameters, other.outputs)


def _is_inner(source: str, own: Sizes, unit: Unit) -> bool:
    """Whether a unit decides the last dimension of an input; only inputs of the highest rank count."""
    plain = observe_inputs(source, ())
    try:
        other = observe_inputs(source, to_sizes(dict.fromkeys(unit, own[unit[0]] + 1)))
    except TaskError:
        return False
    rank = max((len(one.shape) for one in plain if isinstance(one, TensorSpec)), default=0)
    pairs = ((a, b) for a, b in zip(plain, other, strict=False) if isinstance(a, TensorSpec) and len(a.shape) == rank)
    return any(isinstance(b, TensorSpec) and a.shape[-1:] != b.shape[-1:] for a, b in pairs)


class _Growth(msgspec.Struct, frozen=True, kw_only=True):
    """Grows assignments; see the attributes of `Small`."""

    prober: Prober
    own: Sizes
    units: tuple[Unit, ...]
    inner: tuple[Unit, ...]
    is_allowed: Callable[[str, int], bool]

    def grow(self, start: Sizes, limits: _Limits) -> Sizes:
        """Double the smallest constant, last dimensions first, while elements and work stay few."""
        sizes, active = dict(start), list(self.units)
        while active:
            unit = min(active, key=lambda one: (sizes[one[0]], one not in self.inner, -self.own[one[0]]))
            grown = self._double(sizes, unit, limits)
            trial = self.prober.attempt_sizes(grown) if grown is not None else None
            if grown is not None and trial is not None and _is_within(trial.seen, limits):
                sizes = grown
            else:
                active.remove(unit)
        return sizes

    def _double(self, sizes: Sizes, unit: Unit, limits: _Limits) -> Sizes | None:
        value = min(2 * sizes[unit[0]], self.own[unit[0]])
        most = limits.inner if unit in self.inner else limits.outer
        is_legal = all(self.is_allowed(name, value) for name in unit)
        return {**sizes, **dict.fromkeys(unit, value)} if is_legal and sizes[unit[0]] < value <= most else None


def _is_within(seen: Observation, limits: _Limits) -> bool:
    # Parameters that cannot shrink must not keep the inputs from growing.
    parameters = min(seen.parameter_elements, limits.elements // 2)
    return seen.elements + parameters <= limits.elements and seen.work <= _GROWN_WORK


def _find_range(prober: Prober, own: Sizes, floor: Sizes, base: Sizes, name: str) -> SizeRange | None:
    """Return what a constant may take while the others stay, or None if it cannot vary alone."""
    for multiple in _MULTIPLES:
        if prober.attempt_sizes({**base, name: base[name] + multiple}) is not None:
            break
    else:
        return None
    lowest = base[name] % multiple or multiple
    low = next(
        value
        for value in (lowest, floor[name], base[name])
        if value == base[name] or prober.attempt_sizes({**base, name: value}) is not None
    )
    return SizeRange(name=name, low=low, high=max(own[name], base[name] + multiple), multiple=multiple)
