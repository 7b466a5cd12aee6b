import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def tilewright(tmp_path: Path) -> Run:
    """Run the command line in a folder of its own, as a user would."""

    def run(*arguments: str, timeout: float = 240.0) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-m", "tilewright.cli", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=timeout, check=False)

    return run
