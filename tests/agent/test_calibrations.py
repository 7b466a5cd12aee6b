"""An archive's measured times become constants beside it, and estimates of later runs use them."""

from pathlib import Path

import msgspec
import pytest
from archive_samples import BENCH, make_environment
from fake_pool import FakePool
from test_triage import Notes, search

from tilewright.agent.calibrations import (
    calibrate_device,
    calibration_path,
    measured_devices,
    stored_calibration,
)
from tilewright.archive.location import parse_location
from tilewright.archive.store import open_archive
from tilewright.evaluator.calibration_file import keep_calibration
from tilewright.evaluator.pool import Triage
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.evaluator.report import Report
from tilewright.evaluator.timing import TimeKind
from tilewright.sandbox.protocol import LaunchCount
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.errors import UserError
from tilewright.tasks.spec import KernelTask

COUNT = LaunchCount(
    kernel="softmax_kernel", programs=8192, load_bytes=1 << 27, store_bytes=1 << 27, load_sectors=1 << 22,
    store_sectors=1 << 22, atomic_operations=0, dot_flops=0, dot_dtype="", arithmetic_operations=1 << 28,
    special_operations=1 << 26, is_exact=False,
)  # fmt: skip


class MeasuringPool(FakePool):
    """Verdicts of the fake pool, as if read off a clock, with counted work."""

    async def judge(
        self, task: KernelTask, candidate: Candidate, recording: Recording, triage: Triage | None = None
    ) -> Report:
        report = await super().judge(task, candidate, recording)
        return msgspec.structs.replace(
            report,
            environment_id=make_environment().id,
            counts=tuple(CaseCount(case=case, launches=(COUNT,)) for case in BENCH),
            timing=tuple(msgspec.structs.replace(one, kind=TimeKind.MEASURED) for one in report.timing),
        )


def test_measured_times_of_an_archive_are_fitted_and_kept_beside_it(tmp_path: Path) -> None:
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        search(archive, MeasuringPool(), TimeKind.ESTIMATED, Notes())
        assert measured_devices(archive) == ("NVIDIA H200",)
        found = calibrate_device(archive, None)
        assert found.times >= 30
        assert {one.group.split()[1] for one in found.groups} == set(BENCH)
        assert stored_calibration(archive.location, "cuda:90") is None
        keep_calibration(calibration_path(archive.location), found)
        assert stored_calibration(archive.location, "cuda:90") == found
        assert stored_calibration(archive.location, "cuda:80") is None
    assert (tmp_path / "a.calibration.json").exists()


def test_estimates_are_no_times_to_fit_to(tmp_path: Path) -> None:
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        search(archive, FakePool(), TimeKind.ESTIMATED, Notes())
        with pytest.raises(UserError, match="expected measured times"):
            calibrate_device(archive, None)


def test_a_device_without_times_is_named_with_those_that_have_some(tmp_path: Path) -> None:
    with open_archive(tmp_path / "a.db", writable=True) as archive:
        search(archive, MeasuringPool(), TimeKind.ESTIMATED, Notes())
        with pytest.raises(UserError, match="one of NVIDIA H200; got 'GPU 7'"):
            calibrate_device(archive, "GPU 7")


def test_a_servers_calibrations_lie_in_this_folder() -> None:
    assert calibration_path(parse_location("postgresql://host/kernels")) == Path("kernels.calibration.json")
