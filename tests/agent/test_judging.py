"""Whether a run measures or estimates, and that it says why."""

from pathlib import Path

import pytest

from tilewright.agent.config import local_target_name
from tilewright.agent.judging import choose_judging, keep_judging, missing_package
from tilewright.evaluator.timing import TimeKind
from tilewright.tasks.errors import UserError


def _install(folder: Path, monkeypatch: pytest.MonkeyPatch, *, capability: str = "9.0", users: int = 0) -> None:
    tool = folder / "nvidia-smi"
    busy = "".join(f"echo 'GPU-aaaa, {number}'; " for number in range(users))
    tool.write_text(
        f"#!/bin/sh\ncase \"$1\" in --query-gpu=*) echo '0, GPU-aaaa, NVIDIA H200, {capability}, 143771, 580.95' ;; "
        f"*) {busy}: ;; esac\n"
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=":")
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)


def test_a_machine_without_a_gpu_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    judging = choose_judging("cuda:90")
    assert (judging.kind, judging.reason) == (TimeKind.ESTIMATED, "no CUDA device was found on this machine")


def test_a_gpu_of_another_architecture_does_not_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch, capability="8.0")
    assert local_target_name() == "cuda:80"
    assert "kernels are for cuda:90, and the GPU here (NVIDIA H200) is cuda:80" in choose_judging("cuda:90").reason


def test_a_gpu_that_others_use_does_not_measure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _install(tmp_path, monkeypatch, users=2)
    assert "is in use by 2 other processes" in choose_judging("cuda:90").reason


def test_a_free_gpu_of_the_target_measures_if_everything_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch)
    judging, missing = choose_judging("cuda:90"), missing_package()
    assert judging.reason == missing
    assert judging.uuids == (() if missing else ("GPU-aaaa",))


def test_a_missing_library_is_named_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.path", [])
    monkeypatch.setattr("sys.meta_path", [])
    assert missing_package() == "cuda-bindings is missing: pip install 'tilewright[gpu]'"


@pytest.mark.parametrize(
    ("flags", "word"), [({"is_deterministic": True}, "deterministic"), ({"ray_address": "x"}, "cluster")]
)
def test_some_runs_estimate_wherever_they_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: dict[str, bool], word: str
) -> None:
    _install(tmp_path, monkeypatch)
    assert word in choose_judging("cuda:90", **flags).reason  # type: ignore[arg-type]  # each flag has its own type


def test_a_measured_run_does_not_go_on_with_estimates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UserError, match="expected a GPU of cuda:90 to go on with a measured run; no CUDA device"):
        keep_judging(TimeKind.MEASURED, "cuda:90")


def test_an_estimated_run_goes_on_estimated_on_a_machine_with_a_gpu(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _install(tmp_path, monkeypatch)
    assert keep_judging(TimeKind.ESTIMATED, "cuda:90").kind is TimeKind.ESTIMATED
