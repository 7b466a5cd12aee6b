"""The GPUs of this machine, as the driver's own tool lists them: no CUDA context is made, and no library is needed."""

import shutil
import subprocess

import msgspec

_FIELDS = ("index", "uuid", "name", "compute_cap", "memory.total", "driver_version")
_LIMIT_S = 20.0  # the tool loads the driver, which takes seconds where nothing else keeps it loaded


class FoundDevice(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One GPU.

    Attributes:
        index: Its number, in the order of the bus.
        uuid: Its name for good, such as `GPU-5b0a...`.
        name: Its product name.
        target: Name of its architecture, such as `cuda:90`, whether Tilewright knows that or not.
        memory_bytes: Its memory.
        driver: Version of its driver.
        processes: Processes that compute on it now.
    """

    index: int
    uuid: str
    name: str
    target: str
    memory_bytes: int
    driver: str
    processes: int


def find_devices(visible: str | None = None) -> tuple[FoundDevice, ...]:
    """Return the GPUs of this machine, in the order of the bus; none where there is no driver.

    Args:
        visible: What `CUDA_VISIBLE_DEVICES` says: numbers or UUIDs, or None for all.
    """
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return ()
    rows = _query(tool, "--query-gpu=" + ",".join(_FIELDS))
    busy = [row[0] for row in _query(tool, "--query-compute-apps=gpu_uuid,pid")]
    found = tuple(_to_device(row, busy) for row in rows if len(row) == len(_FIELDS) and row[0].isdigit())
    if visible is None:
        return found
    names = [name.strip() for name in visible.split(",") if name.strip()]
    return tuple(one for one in found if _is_named(one, names))


def _query(tool: str, what: str) -> list[list[str]]:
    """Return the rows of an answer; none if the tool cannot reach a driver."""
    command = [tool, what, "--format=csv,noheader,nounits"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_LIMIT_S)
    except (OSError, subprocess.TimeoutExpired):
        return []
    if done.returncode != 0:
        return []
    return [[part.strip() for part in line.split(",")] for line in done.stdout.splitlines() if line.strip()]


def _to_device(row: list[str], busy: list[str]) -> FoundDevice:
    index, uuid, name, capability, memory, driver = row
    return FoundDevice(
        index=int(index),
        uuid=uuid,
        name=name,
        target=f"cuda:{capability.replace('.', '')}",
        memory_bytes=(int(memory) if memory.isdigit() else 0) << 20,
        driver=driver,
        processes=busy.count(uuid),
    )


def _is_named(device: FoundDevice, names: list[str]) -> bool:
    return any(name == str(device.index) or (name and device.uuid.startswith(name)) for name in names)
