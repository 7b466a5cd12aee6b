"""How much a run may spend: candidates and wall seconds, as hard caps."""

import re

import msgspec

from tilewright.archive.runs import Spent
from tilewright.tasks.errors import UserError


class BudgetError(UserError):
    """The user's budget cannot be read."""


class Budget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Caps of a run; None is no cap. The first cap reached ends the task or the run.

    Attributes:
        wall_s: Wall seconds of the whole run, over all its resumptions.
        candidates: Finished candidates of the whole run.
        task_wall_s: Wall seconds of each task.
        task_candidates: Finished candidates of each task.
    """

    wall_s: float | None = None
    candidates: int | None = None
    task_wall_s: float | None = None
    task_candidates: int | None = None

    def share_for(self, spent: Spent, tasks_left: int) -> "Budget":
        """Return the caps of the next task: its own ones and an equal share of what is left of the run's.

        Args:
            spent: What the finished tasks of the run have used.
            tasks_left: Tasks not yet finished, this one included.
        """
        wall_s = _least(self.task_wall_s, _share(self.wall_s, spent.wall_s, tasks_left))
        candidates = _least(self.task_candidates, _share(self.candidates, _steps(spent), tasks_left))
        return Budget(task_wall_s=wall_s, task_candidates=None if candidates is None else int(candidates))

    def is_reached(self, spent: Spent, in_flight: int = 0) -> bool:
        """Tell whether a task that has spent this much may start no further candidate.

        Args:
            spent: What the task has used.
            in_flight: Candidates that are started and not finished; they count against the cap.
        """
        if self.task_wall_s is not None and spent.wall_s >= self.task_wall_s:
            return True
        return self.task_candidates is not None and _steps(spent) + in_flight >= self.task_candidates


_PART = re.compile(r"(?P<amount>\d+(?:\.\d+)?)(?P<unit>s|m|h|c)(?P<each>-per-task)?")
_SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}


def parse_budget(text: str) -> Budget:
    """Read a budget such as `120s`, `500c`, `60s-per-task` or `10m+200c`.

    Raises:
        BudgetError: The text is none of these, or names one kind of cap twice.
    """
    caps: dict[str, float] = {}
    for part in text.split("+"):
        match = _PART.fullmatch(part.strip())
        if match is None:
            raise BudgetError(
                f"expected a budget such as 120s, 500c, 60s-per-task or 10m+200c; got {text!r} (units: s m h c)"
            )
        prefix = "task_" if match["each"] else ""
        is_count = match["unit"] == "c"
        name = prefix + ("candidates" if is_count else "wall_s")
        amount = float(match["amount"]) * (1.0 if is_count else _SECONDS[match["unit"]])
        if name in caps or amount <= 0 or (is_count and amount != int(amount)):
            raise BudgetError(
                f"expected each cap once, above zero and candidates whole; got {part.strip()!r} in {text!r}"
            )
        caps[name] = amount
    counts = {name: int(amount) for name, amount in caps.items() if name.endswith("candidates")}
    return msgspec.convert({**caps, **counts}, Budget)


def _steps(spent: Spent) -> int:
    """Return the finished steps: duplicates cost a build, so they count, and the count is the same on every replay."""
    return spent.candidates + spent.duplicates


def _share(cap: float | None, used: float, tasks_left: int) -> float | None:
    return None if cap is None else max(cap - used, 0.0) / tasks_left


def _least(first: float | None, second: float | None) -> float | None:
    caps = [cap for cap in (first, second) if cap is not None]
    return min(caps) if caps else None
