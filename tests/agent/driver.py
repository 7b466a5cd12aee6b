"""A driver to be killed: begins or goes on with a deterministic run, says each step that the archive acknowledged."""

import asyncio
import random
import sys

import msgspec
from archive_samples import make_task
from fake_pool import FakePool

from tilewright.agent.budget import parse_budget
from tilewright.agent.campaign import Campaign, begin, conduct
from tilewright.agent.config import RunConfig
from tilewright.agent.progress import Silence
from tilewright.archive.records import FinishedStep, Insertion
from tilewright.archive.store import open_archive


class Herald(Silence):
    def step_ends(self, finished: FinishedStep, insertion: Insertion) -> None:
        sys.stdout.write(f"{finished.key.number}\n")
        sys.stdout.flush()


def main(path: str, candidates: int) -> None:
    config = RunConfig(target="cuda:90", budget=parse_budget(f"{candidates}c"), seed=5, places=2, is_deterministic=True)
    with open_archive(path, writable=True) as archive:
        runs = archive.runs()
        record = runs[0] if runs else begin(archive, "run", config, (make_task(),))
        stored = msgspec.json.decode(record.config_json, type=RunConfig)
        campaign = Campaign(
            run_id=record.id,
            config=stored,
            tasks=tuple(archive.task(one) for one in stored.task_ids),
            archive=archive,
            pool=FakePool(lambda: random.random() * 0.01),
            observer=Herald(),
        )
        asyncio.run(conduct(campaign, asyncio.Event()))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
