"""Record the pictures of README.md from a real run: the terminal and the map of cells.

    python benchmarks/pictures.py examples/softmax.py --budget 120s

Writes docs/search.svg and docs/map.svg, and leaves the run's files in a temporary folder.
"""

import argparse
import io
import os
import tempfile
from pathlib import Path

from rich.console import Console

from tilewright.agent import api
from tilewright.agent.progress import LiveView
from tilewright.agent.views import print_outcome
from tilewright.archive.browse import list_map, to_table
from tilewright.archive.store import open_archive

DOCS = Path(__file__).resolve().parents[1] / "docs"


def main() -> None:
    """Run a search under a live view and save what it shows."""
    parser = argparse.ArgumentParser()
    parser.add_argument("file", type=Path)
    parser.add_argument("--budget", default="120s")
    arguments = parser.parse_args()
    file = arguments.file.resolve()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        outcome, view = _search(file, arguments.budget)
        _save_terminal(f"$ tilewright optimize {arguments.file} --budget {arguments.budget}", outcome, view)
        _save_map(outcome)


def _search(file: Path, budget: str) -> tuple[api.RunOutcome, LiveView]:
    with LiveView(Console(stderr=True)) as view:
        return api.optimize(file, api.RunRequest(budget=budget), observer=view), view


def _save_terminal(command: str, outcome: api.RunOutcome, view: LiveView) -> None:
    console = Console(record=True, width=132, file=io.StringIO(), force_terminal=True)
    console.print(command, style="bold", highlight=False)
    console.print(view)
    print_outcome(console, outcome, as_json=False)
    console.save_svg(str(DOCS / "search.svg"), title="tilewright optimize")


def _save_map(outcome: api.RunOutcome) -> None:
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True)
    with open_archive(outcome.archive, writable=False) as archive:
        run = archive.run(outcome.run)
        rows = archive.elites(run.id, archive.run_tasks(run.id)[0])
    console.print(to_table(list_map(rows, run.name)))
    console.save_svg(str(DOCS / "map.svg"), title="tilewright archive map")


if __name__ == "__main__":
    main()
