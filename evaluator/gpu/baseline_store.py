"""Baselines of tasks as they were measured once in an environment, kept in a folder; loads no torch."""

import hashlib
from pathlib import Path

import msgspec

from tilewright.evaluator.timing import Baseline


class BaselineRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was measured for one case.

    Attributes:
        attempted: Baselines that were begun; one that is here and not among the others never ended.
        baselines: Times, the fastest first.
        notes: Which ones do not work, and why.
    """

    attempted: tuple[str, ...] = ()
    baselines: tuple[Baseline, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def is_complete(self) -> bool:
        """Whether every baseline that works was measured."""
        return bool(self.baselines)


class BaselineStore:
    """Records by task, case and environment.

    Args:
        folder: Where they are kept; None keeps them for this process only.
        environment: What times depend on: device, driver, torch.
    """

    def __init__(self, folder: Path | None, environment: tuple[str, ...]) -> None:
        self._folder = folder
        self._environment = environment
        self._kept: dict[str, BaselineRecord] = {}

    def find(self, task_id: str, case: str) -> BaselineRecord:
        """Return what is known; an empty record if nothing is."""
        name = self._name(task_id, case)
        if name not in self._kept and self._folder is not None:
            try:
                self._kept[name] = msgspec.json.decode((self._folder / name).read_bytes(), type=BaselineRecord)
            except (FileNotFoundError, msgspec.DecodeError):
                return BaselineRecord()  # not measured yet, or by another version: measured again
        return self._kept.get(name, BaselineRecord())

    def keep(self, task_id: str, case: str, record: BaselineRecord) -> None:
        """Keep a record in place of an earlier one."""
        name = self._name(task_id, case)
        self._kept[name] = record
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        partial = self._folder / f"{name}.partial"
        partial.write_bytes(msgspec.json.format(msgspec.json.encode(record)))
        partial.replace(self._folder / name)

    def _name(self, task_id: str, case: str) -> str:
        digest = hashlib.sha256(repr((task_id, case, self._environment)).encode()).hexdigest()
        return f"baselines-{digest[:24]}.json"
