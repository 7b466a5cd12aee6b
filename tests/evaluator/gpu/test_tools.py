"""NVIDIA's tools on finalists: found or said to be missing, their output read, never a verdict."""

import stat
from pathlib import Path

import msgspec
import pytest

from tilewright.evaluator.gpu.tools import Inspection, profile_kernels, read_counters, sanitize, with_findings
from tilewright.evaluator.report import Profile

COUNTERS = """==PROF== Connected to process 12
"ID","Kernel Name","Metric Name","Metric Unit","Metric Value"
"0","softmax_kernel(float*)","gpu__time_duration.sum","nsecond","68,416"
"0","softmax_kernel(float*)","dram__throughput.avg.pct_of_peak_sustained_elapsed","%","91.5"
"0","softmax_kernel(float*)","l1tex__data_bank_conflicts_pipe_lsu_mem_shared.sum","","300"
"0","softmax_kernel(float*)","l1tex__data_pipe_lsu_wavefronts_mem_shared.sum","","1000"
"0","softmax_kernel(float*)","something__else.sum","","1"
"1","join_kernel","gpu__time_duration.sum","nsecond","2000"
"""
REPORT = """========= COMPUTE-SANITIZER
========= Invalid __global__ read of size 2 bytes
=========     at softmax_kernel+0x120
=========     by thread (0,0,0) in block (3,0,0)
=========
========= ERROR SUMMARY: 1 error
"""


def pretend(folder: Path, name: str, output: str, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program of that name on the path that prints and exits."""
    tool = folder / name
    (folder / "output").write_text(output)
    tool.write_text(f"#!/bin/sh\ncat {folder / 'output'}\nexit {code}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def test_counters_are_read_by_kernel_in_our_units() -> None:
    found = {(one.step, one.name): one.value for one in read_counters(COUNTERS)}
    assert found["0:softmax_kernel", "ncu_us"] == pytest.approx(68.416)
    assert found["0:softmax_kernel", "ncu_dram_share"] == pytest.approx(0.915)
    assert found["1:join_kernel", "ncu_us"] == pytest.approx(2.0)
    assert len(found) == 5


def test_bank_conflicts_are_a_note(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "ncu", COUNTERS, 0, monkeypatch)
    found = profile_kernels(tmp_path / "x.dossier", "case")
    assert found.ran
    assert found.notes == ("0:softmax_kernel: 30% of its accesses to shared memory are bank conflicts",)


def test_a_sanitizers_finding_is_its_first_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "compute-sanitizer", REPORT, 86, monkeypatch)
    found = sanitize(tmp_path / "x.dossier", "case", "memcheck")
    assert found.ran
    assert found.notes == ("Invalid __global__ read of size 2 bytes",)
    assert [(one.name, one.value) for one in found.measures] == [("memcheck_findings", 1.0)]


def test_the_exit_code_decides_not_the_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "compute-sanitizer", REPORT, 0, monkeypatch)
    assert sanitize(tmp_path / "x.dossier", "case", "memcheck").notes == ()


def test_a_tool_that_fails_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "ncu", "==ERROR== The user does not have permission", 1, monkeypatch)
    found = profile_kernels(tmp_path / "x.dossier", "case")
    assert not found.ran
    assert "permission" in found.notes[0]


def test_a_missing_tool_is_said_to_be_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    found = sanitize(tmp_path / "x.dossier", "case", "racecheck")
    if found.ran:
        pytest.skip("this machine has the CUDA toolkit where it is usually installed")
    assert found.notes == ("not on this machine",)


def test_findings_join_a_profile() -> None:
    profile = Profile(bound="memory", own_share=1.0, steps_us=(), notes=("near the ceiling",))
    seen = with_findings(profile, (Inspection(tool="ncu", ran=False, notes=("not on this machine",)),))
    assert seen.notes == ("near the ceiling", "ncu: not on this machine")
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(seen), type=Profile) == seen
