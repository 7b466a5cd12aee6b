"""What people and programs are shown."""

import ast
import json
import os
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from archive_samples import (
    BENCH,
    begin,
    key_of,
    make_candidate,
    make_report,
    make_step,
    make_task,
    right_step,
    wrong_step,
)
from rich.console import Console

from tilewright.archive.browse import (
    diff,
    list_candidate,
    list_elites,
    list_lineage,
    list_map,
    list_tasks,
    to_table,
    to_text,
    view_candidate,
)
from tilewright.archive.certificate import certificate
from tilewright.archive.errors import ArchiveError, UnfitCandidateError
from tilewright.archive.export import write_kernel
from tilewright.archive.records import ParentLink, ParentRole
from tilewright.archive.store import Archive, open_archive

TASK = make_task()
RIGHT, FAST, WRONG = (make_candidate(TASK, number) for number in range(3))


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[Archive]:
    with open_archive(tmp_path / "a.db", writable=True) as opened:
        run_id = begin(opened, TASK)
        make_step(opened, right_step(key_of(run_id, TASK, 0), RIGHT, fitness=0.0))
        link = ParentLink(role=ParentRole.PARENT, candidate_id=RIGHT.id)
        fast = right_step(key_of(run_id, TASK, 1), FAST, fitness=1.0, cell="async|block|streaming")
        make_step(opened, fast, link)
        make_step(opened, wrong_step(key_of(run_id, TASK, 2), WRONG), link)
        yield opened


def test_tasks_are_listed_with_their_best(archive: Archive):
    listing = list_tasks(archive.summaries())
    best = ("50.0 us estimated", "2.00x", FAST.id)
    assert listing.rows == (("first", "running", "softmax", "3", "0", "2", *best),)


def test_a_task_without_a_right_candidate_is_listed(tmp_path: Path):
    with open_archive(tmp_path / "b.db", writable=True) as empty:
        run_id = begin(empty, TASK)
        make_step(empty, wrong_step(key_of(run_id, TASK, 0), WRONG))
        assert list_tasks(empty.summaries()).rows[0][-3:] == ("-", "-", "-")


def test_elites_are_listed_fastest_first(archive: Archive):
    elites = archive.elites(archive.run("first").id, TASK.id)
    assert [row[0] for row in list_elites(elites, "softmax").rows] == [
        "async|block|streaming",
        "128-bit|block|one-pass",
    ]


def test_the_map_shows_64_cells_and_says_estimated(archive: Archive):
    listing = list_map(archive.elites(archive.run("first").id, TASK.id), "softmax")
    cells = [cell for row in listing.rows for cell in row[2:]]
    assert len(cells) == 64
    assert [cell for cell in cells if cell != "."] == ["1.00x e", "2.00x e"]
    assert listing.title == "softmax: 2 of 64 cells (e estimated, m measured)"


def test_lineage_is_listed_by_generation(archive: Archive):
    rows = list_lineage(archive.lineage(FAST.id)).rows
    assert [row[:3] for row in rows] == [("0", "itself", FAST.id), ("-1", "parent", RIGHT.id)]


def test_a_right_candidate_is_shown_with_its_times(archive: Archive):
    text = to_text(list_candidate(view_candidate(archive, FAST.id)))
    assert "stability" in text
    assert "50.0 us estimated on NVIDIA H200, 2.00x over eager, 20% of the floor" in text


def test_a_wrong_candidate_is_shown_with_its_failure(archive: Archive):
    text = to_text(list_candidate(view_candidate(archive, WRONG.id)))
    assert "failed: wrong_values" in text
    assert "expected rms error at most 0.001; got 0.5" in text


def test_the_difference_of_two_candidates_names_knobs_and_lines(archive: Archive):
    lines = diff(archive, RIGHT.id, FAST.id).splitlines()
    assert lines[:2] == [f"--- {RIGHT.id}", f"+++ {FAST.id}"]
    assert {"-# knobs: BLOCK=1024, num_warps=4", "+# knobs: BLOCK=1025, num_warps=4", "-# 0", "+# 1"} <= set(lines)
    assert diff(archive, RIGHT.id, RIGHT.id) == ""


def test_a_table_shows_square_brackets_as_they_are(archive: Archive):
    listing = list_elites(archive.elites(archive.run("first").id, TASK.id), "[bold]title[/]")
    output = StringIO()
    Console(file=output, width=200).print(to_table(listing))
    assert "[bold]title[/]" in output.getvalue()
    assert "2.00x" in output.getvalue()


def test_a_certificate_says_what_was_checked_and_where_it_came_from(archive: Archive):
    found = certificate(archive, FAST.id[:8], confirmation=make_report(FAST))
    assert (found.run, found.step, found.operator, found.ancestors) == ("first", 1, "sketch", (RIGHT.id,))
    assert [stage.passed for stage in found.stages] == [8] * 5 == [stage.passed for stage in found.confirmation]
    assert [(time.case, time.kind, time.speedup) for time in found.timing] == [
        (case, "estimated", pytest.approx(2.0)) for case in BENCH
    ]


def test_only_right_candidates_are_handed_out(archive: Archive, tmp_path: Path):
    with pytest.raises(UnfitCandidateError, match="expected a right candidate"):
        write_kernel(archive, WRONG.id, tmp_path / "out.py")
    assert not (tmp_path / "out.py").exists()


def test_an_exported_kernel_carries_its_evidence_and_its_certificate(archive: Archive, tmp_path: Path):
    write_kernel(archive, FAST.id, tmp_path / "out.py")
    document = ast.get_docstring(ast.parse((tmp_path / "out.py").read_text()))
    assert document.startswith("softmax: 2.00x over eager or better (estimated).")
    assert "smoke 8 of 8" in document
    assert document.endswith("Softmax over rows.")
    written = json.loads((tmp_path / "out.json").read_text())
    assert (written["candidate_id"], written["environment"]["kind"]) == (FAST.id, "estimated")


def test_an_exported_kernel_has_the_chosen_knobs_as_defaults(archive: Archive, tmp_path: Path):
    write_kernel(archive, FAST.id, tmp_path / "out.py")
    scope: dict[str, object] = {}
    lines = (tmp_path / "out.py").read_text().splitlines()
    exec("\n".join(line for line in lines if line.startswith(("KNOBS", "knobs"))), scope)
    assert scope["KNOBS"] == {"BLOCK": (1025, 1024, 2048), "num_warps": (4, 8)}
    assert scope["knobs"] == {"BLOCK": 1025, "num_warps": 4}


@pytest.mark.parametrize(
    "source",
    [
        "knobs = {'BLOCK': 64, 'other': 3}\n",
        "from __future__ import annotations\nKNOBS = {\n    'BLOCK': (1, 2),\n}\nknobs = {'BLOCK': 1}\n",
        'r"""Own \\d words."""\nKNOBS = dict(BLOCK=(1, 2))\n',
        "x = 1\n",
    ],
)
def test_exported_kernels_of_any_shape_are_python(tmp_path: Path, source: str):
    candidate = make_candidate(TASK, 9, source=source)
    with open_archive(tmp_path / "c.db", writable=True) as archive:
        run_id = begin(archive, TASK)
        make_step(archive, right_step(key_of(run_id, TASK, 0), candidate))
        write_kernel(archive, candidate.id, tmp_path / "out.py")
    written = (tmp_path / "out.py").read_text()
    compile(written, "out.py", "exec")
    assert ("'BLOCK': 1033" in written) == ("knobs = {" in source)


def test_an_export_that_cannot_be_written_is_one_line(archive: Archive, tmp_path: Path):
    with pytest.raises(ArchiveError, match="No such file or directory: choose another place") as caught:
        write_kernel(archive, FAST.id, tmp_path / "no" / "out.py")
    assert "\n" not in str(caught.value)
    assert [name for name in os.listdir(tmp_path) if "out" in name] == []
