"""Ray actors that judge on GPUs: one for each, never importing torch; a lost GPU leaves the others at work.

Importing Ray fixes some of its settings, so this module is imported within `cluster.ray_cluster` only.
"""

import asyncio

import msgspec
import ray
from ray.exceptions import RayError, RayTaskError

from tilewright.evaluator.gpu.errors import DeviceGoneError, JudgeFaultError
from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.gpu.supervisor import GpuSupervisor
from tilewright.evaluator.occasion import Occasion
from tilewright.evaluator.pool import EvaluationLostError
from tilewright.evaluator.ranked_places import RankedPlaces
from tilewright.evaluator.report import Environment, Report

_MARGIN_S = 120.0  # beyond the supervisor's own limits: only a stuck actor gets here
_ATTEMPTS = 2


class _GpuWorker:
    """A supervisor behind byte strings, on the GPU that Ray gave to the actor."""

    def __init__(self, settings: bytes) -> None:
        (device,) = ray.get_runtime_context().get_accelerator_ids()["GPU"]
        self._supervisor = GpuSupervisor(device, msgspec.msgpack.decode(settings, type=GpuSettings))

    def environment(self) -> bytes:
        return msgspec.msgpack.encode(self._supervisor.environment())

    def judge(self, dossier: bytes, occasion: str) -> bytes:
        return msgspec.msgpack.encode(self._supervisor.judge(dossier, Occasion(occasion)))


class RayGpus:
    """The GPUs of a run. A call takes one of them until it returns.

    Args:
        settings: What each supervisor needs to know.
        count: How many GPUs.
    """

    def __init__(self, settings: GpuSettings, count: int) -> None:
        self._settings = settings
        self._limit_s = 2 * settings.candidate_s + settings.start_s + _MARGIN_S
        self._left = count
        self._free: RankedPlaces[ray.actor.ActorHandle] = RankedPlaces()
        for _ in range(count):
            self._free.put_nowait(self._start())

    async def environment(self) -> Environment:
        """Describe where candidates are judged.

        Raises:
            DeviceGoneError: No GPU can be used.
        """
        return msgspec.msgpack.decode(await self._call("environment"), type=Environment)

    async def judge(self, dossier: bytes, occasion: Occasion, rank: float = 0.0) -> Report:
        """Judge a dossier; of those who wait the one with the lowest rank goes first.

        Raises:
            DeviceGoneError: No GPU is left.
            EvaluationLostError: The judge itself failed on this candidate.
        """
        return msgspec.msgpack.decode(await self._call("judge", dossier, occasion.value, rank=rank), type=Report)

    def close(self) -> None:
        """End every actor that no call is using."""
        while not self._free.empty():
            ray.kill(self._free.get_nowait())

    def _start(self) -> "ray.actor.ActorHandle":
        actor = ray.remote(num_gpus=1, num_cpus=0, max_restarts=0, max_task_retries=0)(_GpuWorker)
        return actor.remote(msgspec.msgpack.encode(self._settings))

    async def _call(self, verb: str, *payload: bytes | str, rank: float = 0.0) -> bytes:
        lost = 0
        while True:
            worker = await self._free.get(rank)
            try:
                data: bytes = await asyncio.wait_for(getattr(worker, verb).remote(*payload), self._limit_s)
            except RayTaskError as error:
                self._settle(worker, verb, error)
            except (RayError, TimeoutError) as error:
                ray.kill(worker)
                self._free.put_nowait(self._start())
                lost += 1
                if lost == _ATTEMPTS:
                    kind = type(error).__name__
                    raise EvaluationLostError(f"the worker of a GPU was lost twice during {verb}: {kind}") from error
            except BaseException:
                self._free.put_nowait(worker)
                raise
            else:
                self._free.put_nowait(worker)
                return data

    def _settle(self, worker: "ray.actor.ActorHandle", verb: str, error: RayTaskError) -> None:
        """Let a worker go whose GPU is lost, so that the call can go to another; raise what is no such loss.

        Raises:
            DeviceGoneError: It was the last one; whoever waits for a GPU is told so, too.
            EvaluationLostError: The GPU is well, the judge is not.
        """
        if not isinstance(error.cause, DeviceGoneError):
            self._free.put_nowait(worker)
            what = str(error.cause) if isinstance(error.cause, JudgeFaultError) else f"it raised {error.cause!r}"
            raise EvaluationLostError(f"expected the worker of a GPU to {verb}; {what}") from error
        if self._left == 1:
            self._free.put_nowait(worker)  # it may be back for a later call, and nobody waits for ever
            raise error.cause
        self._left -= 1
        ray.kill(worker)
