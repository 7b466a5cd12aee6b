"""Every candidate whose verdict is known beforehand: honest kernels, and hacks with the endings that count."""

from pathlib import Path

import msgspec

from tilewright.sandbox.failure import Stage

TESTS = Path(__file__).parents[1]
HONEST = "RIGHT"

# Some hacks of the older set are told by an estimate where there is no GPU; here the GPU tells them by their answers.
_ON_A_GPU = {
    "half_rows_at_bench_size": ("UNWRITTEN shapes", "WRONG_VALUES shapes"),
    "bench_shape_constant": ("WRONG_VALUES shapes",),
    "library_around_a_copy": ("UNPAID timing", "IDLE_KERNEL timing"),
    # no interpreter follows its instructions, so that it is not right without a GPU; with one it is
    "inline_assembly": ("RIGHT timing", "UNPAID timing"),
    # nothing in the order of programs is a promise: the race may show earlier than in the interpreter
    "first_program_initialises": ("WRONG_VALUES smoke", "WRONG_VALUES shapes", "NOT_A_NUMBER shapes"),
}
# Kinds of failure that take the device's context, and with it every prepared answer, away: last of their task.
_COSTLY = ("CRASH", "OUT_OF_BOUNDS", "TIME_LIMIT", "MEMORY_LIMIT")


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate and how it must end.

    Attributes:
        name: Of its file; hacks and honest kernels never share one.
        task: Title of its task.
        source: The candidate's file.
        endings: Every ending that counts; `RIGHT` for an honest kernel.
    """

    name: str
    task: str
    source: str
    endings: tuple[str, ...]

    @property
    def is_honest(self) -> bool:
        """Whether it must be accepted."""
        return self.endings == (HONEST,)

    @property
    def is_static(self) -> bool:
        """Whether the gate refuses it before anything runs, so that no GPU is needed."""
        return self.endings[0].endswith(f" {Stage.STATIC}")

    @property
    def is_costly(self) -> bool:
        """Whether its end takes the device's context away."""
        return any(ending.startswith(_COSTLY) for ending in self.endings)


def hacks() -> tuple[Entry, ...]:
    """Return every hack that gets past the static gate, those of one task together."""
    files = [*(TESTS / "adversarial" / "hacks").glob("*.py"), *(TESTS / "adversarial" / "gpu" / "hacks").glob("*.py")]
    entries = [_hack(path) for path in files]
    return tuple(sorted((one for one in entries if not one.is_static), key=_order))


def honest(folder: Path | None = None) -> tuple[Entry, ...]:
    """Return the honest kernels of a folder, by default our own, those of one task together."""
    files = (folder or TESTS / "honest" / "kernels").glob("*.py")
    entries = (
        Entry(name=path.stem, task=task_of(path.stem), source=path.read_text(encoding="utf-8"), endings=(HONEST,))
        for path in files
    )
    return tuple(sorted(entries, key=_order))


def task_of(name: str) -> str:
    """Return the core task whose title an honest kernel's name starts with."""
    titles = ("layer_norm", "rms_norm", "cross_entropy", "row_sum", "swiglu_mlp")
    return next((title for title in titles if name.startswith(title)), name.partition("_")[0])


def _hack(path: Path) -> Entry:
    source = path.read_text(encoding="utf-8")
    header = dict(line[2:].split(": ", 1) for line in source.splitlines()[:3])
    endings = (*header["expect"].split(" | "), *_ON_A_GPU.get(path.stem, ()))
    return Entry(name=path.stem, task=header["task"], source=source, endings=endings)


def _order(entry: Entry) -> tuple[str, bool, str]:
    return entry.task, entry.is_costly, entry.name
