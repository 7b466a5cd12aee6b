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
        for sketch in sketches_for(situation.task.family):
            source = sketch.source
            if not situation.history.has_tried(source_sha(source)):
                return Proposal(source=source, knobs=(), origin=Origin(operator=self.name))
        return None
