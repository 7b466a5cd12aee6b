"""The GPUs of a machine, as its driver's tool lists them."""

from pathlib import Path

import pytest

from tilewright.evaluator.gpu.devices import find_devices

TOOL = """#!/bin/sh
case "$1" in
  --query-gpu=*)
    echo "0, GPU-aaaa, NVIDIA H200, 9.0, 143771, 580.95"
    echo "1, GPU-bbbb, NVIDIA RTX 4090, 8.9, 24564, 580.95" ;;
  *) echo "GPU-bbbb, 4242" ;;
esac
"""


@pytest.fixture
def tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "nvidia-smi"
    path.write_text(TOOL)
    path.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    return path


def test_each_gpu_is_listed_with_its_architecture_memory_and_users(tool: Path) -> None:
    first, second = find_devices()
    assert (first.name, first.target, first.processes) == ("NVIDIA H200", "cuda:90", 0)
    assert (second.target, second.memory_bytes, second.processes) == ("cuda:89", 24564 << 20, 1)


@pytest.mark.parametrize(("visible", "found"), [("1", [1]), ("GPU-aa", [0]), ("", []), ("1,0", [0, 1])])
def test_only_visible_gpus_are_found(tool: Path, visible: str, found: list[int]) -> None:
    assert [one.index for one in find_devices(visible)] == found


def test_without_a_driver_there_is_none(tool: Path) -> None:
    tool.write_text("#!/bin/sh\necho 'NVIDIA-SMI has failed'; exit 9\n")
    assert find_devices() == ()


def test_without_the_tool_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert find_devices() == ()
