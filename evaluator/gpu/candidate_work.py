"""A candidate's plan on the input sets of a bench case: loaded, poisoned, captured, replayed, compared."""

import secrets
import time
from types import TracebackType
from typing import Protocol, Self

import torch

from tilewright.evaluator.dossier import Dossier
from tilewright.evaluator.gpu.agreement import find_disagreement
from tilewright.evaluator.gpu.arena import Arena
from tilewright.evaluator.gpu.bench import Bench
from tilewright.evaluator.gpu.binaries import Binaries
from tilewright.evaluator.gpu.captured import Captured, CaptureError
from tilewright.evaluator.gpu.driver import DriverError, synchronize
from tilewright.evaluator.gpu.instance import Instance
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import LaunchPlan

# Cycles that the device spins before a turn that is not captured, while the host enqueues ahead: about a millisecond.
_HEAD_START_CYCLES = 2_000_000


class Seat(Protocol):
    """Where a candidate's buffers and kernels are kept, for the life of the process."""

    @property
    def arena(self) -> Arena:
        """Device memory."""
        ...

    @property
    def binaries(self) -> Binaries:
        """Loaded kernels."""
        ...


class CandidateWork:
    """One side of a timing: a plan, once for each input set, on buffers of its own; use it as a context manager.

    The plan must have passed the large stages: what it does wrong here is taken for a slip of ours or for work that
    is only done when it is checked.

    Args:
        dossier: The candidate.
        bench: The case.
        seat: Where its buffers and kernels are.
        stream: Where it is captured.

    Attributes:
        host_us: What the host spent on enqueuing the plan once.
        notes: Why it is not captured, if it is not.

    Raises:
        ArenaFullError: There is too little device memory.
        DriverError: A launch failed.
        PlanMismatchError: The plan is not the case's.
    """

    def __init__(self, dossier: Dossier, bench: Bench, seat: Seat, stream: torch.cuda.Stream) -> None:
        self.plan: LaunchPlan = dossier.plan_of(bench.case.name)
        self.bench = bench
        self.stream = stream
        self.notes: tuple[str, ...] = ()
        self.instances: tuple[Instance, ...] = ()
        self._graph: Captured | None = None
        try:
            with torch.cuda.stream(stream):
                for _ in range(bench.sets.count):
                    self.instances = (*self.instances, Instance(self.plan, seat.binaries, seat.arena))
                synchronize()  # fresh blocks are filled on the default stream, which this one does not wait for
                for number, instance in enumerate(self.instances):
                    self.load(instance, number)
                self.host_us = self._enqueue_twice()
                self._poison = Captured(self._enqueue_poison, stream)
                self._capture()
        except BaseException:
            self.release()
            raise

    def __enter__(self) -> Self:
        """Return the work itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give the buffers back."""
        self.release()

    def release(self) -> None:
        """Give the buffers back; nothing may be replayed afterwards."""
        self._graph = None
        for one in self.instances:
            one.release()
        self.instances = ()

    def load(self, instance: Instance, number: int) -> None:
        """Fill an instance with a set's inputs and parameters."""
        sets = self.bench.sets
        instance.load_tensors(sets.tensors(number), sets.parameters[number], self.bench.case)

    def prepare(self) -> None:
        """Enqueue the poison, and the end of all baselines' answers."""
        for work in self.bench.works.works:
            work.overwrite()
        self._poison.replay()
        if self._graph is None:
            torch.cuda._sleep(_HEAD_START_CYCLES)  # type: ignore[no-untyped-call]  # torch's is not typed

    def run(self) -> None:
        """Enqueue one answer to every set."""
        if self._graph is not None:
            self._graph.replay()
        else:
            self.enqueue()

    def enqueue(self, without: int | None = None) -> None:
        """Enqueue the steps of every set, one of the plan's steps left out if asked."""
        stream = torch.cuda.current_stream().cuda_stream
        for one in self.instances:
            one.replay(stream, without=without)

    def enqueue_step(self, index: int) -> None:
        """Enqueue one of the plan's steps, for every set."""
        stream = torch.cuda.current_stream().cuda_stream
        for one in self.instances:
            one.replay_step(index, stream)

    def find_fault(self) -> Failure | None:
        """Compare what the last replay left with the fastest baseline's answers, and look at inputs and red zones."""
        bench = self.bench
        with torch.cuda.stream(self.stream):
            bench.fastest.run()
            got = (one.outputs() for one in self.instances)
            disagreement = find_disagreement(zip(got, bench.fastest.outputs, strict=True), bench.case)
            self.stream.synchronize()
        if disagreement is not None:
            hint = "do the same work in every launch, whatever the buffers hold"
            return self._fail(FailureKind.WRONG_VALUES, disagreement, hint)
        # one is looked at, at random: kernels cannot tell their sets apart, and the stages looked at all they ran
        chosen = secrets.choice(self.instances)
        changed, damaged = chosen.inputs_changed(), chosen.red_zones()
        if changed:
            return self._fail(FailureKind.INPUT_CHANGED, f"timed replays changed {', '.join(changed)}", "")
        if damaged is not None:
            return self._fail(FailureKind.OUT_OF_BOUNDS, f"timed replays wrote beyond {damaged}", "")
        return None

    def _enqueue_twice(self) -> float:
        """Replay every set twice, the first time for what is loaded lazily; return the host's microseconds for one."""
        elapsed_us = 0.0
        for _ in range(2):
            self._enqueue_poison()
            self.stream.synchronize()
            start_s = time.perf_counter()
            self.enqueue()
            elapsed_us = (time.perf_counter() - start_s) * 1e6
            self.stream.synchronize()
        return elapsed_us / len(self.instances)

    def _enqueue_poison(self) -> None:
        stream = torch.cuda.current_stream().cuda_stream
        for one in self.instances:
            one.poison(stream=stream, has_zones=False)  # zones were filled when the buffers were taken

    def _capture(self) -> None:
        """Capture the replays where that is possible."""
        if not all(one.is_capturable for one in self.instances):
            self.notes = ("timed by launches: a step of the plan waits for the device, so it cannot be captured",)
            return
        try:
            self._graph = Captured(self.enqueue, self.stream)
        except (CaptureError, DriverError) as error:
            self.notes = (f"timed by launches: {error}"[:200],)

    def _fail(self, kind: FailureKind, message: str, hint: str) -> Failure:
        return Failure(kind=kind, stage=Stage.TIMING, case=self.bench.case.name, message=message, hint=hint)
