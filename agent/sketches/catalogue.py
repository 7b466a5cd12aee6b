"""The library of hand-written kernels: one complete candidate file for each form of each family.

The files lie beside this module and are read as text: the sandbox runs them, the product never imports them.
"""

import ast
from pathlib import Path

import msgspec

_HERE = Path(__file__).parent

# Forms of each family; the first is the plain one, what a first-time author of Triton kernels writes.
_FORMS = (
    ("softmax", ("plain", "block", "streaming", "aligned", "rows", "persistent", "split")),
    ("layer_norm", ("plain", "block", "rows", "streaming", "persistent")),
    ("rms_norm", ("plain", "block", "rows", "streaming", "persistent")),
    ("cross_entropy", ("plain", "streaming", "aligned", "persistent", "block", "rows", "ticket", "split")),
    ("row_sum", ("plain", "streaming", "rows", "persistent", "split")),
    ("rotary", ("plain", "rows", "heads", "flat")),
    ("matmul", ("plain", "grouped", "persistent", "descriptor", "split")),
    ("attention", ("plain", "split", "paired")),
    ("swiglu_mlp", ("plain", "dual", "descriptor", "epilogue", "persistent")),
)


class Sketch(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A kernel of the library.

    Attributes:
        name: Family and form, such as `softmax_streaming`; also the file's name.
        family: Kind of operation that it serves.
        is_plain: Whether it is the family's untuned starting kernel.
    """

    name: str
    family: str
    is_plain: bool

    @property
    def path(self) -> Path:
        """Where its file lies."""
        return _HERE / f"{self.name}.py"

    @property
    def source(self) -> str:
        """The candidate's file."""
        return self.path.read_text(encoding="utf-8")

    @property
    def summary(self) -> str:
        """How it works, in one line: the first of the file's docstring."""
        return (ast.get_docstring(ast.parse(self.source)) or "").partition("\n")[0]


def families() -> tuple[str, ...]:
    """Return the families that have sketches."""
    return tuple(family for family, _ in _FORMS)


def sketches_for(family: str) -> tuple[Sketch, ...]:
    """Return the sketches of a family, the plain one first; none for a family that has none."""
    return tuple(
        Sketch(name=f"{known}_{form}", family=known, is_plain=form == "plain")
        for known, forms in _FORMS
        if known == family
        for form in forms
    )
