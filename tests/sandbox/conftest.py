import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

# Shared by several test files and run as a child process, so modules and not fixtures.
sys.path.insert(0, str(Path(__file__).parent))

from interpreting import Child


@pytest.fixture(scope="session")
def child() -> Iterator[Child]:
    """A process with Triton's interpreter; it starts in seconds, so all tests share it."""
    process = Child()
    yield process
    process.close()
