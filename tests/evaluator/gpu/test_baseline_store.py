from pathlib import Path

from tilewright.evaluator.gpu.baseline_store import BaselineRecord, BaselineStore
from tilewright.evaluator.timing import Baseline, TimeSpan

HERE = ("NVIDIA H200", "580.1", "2.11")
RECORD = BaselineRecord(
    attempted=("eager", "torch.compile"),
    baselines=(Baseline(name="eager", span=TimeSpan(median_us=10.0, low_us=9.5, high_us=10.5)),),
    notes=("no baseline torch.compile: it failed",),
)


def test_another_process_finds_what_was_kept(tmp_path: Path) -> None:
    BaselineStore(tmp_path / "made", HERE).keep("task", "bench-1", RECORD)
    assert BaselineStore(tmp_path / "made", HERE).find("task", "bench-1") == RECORD


def test_another_environment_task_or_case_finds_nothing(tmp_path: Path) -> None:
    BaselineStore(tmp_path, HERE).keep("task", "bench-1", RECORD)
    assert not BaselineStore(tmp_path, (*HERE[:2], "2.12")).find("task", "bench-1").is_complete
    assert not BaselineStore(tmp_path, HERE).find("other", "bench-1").is_complete
    assert not BaselineStore(tmp_path, HERE).find("task", "bench-2").is_complete


def test_a_baseline_that_was_begun_and_never_ended_is_remembered(tmp_path: Path) -> None:
    BaselineStore(tmp_path, HERE).keep("task", "bench-1", BaselineRecord(attempted=("eager", "max-autotune")))
    found = BaselineStore(tmp_path, HERE).find("task", "bench-1")
    assert not found.is_complete
    assert "max-autotune" in found.attempted


def test_a_file_cut_short_counts_as_not_measured(tmp_path: Path) -> None:
    BaselineStore(tmp_path, HERE).keep("task", "bench-1", RECORD)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:20])
    assert BaselineStore(tmp_path, HERE).find("task", "bench-1") == BaselineRecord()


def test_without_a_folder_records_last_as_long_as_the_store() -> None:
    store = BaselineStore(None, HERE)
    store.keep("task", "bench-1", RECORD)
    assert store.find("task", "bench-1") == RECORD
    assert BaselineStore(None, HERE).find("task", "bench-1") == BaselineRecord()
