"""Rebinning recomputes cells from stored facts, and the log stays append-only."""

from pathlib import Path

import pytest
from archive_samples import begin, key_of, make_candidate, make_step, make_task, right_step, wrong_step
from msgspec import structs

from tilewright.archive.descriptors import BINS, Bins, Descriptor, MemoryPath, describe
from tilewright.archive.errors import ArchiveVersionError
from tilewright.archive.rebin import rebin
from tilewright.archive.store import Archive, open_archive
from tilewright.archive.verify import verify
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report

TASK = make_task()


def describe_coarsely(recording: Recording, report: Report) -> Descriptor:
    """Merge the two lower levels of the memory path."""
    found = describe(recording, report)
    return structs.replace(found, memory=MemoryPath.SCALAR) if found.memory is MemoryPath.WIDE else found


COARSE = Bins(version=2, describe=describe_coarsely)


def fill(archive: Archive) -> str:
    run_id = begin(archive, TASK)
    cells = ("scalar|block|one-pass", "128-bit|block|one-pass", "async|block|one-pass")
    for number, cell in enumerate(cells):
        candidate = make_candidate(TASK, number)
        make_step(archive, right_step(key_of(run_id, TASK, number), candidate, fitness=number / 2, cell=cell))
    make_step(archive, wrong_step(key_of(run_id, TASK, 3), make_candidate(TASK, 3)))
    return run_id


def test_the_best_of_merged_cells_stays(tmp_path: Path):
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        run_id = fill(archive)
    with open_archive(tmp_path / "a.db", writable=True, bins=COARSE) as archive:
        (result,) = rebin(archive)
        assert (result.cells_before, result.cells_after, result.moved) == (3, 2, 1)
        rows = archive.elites(run_id, TASK.id)
        assert [(row.cell, row.fitness) for row in rows] == [
            ("async|block|one-pass", 1.0),
            ("scalar|block|one-pass", 0.5),
        ]
        assert verify(archive, COARSE) == ()


def test_a_rebinned_map_can_be_rebinned_back(tmp_path: Path):
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        run_id = fill(archive)
        before = archive.elites(run_id, TASK.id)
    for bins in (COARSE, BINS):
        with open_archive(tmp_path / "a.db", writable=True, bins=bins) as archive:
            rebin(archive)
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        assert archive.elites(run_id, TASK.id) == before
        assert verify(archive) == ()


def test_a_map_that_does_not_change_gets_no_events(tmp_path: Path):
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        run_id = fill(archive)
        rebin(archive)
        assert archive.archive_seq(run_id, TASK.id) == 4


def test_maps_of_two_versions_never_mix(tmp_path: Path):
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        run_id = fill(archive)
    with open_archive(tmp_path / "a.db", writable=True, bins=COARSE) as archive:
        finished = right_step(key_of(run_id, TASK, 4), make_candidate(TASK, 4))
        with pytest.raises(ArchiveVersionError, match="archive rebin"):
            make_step(archive, finished)
        rebin(archive)
        assert archive.finish_step(finished).cell == "scalar|block|one-pass"
        assert verify(archive, COARSE) == ()
