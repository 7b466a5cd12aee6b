"""How well the cost model orders kernels of one task, before and after its constants are fitted to a device.

    python benchmarks/rank_correlation.py record plans.bin                # no GPU: records, counts, compiles
    python benchmarks/rank_correlation.py measure plans.bin times.json    # GPU: needs torch and msgspec only
    python benchmarks/rank_correlation.py compare plans.bin times.json    # no GPU: the table, before and after

The kernels are the row-wise sketches under many settings of their knobs (`kernel_variants.py`); settings that compile to
the same machine code are taken once.
"""

import argparse
import lzma
import sys
import time
from pathlib import Path

import msgspec
from tilewright.evaluator.dossier import Binary
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import KernelTask

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("softmax", "layer_norm", "rms_norm", "cross_entropy", "row_sum")
TARGET = "cuda:90"
WANTED = 125  # distinct kernels a task


class Specimen(msgspec.Struct, frozen=True, kw_only=True):
    """A recorded kernel with its counted work and its binaries."""

    candidate: Candidate
    recording: Recording
    counts: tuple[CaseCount, ...]
    binaries: tuple[Binary, ...]


class Collection(msgspec.Struct, frozen=True, kw_only=True):
    """The kernels of one task."""

    task: KernelTask
    specimens: tuple[Specimen, ...]


def record(path: Path, wanted: int) -> None:
    """Write the plans, binaries and counts of `wanted` different kernels of each row-wise task."""
    from tilewright.evaluator.builder import BuildCache
    from tilewright.evaluator.judge import Sandboxes
    from tilewright.sandbox.limits import Limits
    from tilewright.tasks.loading import load_task

    sandboxes = Sandboxes(Limits())
    found = []
    try:
        for name in TASKS:
            task = load_task(ROOT / "tasks" / "suites" / "core" / f"{name}.py")
            found.append(_collect(task, sandboxes, BuildCache(kernels=8192), wanted))
            path.write_bytes(lzma.compress(msgspec.msgpack.encode(found), preset=3))
    finally:
        sandboxes.close()


def _collect(task, sandboxes, cache, wanted: int) -> Collection:
    from kernel_variants import variants
    from tilewright.evaluator.builder import Builder, build
    from tilewright.sandbox.protocol import Count, Counted
    from tilewright.sandbox.targets import find_target
    from tilewright.tasks.spec import CaseRole

    specimens: dict[str, Specimen] = {}
    target, cases, begun = find_target(TARGET), task.cases_of(CaseRole.BENCH), time.monotonic()
    for tried, candidate in enumerate(variants(task, seed=0)):
        if len(specimens) == wanted:
            break
        if tried % 20 == 0:
            print(f"{task.title}: {len(specimens)} of {tried}, {time.monotonic() - begun:.0f} s", flush=True)
        recording = build(task, candidate, Builder(target=target, ask=sandboxes.record, cache=cache))
        if not isinstance(recording, Recording) or recording.binary_id in specimens:
            continue
        request = Count(source=candidate.source, knobs=candidate.knobs, target=TARGET, cases=cases)
        answers = [one for one in sandboxes.interpret(request) if isinstance(one, Counted)]
        if len(answers) == len(cases):
            shas = [one.ptx_sha for one in recording.builds]
            specimens[recording.binary_id] = Specimen(
                candidate=candidate,
                recording=recording,
                counts=tuple(CaseCount(case=one.case, launches=one.launches) for one in answers),
                binaries=tuple(Binary(ptx_sha=sha, data=cache.built(sha, target).binary) for sha in shas),
            )
    return Collection(task=task, specimens=tuple(specimens.values()))


def read(path: Path) -> tuple[Collection, ...]:
    """Return what `record` wrote."""
    return msgspec.msgpack.decode(lzma.decompress(path.read_bytes()), type=tuple[Collection, ...])


if __name__ == "__main__":
    record(Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else WANTED)
