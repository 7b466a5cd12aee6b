"""Timing on a real device: plans of ATen steps stand in for candidates, so nothing is recorded or compiled."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tilewright.evaluator.dossier import Dossier, Trials
from tilewright.evaluator.gpu.bench import Bench
from tilewright.evaluator.gpu.candidate_work import CandidateWork
from tilewright.evaluator.gpu.captured import Captured, CaptureError
from tilewright.evaluator.gpu.context import DeviceContext
from tilewright.evaluator.gpu.integrity import find_idle_kernel, measure_steps
from tilewright.evaluator.gpu.measured_hardware import load_or_measure
from tilewright.evaluator.gpu.stopwatch import Stopwatch
from tilewright.evaluator.gpu.timing_schedule import TimingBudget
from tilewright.evaluator.gpu.workplace import WorkplaceSettings, open_stopwatch
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.timing import TimeKind, Timing
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import Alloc, Aten, Buffer, BufferOrigin, LaunchPlan, View
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.derivation import describe
from tilewright.tasks.spec import Case, CaseRole, TensorSpec

pytestmark = pytest.mark.gpu

TASK = """
import torch
from torch import nn

rows = 2048
cols = 2048


class Model(nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cols))

    def forward(self, x):
        return x * self.weight


def get_inputs():
    return [torch.randn(rows, cols)]


def get_init_inputs():
    return [cols]


CASES = {"bench": [{"rows": 2048, "cols": 2048, "dtype": "float16"}]}
"""


@pytest.fixture(scope="module")
def context() -> Iterator[DeviceContext]:
    with DeviceContext() as opened:
        yield opened


@pytest.fixture(scope="module")
def stopwatch(context: DeviceContext, tmp_path_factory: pytest.TempPathFactory) -> Stopwatch:
    major, minor = torch.cuda.get_device_capability()
    settings = WorkplaceSettings(
        target=f"cuda:{major}{minor}", cache=str(tmp_path_factory.mktemp("cache")), baselines=("eager",)
    )
    return open_stopwatch(settings, context.device)


def _dossier(*operations: str) -> Dossier:
    """Return a dossier whose plan applies operations to the input and the weight, each on what came before."""
    task = describe(TASK, "scaled")
    case = task.cases_of(CaseRole.BENCH)[0]
    x, weight = case.inputs[0], case.parameters[0].tensor
    assert isinstance(x, TensorSpec)
    count = 2 + len(operations)
    given = ((BufferOrigin.INPUT, "input 0", x), (BufferOrigin.PARAMETER, "weight", weight))
    made = tuple((BufferOrigin.SCRATCH, "empty", x) for _ in operations)
    buffers = tuple(
        Buffer(
            index=index, bytes=spec.storage_bytes, origin=origin, name=name, dtype="float16", first_step=0,
            last_step=count,
        )
        for index, (origin, name, spec) in enumerate((*given, *made))
    )  # fmt: skip
    steps: list[Alloc | Aten] = []
    for index, operation in enumerate(operations):
        source = View(buffer=0 if index == 0 else index + 1, tensor=x)
        steps.append(Alloc(buffer=index + 2))
        steps.append(
            Aten(
                operation=operation, arguments=(source, View(buffer=1, tensor=weight)), keywords=(),
                outputs=(View(buffer=index + 2, tensor=x),),
            )
        )  # fmt: skip
    plan = LaunchPlan(
        target="cuda:90", case=case.name, buffers=buffers, steps=tuple(steps),
        outputs=(View(buffer=count - 1, tensor=x),),
    )  # fmt: skip
    candidate = Candidate(task_id=task.id, source="", knobs=(), origin=Origin(operator="test"))
    recording = Recording(
        candidate_id=candidate.id, target="cuda:90", plans=(plan,), builds=(), knobs=(), wall_s=0.0
    )  # fmt: skip
    trials = Trials(seed=0, small=(), large=())
    return Dossier(task=task, candidate=candidate, recording=recording, trials=trials, plans=(), binaries=())


def _case(dossier: Dossier) -> Case:
    return dossier.task.cases_of(CaseRole.BENCH)[0]


def _bench(stopwatch: Stopwatch, dossier: Dossier) -> Bench:
    return stopwatch.benches.prepare(dossier.task, _case(dossier))


def test_a_right_plan_is_timed_beside_its_baseline(context: DeviceContext, stopwatch: Stopwatch) -> None:
    dossier = _dossier("aten.mul.Tensor")
    timing = stopwatch.time_case(dossier, _case(dossier), context, TimingBudget.search())
    assert isinstance(timing, Timing)
    assert timing.kind is TimeKind.MEASURED
    assert timing.paired is not None
    assert timing.paired.low <= timing.paired.median <= timing.paired.high
    # the replayed operation computes, then copies to where the plan says: slower, but no other order of magnitude
    assert 0.2 < timing.speedup < 1.1
    assert timing.floor_us < timing.candidate.median_us
    assert timing.host_us is not None


def test_two_windows_of_one_plan_agree(context: DeviceContext, stopwatch: Stopwatch) -> None:
    dossier = _dossier("aten.mul.Tensor")
    found = [stopwatch.time_case(dossier, _case(dossier), context, TimingBudget.search()) for _ in range(2)]
    times = [one.candidate.median_us for one in found if isinstance(one, Timing)]
    assert len(times) == 2
    assert times[0] == pytest.approx(times[1], rel=0.05)


def test_timed_outputs_that_are_not_the_baselines_are_the_candidates_fault(
    context: DeviceContext, stopwatch: Stopwatch
) -> None:
    dossier = _dossier("aten.add.Tensor")
    found = stopwatch.time_case(dossier, _case(dossier), context, TimingBudget.search())
    assert isinstance(found, Failure)
    assert (found.kind, found.stage) == (FailureKind.WRONG_VALUES, Stage.TIMING)


def test_no_answer_of_a_baseline_is_left_when_the_candidate_starts(
    context: DeviceContext, stopwatch: Stopwatch
) -> None:
    dossier = _dossier("aten.mul.Tensor")
    bench = _bench(stopwatch, dossier)
    with CandidateWork(dossier, bench, context, stopwatch.benches.stream) as work:
        with torch.cuda.stream(stopwatch.benches.stream):
            bench.fastest.run()
            answers = [one.clone() for one in bench.fastest.outputs[0]]
            work.prepare()
        torch.cuda.synchronize()
        assert answers[0].isfinite().all()
        assert all(one.isnan().all() for outputs in bench.fastest.outputs for one in outputs)
        assert all(one.isnan().all() for instance in work.instances for one in instance.outputs())


def test_a_baseline_answers_as_before_once_its_memory_was_overwritten(stopwatch: Stopwatch) -> None:
    bench = _bench(stopwatch, _dossier("aten.mul.Tensor"))
    with torch.cuda.stream(stopwatch.benches.stream):
        bench.fastest.run()
        before = [one[0].clone() for one in bench.fastest.outputs]
        bench.fastest.overwrite()
        bench.fastest.run()
        assert all(torch.equal(one[0], other) for one, other in zip(bench.fastest.outputs, before, strict=True))


def test_steps_share_the_plans_time(context: DeviceContext, stopwatch: Stopwatch) -> None:
    dossier = _dossier("aten.mul.Tensor", "aten.mul.Tensor")
    with CandidateWork(dossier, _bench(stopwatch, dossier), context, stopwatch.benches.stream) as work:
        shares = measure_steps(work, total_us=30.0)
        assert find_idle_kernel(work) is None  # it launches none of its own
    assert [one.name for one in shares.steps] == ["aten.mul.Tensor"] * 2
    assert sum(one.us for one in shares.steps) == pytest.approx(30)
    assert shares.steps[0].us == pytest.approx(shares.steps[1].us, rel=0.3)
    assert shares.own_share == 0


def test_work_that_waits_for_the_device_cannot_be_captured_and_leaves_the_stream_usable(stopwatch: Stopwatch) -> None:
    stream = stopwatch.benches.stream
    one = torch.ones(4, device="cuda")

    def wait() -> None:
        one.sum().item()

    with pytest.raises(CaptureError):
        Captured(wait, stream)
    with torch.cuda.stream(stream):
        assert (one + 1).tolist() == [2] * 4


def test_rates_are_measured_once_and_then_read(context: DeviceContext, tmp_path: Path) -> None:
    path = tmp_path / "made" / "hardware.json"
    measured = load_or_measure(path, context.device, "1.2.3")
    assert load_or_measure(path, context.device, "1.2.3") == measured
    assert measured.stream_gb_s(1, 1) > 100
    assert (measured.matrix_tflops("float16") or 0) > (measured.matrix_tflops("float32") or 0) > 0
    assert 0.3 < measured.gap_us <= measured.launch_us < 20
