"""Whether a run's times are measured on this machine's GPUs or estimated, and why."""

import importlib.util
import os
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec

from tilewright.agent.config import local_devices
from tilewright.evaluator.gpu.devices import FoundDevice
from tilewright.evaluator.timing import TimeKind
from tilewright.tasks.errors import UserError

_EXTRA = "pip install 'tilewright[gpu]'"


class Judging(msgspec.Struct, frozen=True, kw_only=True):
    """How candidates are judged.

    Attributes:
        devices: GPUs that measure; none: times are estimated.
        reason: Why they are estimated; empty if they are measured.
    """

    devices: tuple[FoundDevice, ...] = ()
    reason: str = ""

    @property
    def kind(self) -> TimeKind:
        """Whether times are measured or estimated."""
        return TimeKind.MEASURED if self.devices else TimeKind.ESTIMATED

    @property
    def uuids(self) -> tuple[str, ...]:
        """Names of the devices for good."""
        return tuple(one.uuid for one in self.devices)


def choose_judging(target: str, *, is_deterministic: bool = False, ray_address: str | None = None) -> Judging:
    """Measure where this machine has a free GPU of the target and what replaying needs; else estimate, and say why."""
    if is_deterministic:
        return Judging(reason="a deterministic run cannot depend on measured times")
    if ray_address is not None:
        return Judging(reason="GPUs of a joined cluster are not used: run on the machine that has them")
    devices = local_devices()
    if not devices:
        return Judging(reason="no CUDA device was found on this machine")
    fitting = tuple(one for one in devices if one.target == target)
    if not fitting:
        return Judging(reason=f"kernels are for {target}, and the GPU here ({devices[0].name}) is {devices[0].target}")
    free = tuple(one for one in fitting if one.processes == 0)
    if not free:
        busy = fitting[0]
        return Judging(
            reason=f"GPU {busy.index} ({busy.name}) is in use by {busy.processes} other processes: free it first"
        )
    missing = missing_package()
    # times of two parts do not compare, though both may be of the target
    alike = tuple(one for one in free if one.name == free[0].name)
    return Judging(reason=missing) if missing else Judging(devices=alike)


def keep_judging(kind: TimeKind, target: str) -> Judging:
    """Return how a stored run goes on: as it began.

    Raises:
        UserError: It is a measured run, and nothing here can measure.
    """
    if kind is TimeKind.ESTIMATED:
        return Judging(reason="the run began so")
    found = choose_judging(target)
    if not found.devices:
        raise UserError(
            f"expected a GPU of {target} to go on with a measured run; {found.reason}: resume it where it began, "
            "or start another run"
        )
    return found


def missing_package() -> str:
    """Return what is to be installed before anything can be measured; empty if nothing. Loads none of it."""
    for module, name in (("cuda", "cuda-bindings"), ("cuda.bindings", "cuda-bindings"), ("pynvml", "nvidia-ml-py")):
        if importlib.util.find_spec(module) is None:
            return f"{name} is missing: {_EXTRA}"
    try:
        torch = version("torch")
    except PackageNotFoundError:
        return "torch is missing"
    return f"torch {torch} is a build without CUDA" if torch.endswith("+cpu") else ""


def cache_folder() -> Path:
    """Return the user's folder for what can be measured or compiled again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tilewright"
