"""The archive as an operator may ask it about one task of one run."""

from tilewright.archive.records import Attempt, ProgramSummary, StepKey
from tilewright.archive.store import Archive
from tilewright.tasks.candidate import KnobRange


class ArchiveHistory:
    """What is known of the programs of a step's task, steps in flight included."""

    def __init__(self, archive: Archive, key: StepKey) -> None:
        self._archive = archive
        self._run_id = key.run_id
        self._task_id = key.task_id

    def tried(self, source_shas: tuple[str, ...]) -> frozenset[str]:
        """Return those of some programs that were ever proposed."""
        return self._archive.tried(self._run_id, self._task_id, source_shas)

    def programs(self) -> tuple[ProgramSummary, ...]:
        """Return the programs with a right candidate, the fastest first."""
        return self._archive.programs(self._run_id, self._task_id)

    def trials(self, source_sha: str) -> tuple[Attempt, ...]:
        """Return the settings of one program that were tried, newest first."""
        return self._archive.trials(self._run_id, self._task_id, source_sha)

    def knob_table(self, source_sha: str) -> tuple[KnobRange, ...]:
        """Return the knobs of a program, autotune configurations included."""
        return self._archive.knob_table(self._run_id, self._task_id, source_sha)

    def source(self, candidate_id: str) -> str:
        """Return a candidate's text."""
        return self._archive.candidate(candidate_id).source
