"""Each hack of the catalogue that a candidate's file can express is refused where its header says.

A header names every refusal that counts, such as `# expect: UNWRITTEN smoke | CRASH smoke`. Hacks of
the catalogue that no file can express: 53, whose comment changes nothing here because no number is
read out of a source's text.
"""

from pathlib import Path

import msgspec
import pytest

from tilewright.evaluator.static import check
from tilewright.sandbox.failure import FailureKind, Stage

HACKS = Path(__file__).parent / "hacks"


class Refusal(msgspec.Struct, frozen=True):
    """A way in which a hack may be refused."""

    kind: FailureKind
    stage: Stage


class Hack(msgspec.Struct, frozen=True):
    """A hostile candidate and how it must end."""

    name: str
    task: str
    source: str
    refusals: tuple[Refusal, ...]

    @property
    def is_static(self) -> bool:
        return self.refusals[0].stage is Stage.STATIC


def read_hack(path: Path) -> Hack:
    source = path.read_text()
    header = dict(line[2:].split(": ", 1) for line in source.splitlines()[:3])
    pairs = [one.split() for one in header["expect"].split(" | ")]
    refusals = tuple(Refusal(FailureKind(kind.lower()), Stage(stage)) for kind, stage in pairs)
    return Hack(path.stem, header["task"], source, refusals)


ALL = tuple(read_hack(path) for path in sorted(HACKS.glob("*.py")))
STATIC = tuple(hack for hack in ALL if hack.is_static)
LATER = tuple(hack for hack in ALL if not hack.is_static)


@pytest.mark.parametrize("hack", STATIC, ids=lambda hack: hack.name)
def test_a_hack_that_syntax_shows_is_refused_before_it_runs(hack: Hack) -> None:
    failure = check(hack.source).failure
    assert failure is not None
    assert (failure.kind, failure.stage) == (hack.refusals[0].kind, Stage.STATIC)


@pytest.mark.parametrize("hack", LATER, ids=lambda hack: hack.name)
def test_a_hack_that_only_running_shows_passes_the_static_gate(hack: Hack) -> None:
    assert check(hack.source).failure is None


@pytest.mark.parametrize("hack", STATIC, ids=lambda hack: hack.name)
def test_a_static_refusal_names_a_line_and_what_to_do(hack: Hack) -> None:
    failure = check(hack.source).failure
    assert failure is not None
    assert failure.hint
    if failure.kind in {FailureKind.FORBIDDEN, FailureKind.SYNTAX}:
        assert failure.message.startswith("line ")
