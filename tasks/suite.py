"""Finding task files: the built-in suite, a directory, a KernelBench checkout or a single file."""

from pathlib import Path

from tilewright.tasks.errors import TaskError

_SUITES = Path(__file__).parent / "suites"


def suite_names() -> tuple[str, ...]:
    """Return the names of the built-in suites."""
    return tuple(sorted(path.name for path in _SUITES.iterdir() if any(path.glob("[!_]*.py"))))


def find_task_files(name_or_path: str) -> tuple[Path, ...]:
    """Return the task files that a name stands for, in natural order (`2_x.py` before `10_x.py`).

    Args:
        name_or_path: A built-in suite (`core`), a task file, a directory of task files, or a checkout
            of KernelBench (all its levels 1 to 3).

    Raises:
        TaskError: It is none of these, or holds no task file.
    """
    path = Path(name_or_path)
    if name_or_path in suite_names() and not path.is_file():
        path = _SUITES / name_or_path
    if path.is_file():
        return (path,)
    files = tuple(sorted(_files_in(path), key=_natural_order))
    if not files:
        got = "a directory without task files" if path.is_dir() else "no such file"
        raise TaskError(
            f"expected a suite ({', '.join(suite_names())}), a directory or a task file; got {name_or_path!r}: {got}"
        )
    return files


def _files_in(directory: Path) -> list[Path]:
    """Return the Python files of a directory, or of the levels of a KernelBench checkout."""
    for root in (directory, directory / "KernelBench"):
        levels = [level for number in (1, 2, 3) if (level := root / f"level{number}").is_dir()]
        if levels:
            return [file for level in levels for file in level.glob("[!_.]*.py")]
    return list(directory.glob("[!_.]*.py"))


def _natural_order(path: Path) -> tuple[str, int, str]:
    number, _, rest = path.stem.partition("_")
    return (str(path.parent), int(number), rest) if number.isdigit() else (str(path.parent), 0, path.stem)
