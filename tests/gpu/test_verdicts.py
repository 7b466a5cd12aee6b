"""On a GPU no honest kernel is refused and no hack is accepted, and each hack ends as its header says."""

from collections.abc import Mapping

import pytest
from collection import Entry, hacks, honest
from preparing import Prepared, ending_of

from tilewright.evaluator.gpu.supervisor import GpuSupervisor

# The first of these tests waits until every candidate is recorded.
pytestmark = [pytest.mark.gpu, pytest.mark.timeout(600)]


@pytest.mark.parametrize("entry", honest(), ids=lambda entry: entry.name)
def test_an_honest_kernel_is_right(entry: Entry, prepared: Mapping[str, Prepared], supervisor: GpuSupervisor) -> None:
    found = prepared[entry.name]
    assert found.dossier, f"{found.ending}: {found.message}"
    report = supervisor.judge(found.dossier)
    assert report.failure is None, report.failure
    assert report.is_right, [stage for stage in report.stages if stage.verdict != "passed"]
    assert report.timing


@pytest.mark.parametrize("entry", hacks(), ids=lambda entry: entry.name)
def test_a_hack_ends_as_its_header_says(
    entry: Entry, prepared: Mapping[str, Prepared], supervisor: GpuSupervisor
) -> None:
    found = prepared[entry.name]
    if not found.dossier:
        assert found.ending in entry.endings, found.message
        return
    report = supervisor.judge(found.dossier)
    assert ending_of(report) in entry.endings, report.failure
