"""Propose the library's kernels for the task's family, the plain one first."""

from tilewright.agent.mutator import Proposal, Situation
from tilewright.agent.sketches.catalogue import sketches_for
from tilewright.tasks.candidate import Origin, source_sha


class SketchOperator:
    """Offline operator: each sketch of the family once, with its default knobs."""

    @property
    def name(self) -> str:
        """The operator's name in the archive."""
        return "sketch"

    async def propose(self, situation: Situation) -> Proposal | None:
        """Return the first sketch that the task has not seen, or None if there is none left."""
        sources = tuple(sketch.source for sketch in sketches_for(situation.task.family))
        tried = situation.history.tried(tuple(source_sha(source) for source in sources))
        source = next((source for source in sources if source_sha(source) not in tried), None)
        return None if source is None else Proposal(source=source, knobs=(), origin=Origin(operator=self.name))
