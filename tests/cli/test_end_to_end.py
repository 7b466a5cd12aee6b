"""The commands of the README on a small budget: real workers, real sandboxes, real kernels."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

ROOT = Path(__file__).resolve().parents[2]
EXAMPLE = ROOT / "examples" / "softmax.py"
CANDIDATES = 8


def _tilewright(folder: Path, *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "tilewright.cli", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `optimize` has run; its output stands in files."""
    folder = tmp_path_factory.mktemp("optimised")
    done = _tilewright(folder, "optimize", str(EXAMPLE), "--budget", f"{CANDIDATES}c", "--json")
    (folder / "stdout").write_text(done.stdout)
    (folder / "stderr").write_text(done.stderr)
    assert done.returncode == 0, done.stderr
    return folder


def test_optimize_prints_a_row_for_each_bench_case_and_says_that_times_are_estimated(folder: Path) -> None:
    document = json.loads((folder / "stdout").read_text())
    (row,) = document["tasks"]
    assert row["correct"] is True
    assert row["kind"] == "estimated"
    assert row["speedup"] == pytest.approx(row["baseline_us"] / row["best_us"])
    assert set(row["stages"].values()) == {"passed"}
    assert document["totals"]["passed"] == 1


def test_progress_goes_to_standard_error_alone(folder: Path) -> None:
    assert "estimated" in (folder / "stderr").read_text()
    json.loads((folder / "stdout").read_text())


def test_the_kernel_file_is_right_when_it_is_judged_by_itself(folder: Path) -> None:
    done = _tilewright(folder, "eval", "softmax_kernel.py", "--task", str(EXAMPLE), "--seed", "7", "--json")
    report = json.loads(done.stdout)
    assert done.returncode == 0, done.stdout
    assert report["is_right"] is True
    assert len(report["stages"]) == 5


def test_a_kernel_that_is_spoiled_is_not_right_and_ends_with_one(folder: Path) -> None:
    source = (folder / "softmax_kernel.py").read_text()
    assert "tl.max(" in source
    (folder / "spoiled.py").write_text(source.replace("tl.max(", "tl.min("))
    done = _tilewright(folder, "eval", "spoiled.py", "--task", str(EXAMPLE))
    assert done.returncode == 1, done.stdout
    assert "not right" in done.stdout


def test_the_certificate_names_what_was_judged_where(folder: Path) -> None:
    certificate = json.loads((folder / "softmax_kernel.json").read_text())
    assert certificate["candidate_id"] in (folder / "softmax_kernel.py").read_text()
    assert certificate["environment"]["target"] == "cuda:90"


@pytest.mark.parametrize("command", ["ls", "best", "map", "verify", "rebin"])
def test_an_archive_command_reads_what_the_run_wrote(folder: Path, command: str) -> None:
    done = _tilewright(folder, "archive", command, "--json")
    assert done.returncode == 0, done.stderr
    json.loads(done.stdout)


def test_a_candidate_can_be_shown_followed_and_exported(folder: Path) -> None:
    candidate = json.loads((folder / "stdout").read_text())["tasks"][0]["candidate"]
    for command in (("show", candidate[:8]), ("lineage", candidate), ("export", "again.py", "--candidate", candidate)):
        done = _tilewright(folder, "archive", *command)
        assert done.returncode == 0, done.stderr
    assert candidate in (folder / "again.py").read_text()


def test_a_finished_run_has_nothing_to_resume(folder: Path) -> None:
    done = _tilewright(folder, "resume")
    assert done.returncode == 2
    assert "expected an unfinished run" in done.stderr


def test_two_drivers_on_one_archive_get_one_line(folder: Path) -> None:
    from tilewright.archive.store import open_archive

    with open_archive(folder / "tilewright.db", writable=True):
        done = _tilewright(folder, "run", "core")
    assert done.returncode == 2
    assert len([line for line in done.stderr.splitlines() if line.startswith("tilewright:")]) == 1


def test_python_has_the_same_verbs() -> None:
    from tilewright.agent import api

    assert {"optimize", "run", "evaluate", "open_archive"} <= set(api.__all__)
    assert msgspec.structs.fields(api.RunRequest)
