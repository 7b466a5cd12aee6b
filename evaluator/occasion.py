"""Why a candidate is judged: it decides the secret cases, the process and how long it is timed."""

from enum import StrEnum

_SEED_STEP = 1_000_003


class Occasion(StrEnum):
    """Why a candidate is judged."""

    SEARCH = "search"  # for the first time, among thousands
    FINAL = "final"  # what a run ends with: judged again, every baseline measured beside it
    ELITE = "elite"  # before it takes a cell: judged again

    @property
    def is_again(self) -> bool:
        """Whether it was judged before: then by a process that has met no other candidate."""
        return self is not Occasion.SEARCH

    def seed(self, seed: int) -> int:
        """Return the seed of this occasion: no candidate has met its secret cases on another one."""
        return seed + _SEED_STEP * list(Occasion).index(self)
