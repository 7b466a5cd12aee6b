"""GPU work captured once in a CUDA graph and replayed many times, timed turn by turn between device events."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch

from tilewright.evaluator.gpu import driver

# Reading this many times the second-level cache leaves nothing of the turn before in it, dirty lines least of all.
_FLUSH_TIMES = 2


class CaptureError(Exception):
    """Work cannot be captured: it waits for the device, or frees or maps memory."""


class Captured:
    """Work captured in a CUDA graph.

    Args:
        work: Enqueues the work on torch's current stream. It must have run once before, outside of a capture, so
            that what it loads or allocates lazily is there.
        stream: A stream that is not the default one.

    Raises:
        CaptureError: The work cannot be captured.
    """

    def __init__(self, work: Callable[[], None], stream: torch.cuda.Stream) -> None:
        self._graph = torch.cuda.CUDAGraph()
        torch.cuda.synchronize()
        with torch.cuda.stream(stream):
            self._graph.capture_begin(capture_error_mode="thread_local")
            try:
                work()
            except BaseException as error:
                self._abandon()
                if isinstance(error, RuntimeError):
                    raise CaptureError(f"the work cannot be captured: {error}") from error
                raise
            try:
                self._graph.capture_end()
            except RuntimeError as error:
                _renew_generator()
                raise CaptureError(f"the work cannot be captured: {error}") from error
        self._segments: tuple[tuple[int, int], ...] | None = None

    def replay(self) -> None:
        """Enqueue the work on torch's current stream."""
        self._graph.replay()

    def overwrite(self, byte: int) -> None:
        """Enqueue the filling of all memory that the work allocated, results and what led to them.

        A candidate that runs afterwards cannot find an answer there.
        """
        stream = torch.cuda.current_stream().cuda_stream
        if self._segments is None:
            self._segments = self._find_segments()
        for address, size in self._segments:
            driver.fill(address, byte, size, stream)

    def _abandon(self) -> None:
        """End a capture that went wrong, so that the stream is of use again."""
        try:
            self._graph.capture_end()
        except RuntimeError:  # the driver gave the capture up itself
            _renew_generator()

    def _find_segments(self) -> tuple[tuple[int, int], ...]:
        """Return address and bytes of the memory that belongs to the graph."""
        pool = tuple(self._graph.pool())
        segments = torch.cuda.memory_snapshot()  # type: ignore[no-untyped-call]  # torch's is not typed
        return tuple(
            (int(one["address"]), int(one["total_size"])) for one in segments if tuple(one["segment_pool_id"]) == pool
        )


class CacheFlush:
    """Empties the second-level cache by reading, which leaves no lines to be written back in the timed work.

    Args:
        l2_bytes: Size of the cache.
        device: The device.
    """

    def __init__(self, l2_bytes: int, device: torch.device) -> None:
        self._buffer = torch.zeros(_FLUSH_TIMES * l2_bytes // 4, dtype=torch.float32, device=device)
        self._sum = torch.zeros((), dtype=torch.float32, device=device)

    def __call__(self) -> None:
        """Enqueue the reads on torch's current stream."""
        torch.sum(self._buffer, dim=0, out=self._sum)


class Contestant(Protocol):
    """One side of a comparison."""

    def prepare(self) -> None:
        """Enqueue what must happen before a turn and is not timed."""
        ...

    def run(self) -> None:
        """Enqueue the timed work."""
        ...


@dataclass(frozen=True, slots=True)
class Replays:
    """Captured work as a contestant that needs no preparation."""

    work: Captured

    def prepare(self) -> None:
        """Nothing is left to do before a turn."""

    def run(self) -> None:
        """Enqueue the work."""
        self.work.replay()


def nothing() -> None:
    """Leave the cache as it is."""


def take_turns(
    contestants: Mapping[str, Contestant], order: Sequence[str], flush: Callable[[], None]
) -> Mapping[str, tuple[float, ...]]:
    """Run contestants in an order, each turn after its preparation and a flush of the cache.

    Everything is enqueued ahead of the device on torch's current stream; the host waits once, at the end.

    Returns:
        Microseconds of each turn, by contestant, in order.
    """
    marks: list[tuple[str, torch.cuda.Event, torch.cuda.Event]] = []
    for side in order:
        begin, end = _mark(), _mark()
        contestants[side].prepare()
        flush()
        begin.record()
        contestants[side].run()
        end.record()
        marks.append((side, begin, end))
    torch.cuda.current_stream().synchronize()
    return {
        side: tuple(begin.elapsed_time(end) * 1e3 for one, begin, end in marks if one == side) for side in contestants
    }


def _renew_generator() -> None:
    """Give the device's random numbers a state that is in no capture: one that fails leaves the old one in it."""
    generator = torch.cuda.default_generators[torch.cuda.current_device()]
    generator.graphsafe_set_state(generator.clone_state())


def _mark() -> torch.cuda.Event:
    event: torch.cuda.Event = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]  # torch's is not typed
    return event
