"""One step of the search, on one screen: each line names the file that does it."""

from tilewright.agent.choice import plan, propose
from tilewright.agent.outcome import duplicate, idle, judged, lost, refused
from tilewright.agent.search import Search
from tilewright.archive.records import Insertion
from tilewright.evaluator.pool import EvaluationLostError
from tilewright.evaluator.reward import score
from tilewright.sandbox.failure import Failure


async def step(search: Search, number: int) -> Insertion:
    """Carry one candidate from selection to the archive.

    A step that is started ends in exactly one final row, whatever the candidate does. What raises here is our
    own failure; the step then stays open in the archive, and a resumed run takes it up where it was.

    Args:
        search: The task, the archive and the places to work.
        number: The step's number within the run's task; it decides all the step's random draws.

    Raises:
        ArchiveError: The archive cannot be written.
    """
    async with search.turns.choosing(number):
        planned = plan(search, number)  # archive/selection.py chooses parents, agent/bandit.py the operator
        candidate = await propose(search, planned)  # agent/operators/
    try:
        if candidate is None:
            finished = idle(planned)
        elif isinstance(recording := await search.pool.record(search.task, candidate), Failure):  # sandbox/recorder.py
            finished = refused(planned, candidate, recording)
        elif earlier := search.earlier_twin(recording):  # archive/store.py: the same machine code
            finished = duplicate(planned, candidate, recording, earlier)
        else:
            report = await search.pool.judge(search.task, candidate, recording)  # evaluator/judge.py
            finished = judged(planned, candidate, recording, report, score(report))  # evaluator/reward.py
    except EvaluationLostError:
        finished = lost(planned, candidate)
    async with search.turns.committing(number):
        return search.commit(finished)  # archive/store.py: one transaction
