"""A driver killed at any moment loses no step that it acknowledged."""

import os
import random
import select
import signal
import struct
import time
from pathlib import Path

from archive_samples import begin, fitness_of, key_of, make_candidate, make_task, plan, right_step, wrong_step

from tilewright.archive.cells import fold
from tilewright.archive.records import FinishedStep, ParentLink, ParentRole, StepKey
from tilewright.archive.store import Archive, open_archive
from tilewright.archive.store_queries import Scope
from tilewright.archive.verify import verify
from tilewright.archive.verify_map import read_cells, read_events

TASK = make_task()
KILLS = 10
CELLS = ("128-bit|block|one-pass", "async|block|streaming", "scalar|grid|one-pass")


def outcome(key: StepKey) -> FinishedStep:
    candidate = make_candidate(TASK, key.number)
    if key.number % 4 == 3:
        return wrong_step(key, candidate)
    # Every sixth binary repeats an earlier one.
    binary = str(key.number // 6 if key.number % 6 == 0 else key.number)
    return right_step(key, candidate, fitness=fitness_of(key.number), cell=CELLS[key.number % 3], binary=binary)


def finish_open(archive: Archive, run_id: str, acknowledge: int | None = None) -> None:
    for step in archive.open_steps(run_id, TASK.id):
        finish(archive, step.planned.key, acknowledge)


def make_next(archive: Archive, run_id: str, acknowledge: int | None = None) -> None:
    key = key_of(run_id, TASK, archive.steps_count(run_id, TASK.id))
    best = archive.best(run_id, TASK.id)
    links = (ParentLink(role=ParentRole.PARENT, candidate_id=best.candidate.id),) if best else ()
    plan(archive, key, *links)
    archive.propose_step(key, outcome(key).candidate)
    finish(archive, key, acknowledge)


def finish(archive: Archive, key: StepKey, acknowledge: int | None) -> None:
    """Finish a step and, once the archive has it, write its number."""
    archive.finish_step(outcome(key))
    if acknowledge is not None:
        os.write(acknowledge, struct.pack("<I", key.number))


def drive_and_kill(path: Path, run_id: str, steps: int, more_s: float) -> list[int]:
    """Drive an archive in a child, kill the child some time after so many steps; return those it acknowledged."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            with open_archive(path, writable=True) as archive:
                finish_open(archive, run_id, writing)
                while True:
                    make_next(archive, run_id, writing)
        finally:
            os._exit(1)
    os.close(writing)
    received = b""
    while len(received) < 4 * steps:
        acknowledged = os.read(reading, 65536)
        assert acknowledged, "the driver died by itself"
        received += acknowledged
    deadline = time.monotonic() + more_s
    while select.select([reading], [], [], max(0.0, deadline - time.monotonic()))[0]:
        received += os.read(reading, 65536)
    os.kill(child, signal.SIGKILL)
    assert os.waitpid(child, 0)[1] == signal.SIGKILL
    while rest := os.read(reading, 65536):
        received += rest
    os.close(reading)
    return [number for (number,) in struct.iter_unpack("<I", received[: len(received) // 4 * 4])]


def test_a_killed_driver_loses_no_acknowledged_step(tmp_path: Path):
    path = tmp_path / "a.db"
    with open_archive(path, writable=True) as archive:
        run_id = begin(archive, TASK)
    draws = random.Random(20240)
    acknowledged: set[int] = set()
    for _ in range(KILLS):
        acknowledged |= set(drive_and_kill(path, run_id, draws.randint(1, 5), draws.uniform(0, 0.05)))
        with open_archive(path, writable=False) as archive:
            assert verify(archive) == ()
            finished = {one.number for one in archive.attempts(run_id, TASK.id, limit=100_000)}
            assert acknowledged <= finished
            # At most the one step whose commit was not yet acknowledged is there besides.
            assert len(finished - acknowledged) <= KILLS
            scope = Scope(run_id, TASK.id)
            with archive.reading() as connection:
                assert fold(read_events(connection, scope)) == read_cells(connection, scope)
    assert len(acknowledged) >= KILLS


def test_finishing_what_was_open_gives_the_archive_of_an_undisturbed_run(tmp_path: Path):
    with open_archive(tmp_path / "killed.db", writable=True) as archive:
        run_id = begin(archive, TASK)
    for more_s in (0.0, 0.007, 0.013):
        drive_and_kill(tmp_path / "killed.db", run_id, 3, more_s)
    with open_archive(tmp_path / "killed.db", writable=True) as killed:
        finish_open(killed, run_id)
        count = killed.steps_count(run_id, TASK.id)
        with open_archive(tmp_path / "undisturbed.db", writable=True) as undisturbed:
            begin(undisturbed, TASK)
            for _ in range(count):
                make_next(undisturbed, run_id)
            names = (run_id, TASK.id)
            assert undisturbed.elites(*names) == killed.elites(*names)
            assert undisturbed.attempts(*names) == killed.attempts(*names)
            assert undisturbed.arm_events(*names, limit=count) == killed.arm_events(*names, limit=count)
            assert undisturbed.spent(*names) == killed.spent(*names)
    assert count >= 9
