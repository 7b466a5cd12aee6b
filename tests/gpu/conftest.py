"""One judge for the session, as the product runs it, and every candidate recorded before the first verdict."""

import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

# Shared by several test files, and by the processes that record.
sys.path.insert(0, str(Path(__file__).parent))

from collection import hacks, honest
from preparing import QUIET_S, Prepared, prepare_all, quick_settings

from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.gpu.supervisor import GpuSupervisor


@pytest.fixture(scope="session")
def settings(tmp_path_factory: pytest.TempPathFactory) -> GpuSettings:
    work = str(Path(__file__).with_name("eager_work.py"))
    return GpuSettings(quiet_s=QUIET_S, cache=str(tmp_path_factory.mktemp("judge")), work=work)


@pytest.fixture(scope="session")
def prepared() -> Mapping[str, Prepared]:
    import torch

    major, minor = torch.cuda.get_device_capability()
    memory = torch.cuda.get_device_properties(0).total_memory
    chosen = quick_settings(f"cuda:{major}{minor}", memory)
    return prepare_all((*honest(), *hacks()), chosen, processes=max(1, (os.cpu_count() or 2) - 1))[0]


@pytest.fixture(scope="session")
def supervisor(settings: GpuSettings, prepared: Mapping[str, Prepared]) -> Iterator[GpuSupervisor]:
    with GpuSupervisor(0, settings) as made:
        yield made
