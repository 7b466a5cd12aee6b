"""What a user names on the command line or from Python: task files, kernel files, knobs."""

import re
from pathlib import Path

from tilewright.tasks.candidate import Knob
from tilewright.tasks.errors import TaskError, UserError
from tilewright.tasks.suite import find_task_files


def task_files(name: str) -> tuple[Path, ...]:
    """Return the files of a suite, a folder or a file, or of a task of the core suite by name.

    Raises:
        TaskError: There is nothing of that name.
    """
    if not Path(name).exists():
        matches = tuple(one for one in find_task_files("core") if one.stem == name)
        if matches:
            return matches
    return find_task_files(name)


def single_file(name: str) -> Path:
    """Return the one task file of a name.

    Raises:
        TaskError: There is none, or several.
    """
    files = task_files(name)
    if len(files) != 1:
        raise TaskError(f"expected one task, got {len(files)} in {name!r}: name a file")
    return files[0]


def read_kernel(path: Path) -> str:
    """Return the text of a kernel file.

    Raises:
        UserError: It cannot be read.
    """
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"expected a readable Python file, got {path} ({type(error).__name__}): check the path"
        ) from error


def parse_knobs(texts: tuple[str, ...]) -> tuple[Knob, ...]:
    """Return knobs given as `NAME=VALUE`, sorted by name.

    Raises:
        UserError: One is malformed.
    """
    knobs = []
    for text in texts:
        name, _, value = text.partition("=")
        if not name.isidentifier() or not re.fullmatch(r"-?[0-9]{1,18}", value):
            raise UserError(f"expected --knob NAME=INTEGER, got {text!r}")
        knobs.append(Knob(name=name, value=int(value)))
    return tuple(sorted(knobs, key=lambda knob: knob.name))
