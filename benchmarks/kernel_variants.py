"""Many different kernels for one task: the sketches with the knobs that they declare, then with wider ones."""

import ast
import itertools
from collections.abc import Iterator

import numpy

from tilewright.agent.sketches.catalogue import sketches_for
from tilewright.tasks.candidate import Candidate, Knob, Origin
from tilewright.tasks.spec import KernelTask

Ranges = dict[str, tuple[int, ...]]

# Values that a search might come to, beyond those that the sketches declare.
_WIDER: Ranges = {
    "num_warps": (1, 2, 4, 8, 16, 32),
    "num_stages": (1, 2, 3, 4, 5),
    "BLOCK_N": (512, 1024, 2048, 4096, 8192, 16384),
    "ELEMENTS": (4, 8, 16, 32, 64, 128),
    "ROWS": (1, 2, 4, 8, 16),
    "PROGRAMS": (1, 2, 3, 4, 6, 8, 12, 16),
}


def variants(task: KernelTask, seed: int) -> Iterator[Candidate]:
    """Yield candidates in a fixed order, one sketch after the other in turn, declared knobs before wider ones."""
    sources = [sketch.source for sketch in sketches_for(task.family)]
    wider = [_widened(source) for source in sources]
    yield from _in_turn(task, sources, seed)
    yield from _in_turn(task, wider, seed + 1)


def _in_turn(task: KernelTask, sources: list[str], seed: int) -> Iterator[Candidate]:
    streams = [_settings(_ranges(source), seed + place) for place, source in enumerate(sources)]
    for row in itertools.zip_longest(*streams):
        for source, knobs in zip(sources, row, strict=True):
            if knobs is not None:
                yield Candidate(task_id=task.id, source=source, knobs=knobs, origin=Origin(operator="user"))


def _settings(ranges: Ranges, seed: int) -> Iterator[tuple[Knob, ...]]:
    """Yield every setting of a program once, in a shuffled order."""
    grid = list(itertools.product(*ranges.values()))
    for place in numpy.random.default_rng(seed).permutation(len(grid)):
        yield tuple(Knob(name=name, value=value) for name, value in sorted(zip(ranges, grid[place], strict=True)))


def _assignment(source: str) -> ast.Assign | None:
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == "KNOBS":
            return node
    return None


def _ranges(source: str) -> Ranges:
    found = _assignment(source)
    return ast.literal_eval(found.value) if found else {}


def _widened(source: str) -> str:
    """Return a program whose KNOBS also allow the wider values."""
    found = _assignment(source)
    if found is None or found.end_lineno is None:
        return source
    ranges = {name: tuple(dict.fromkeys((*values, *_WIDER.get(name, ())))) for name, values in _ranges(source).items()}
    lines = source.splitlines(keepends=True)
    lines[found.lineno - 1 : found.end_lineno] = [f"KNOBS = {ranges!r}\n"]
    return "".join(lines)
