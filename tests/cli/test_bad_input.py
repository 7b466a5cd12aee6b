"""Each mistake of the user gets one clear line, exit code 2, and nothing is lost."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "object"]

NO_MODEL = "def get_inputs(): return []\ndef get_init_inputs(): return []\n"
RAISES = """
import torch
class Model(torch.nn.Module):
    def forward(self, x):
        raise RuntimeError("not today")
def get_inputs(): return [torch.rand(4, 4)]
def get_init_inputs(): return []
"""


def _assert_one_line(done, *words: str) -> None:
    lines = [line for line in done.stderr.splitlines() if line.startswith("tilewright:")]
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert "Traceback" not in done.stderr
    for word in words:
        assert word in lines[0]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "nosuite"), ("expected a suite", "nosuite")),
        (("optimize", "missing.py"), ("missing.py",)),
        (("run", "core", "--budget", "soon"), ("expected a budget", "soon")),
        (("run", "core", "--target", "cuda:70"), ("expected a target", "cuda:70", "cuda:90")),
        (("run", "core", "--report", "r.pdf"), (".json, .csv or .md", "r.pdf")),
        (("run", "core", "--report", "nowhere/r.md"), ("existing folder", "nowhere")),
        (("optimize", "--bogus"), ("--bogus",)),
        (("dance",), ("dance",)),
        (("archive", "ls", "--archive", "absent.db"), ("expected an archive", "absent.db")),
        (("resume", "--archive", "absent.db"), ("absent.db",)),
        (("eval", "absent.py", "--task", "softmax"), ("absent.py",)),
        (("eval", "absent.py", "--task", "softmax", "--knob", "BLOCK"), ("NAME=INTEGER", "BLOCK")),
        (("eval", "absent.py", "--task", "softmax", "--knob", "BLOCK=\u00b2"), ("NAME=INTEGER", "BLOCK")),
        (("run", "core", "--seed", "-1"), ("--seed", "greater than or equal to 0")),
        (("task", "show", "absent.py"), ("absent.py",)),
        (("archive", "rebin"), ("expected an archive", "tilewright.db")),
        (("archive", "map", "--svg", "nowhere/map.svg"), ("existing folder", "nowhere")),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_gets_one_line_that_says_what_was_expected(tilewright: Run, arguments, words) -> None:
    _assert_one_line(tilewright(*arguments), *words)


SYNTAX = "class Model(:\n"


@pytest.mark.parametrize(("source", "word"), [(NO_MODEL, "Model"), (RAISES, "not today"), (SYNTAX, "line 1")])
def test_a_task_file_that_cannot_be_used_gets_one_line(tilewright: Run, tmp_path: Path, source: str, word: str) -> None:
    (tmp_path / "task.py").write_text(source)
    _assert_one_line(tilewright("task", "show", "task.py"), "task.py", word)


def test_a_file_that_is_no_archive_is_left_as_it_is(tilewright: Run, tmp_path: Path) -> None:
    (tmp_path / "notes.db").write_text("my notes, not a database, and longer than a header of a hundred bytes" * 3)
    before = (tmp_path / "notes.db").read_bytes()
    _assert_one_line(tilewright("archive", "ls", "--archive", "notes.db"), "notes.db")
    _assert_one_line(tilewright("run", "core", "--archive", "notes.db"), "notes.db")
    assert (tmp_path / "notes.db").read_bytes() == before


def test_a_database_of_another_program_is_left_as_it_is(tilewright: Run, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "other.db") as database:
        database.execute("create table shopping (item text)")
    before = (tmp_path / "other.db").read_bytes()
    _assert_one_line(tilewright("run", "core", "--archive", "other.db"), "other.db")
    assert (tmp_path / "other.db").read_bytes() == before


def test_an_unknown_candidate_or_cell_is_named(tilewright: Run, tmp_path: Path) -> None:
    from tilewright.archive.store import open_archive

    with open_archive(tmp_path / "tilewright.db", writable=True):
        pass
    _assert_one_line(tilewright("archive", "show", "beef"), "beef")
    _assert_one_line(tilewright("archive", "best"), "expected an archive with a run")


def test_help_goes_to_standard_output_and_ends_with_zero(tilewright: Run) -> None:
    done = tilewright("--help")
    assert done.returncode == 0
    assert "optimize" in done.stdout
