"""What a task file declares beside KernelBench's format: `FAMILY`, `CASES`, `DOMAIN`, `GRADIENTS`, all optional."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import msgspec

from tilewright.tasks.errors import TaskError
from tilewright.tasks.spec import CaseRole, DType, Layout, Size, SizeRange, Values

_Entry = dict[str, int | str | tuple[str, ...]]
_OPTIONS = ("dtype", "dtypes", "layout", "values")
_SWEPT = (CaseRole.SMOKE, CaseRole.SHAPE)


class CaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What decides a case; the rest follows from the task file."""

    role: CaseRole
    sizes: tuple[Size, ...]
    dtype: DType
    layout: Layout = Layout.CONTIGUOUS
    values: Values = Values.DRAWN

    @property
    def name(self) -> str:
        """Role, sizes and dtype, then what is unusual, such as `edge-7x65-float16-sliced`."""
        parts = [self.role.value, "x".join(str(size.value) for size in self.sizes), self.dtype.value]
        if self.layout is not Layout.CONTIGUOUS:
            parts.append(self.layout.value)
        if self.values is not Values.DRAWN:
            parts.append(self.values.value)
        return "-".join(part for part in parts if part)


class DeclaredDomain(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The `DOMAIN` of a task file; what is None is derived.

    Attributes:
        sizes: `(low, high)` or `(low, high, multiple)` of each constant that varies.
        dtypes: Floating types, the main one first.
        layouts: Memory layouts.
        values: Value transforms.
    """

    sizes: dict[str, tuple[int, ...]] | None = None
    dtypes: tuple[DType, ...] | None = None
    layouts: tuple[Layout, ...] | None = None
    values: tuple[Values, ...] | None = None

    @property
    def ranges(self) -> tuple[SizeRange, ...] | None:
        """The declared sizes as ranges.

        Raises:
            TaskError: A range is not `(low, high)` or `(low, high, multiple)`.
        """
        return None if self.sizes is None else tuple(_range(name, bounds) for name, bounds in self.sizes.items())


class Declaration(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a task file declares beside KernelBench's format."""

    family: str | None
    cases: dict[CaseRole, tuple[_Entry, ...]]
    domain: DeclaredDomain
    gradients: bool

    @property
    def is_complete(self) -> bool:
        """Whether nothing has to be derived."""
        domain = self.domain
        is_given = [part is not None for part in (domain.sizes, domain.layouts, domain.values)]
        return all(is_given) and all(self.cases.get(role) for role in CaseRole)

    def requests(self, role: CaseRole, own: Mapping[str, int], dtypes: tuple[DType, ...]) -> Iterator[CaseRequest]:
        """Yield the declared cases of a role.

        Args:
            role: Which cases.
            own: Constants of the file that cases list, with the file's own values.
            dtypes: Floating types of the domain.

        Raises:
            TaskError: An entry is malformed.
        """
        default = dtypes if role in _SWEPT else dtypes[:1]
        for entry in self.cases.get(role, ()):
            with _explained(f"integer sizes, dtype, dtypes, layout and values in CASES[{role.value!r}]"):
                yield from _requests_of(entry, role, own, default)


def read_declaration(members: Mapping[str, object]) -> Declaration:
    """Return what the executed file declares.

    Raises:
        TaskError: A declaration is malformed.
    """
    with _explained("FAMILY, CASES, DOMAIN and GRADIENTS as the page on task files says"):
        return Declaration(
            family=msgspec.convert(members.get("FAMILY"), str | None),
            cases=msgspec.convert(members.get("CASES", {}), dict[CaseRole, tuple[_Entry, ...]]),
            domain=msgspec.convert(members.get("DOMAIN", {}), DeclaredDomain),
            gradients=msgspec.convert(members.get("GRADIENTS", False), bool),
        )


@contextmanager
def _explained(expected: str) -> Iterator[None]:
    try:
        yield
    except msgspec.ValidationError as error:
        raise TaskError(f"expected {expected}; got: {error}: correct the declaration") from error


def _requests_of(
    entry: _Entry, role: CaseRole, own: Mapping[str, int], dtypes: tuple[DType, ...]
) -> tuple[CaseRequest, ...]:
    given = {name: value for name, value in entry.items() if name not in _OPTIONS}
    sizes = msgspec.convert({**own, **given}, dict[str, int])
    return tuple(
        CaseRequest(
            role=role,
            sizes=tuple(Size(name=name, value=value) for name, value in sizes.items()),
            dtype=dtype,
            layout=msgspec.convert(entry.get("layout", Layout.CONTIGUOUS), Layout),
            values=msgspec.convert(entry.get("values", Values.DRAWN), Values),
        )
        for dtype in _dtypes_of(entry, dtypes)
    )


def _dtypes_of(entry: _Entry, default: tuple[DType, ...]) -> tuple[DType, ...]:
    if "dtype" in entry:
        return (msgspec.convert(entry["dtype"], DType),)
    return msgspec.convert(entry["dtypes"], tuple[DType, ...]) if "dtypes" in entry else default


def _range(name: str, bounds: tuple[int, ...]) -> SizeRange:
    if not 2 <= len(bounds) <= 3 or not 0 <= bounds[0] <= bounds[1] or bounds[2:] == (0,):
        raise TaskError(f"expected DOMAIN sizes as (low, high) or (low, high, multiple); got {name!r}: {bounds}")
    return SizeRange(name=name, low=bounds[0], high=bounds[1], multiple=bounds[2] if len(bounds) == 3 else 1)
