"""How well the cost model orders kernels of one task, before and after its constants are fitted to a device.

    python benchmarks/rank_correlation.py record plans.bin                # no GPU: records, counts, compiles
    python benchmarks/rank_correlation.py measure plans.bin times.json    # GPU: needs torch, msgspec, cuda-bindings
    python benchmarks/rank_correlation.py compare plans.bin times.json    # no GPU: the table, before and after

The kernels are the row-wise sketches under many settings of their knobs (`kernel_variants.py`); settings that compile
to the same machine code are taken once. Each is timed in a CUDA graph of as many input sets as are twice the cache, and
what the first set gives is compared with the reference.
"""

import argparse
import json
import lzma
import statistics
import time
from pathlib import Path

import msgspec

from tilewright.evaluator.dossier import Binary
from tilewright.evaluator.recording import CaseCount, Recording
from tilewright.tasks.candidate import Candidate
from tilewright.tasks.spec import Case, CaseRole, KernelTask

ROOT = Path(__file__).resolve().parents[1]
TASKS = ("softmax", "layer_norm", "rms_norm", "cross_entropy", "row_sum")
TARGET = "cuda:90"
WANTED = 125  # distinct kernels a task
SET_BYTES = 125_000_000  # of all input sets together at least
TURNS = 15
LARGEST_ERROR = 0.02  # of an output, over the largest of the reference's


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


def measure(plans: Path, times: Path) -> None:
    """Write median, first and last tenth of the time of each plan, or why there is none."""
    import torch

    from tilewright.evaluator.gpu.context import DeviceContext

    found: dict[str, list[float] | str] = {}
    torch.manual_seed(0)
    with DeviceContext() as context:
        for collection in read(plans):
            for case in collection.task.cases_of(CaseRole.BENCH):
                begun = time.monotonic()
                timed = _measure_case(collection, case, context)
                found |= timed
                wrong = sum(isinstance(one, str) for one in timed.values())
                spent = time.monotonic() - begun
                print(f"{collection.task.title} {case.name}: {len(timed)}, {wrong} bad, {spent:.1f} s", flush=True)
    device = {"device": torch.cuda.get_device_name(), "torch": str(torch.__version__)}
    times.write_text(json.dumps(device | {"times": found}))


def _measure_case(collection: Collection, case: Case, context) -> dict[str, list[float] | str]:
    import torch

    from tilewright.evaluator.gpu.input_sets import draw_sets, set_bytes

    count = max(2, -(-SET_BYTES // set_bytes(case)))
    sets = draw_sets(collection.task, case, count, 0, context.device)
    stream = torch.cuda.Stream()
    with torch.no_grad():
        expected = sets.answer(0, sets.model)
    found: dict[str, list[float] | str] = {}
    for specimen in collection.specimens:
        context.adopt(specimen.binaries)
        plan = next(one for one in specimen.recording.plans if one.case == case.name)
        try:
            found[f"{specimen.candidate.id} {case.name}"] = _time(plan, sets, expected, (context, stream))
        except RuntimeError as error:  # one bad kernel is a row of the table, not the end of it
            found[f"{specimen.candidate.id} {case.name}"] = str(error)[:200]
    return found


def _time(plan, sets, expected, where) -> list[float] | str:
    import torch

    from tilewright.evaluator.gpu.captured import Captured
    from tilewright.evaluator.gpu.instance import Instance

    context, stream = where
    instances: list[Instance] = []
    try:
        with torch.cuda.stream(stream):
            for number in range(sets.count):
                instances.append(Instance(plan, context.binaries, context.arena))
                torch.cuda.synchronize()  # fresh buffers are filled on another stream than this one
                instances[-1].load_tensors(sets.tensors(number), sets.parameters[number], sets.case)
                instances[-1].poison(stream=stream.cuda_stream)
                instances[-1].replay(stream.cuda_stream)
            stream.synchronize()
            for got, right in zip(instances[0].outputs(), expected, strict=True):
                error = (got.float() - right.float()).abs().max() / right.float().abs().max().clamp_min(1e-9)
                if not error.item() < LARGEST_ERROR:
                    return f"wrong: relative error {error.item():.1e}"
            graph = Captured(lambda: [one.replay(stream.cuda_stream) for one in instances], stream)
            return _turns(graph, sets.count)
    finally:
        torch.cuda.synchronize()
        for one in instances:
            one.release()


def _turns(graph, count: int) -> list[float]:
    import torch

    events = [(torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)) for _ in range(TURNS)]
    for _ in range(2):
        graph.replay()
    for begin, end in events:
        begin.record()
        graph.replay()
        end.record()
    torch.cuda.synchronize()
    taken = sorted(begin.elapsed_time(end) * 1e3 / count for begin, end in events)
    return [statistics.median(taken), taken[TURNS // 10], taken[-1 - TURNS // 10]]


def compare(plans: Path, times: Path) -> None:
    """Fit the constants and print the order of each task's kernels before and after, as a table in Markdown."""
    from tilewright.evaluator.calibration import calibrate, observe
    from tilewright.evaluator.calibration_fitting import Device
    from tilewright.evaluator.hardware import find_hardware
    from tilewright.evaluator.timing import TimeKind, TimeSpan, Timing
    from tilewright.sandbox.targets import find_target

    measured = json.loads(times.read_text())
    where = Device(device=measured["device"], target=find_target(TARGET), hardware=find_hardware(TARGET))
    observations = []
    for collection in read(plans):
        for specimen in collection.specimens:
            for plan in specimen.recording.plans:
                found = measured["times"].get(f"{specimen.candidate.id} {plan.case}")
                if not isinstance(found, list):
                    continue
                span = TimeSpan(median_us=found[0], low_us=found[1], high_us=found[2])
                timing = Timing(
                    case=plan.case,
                    kind=TimeKind.MEASURED,
                    device=where.device,
                    candidate=span,
                    baselines=(),
                    floor_us=0.0,
                )
                observations.append(observe(collection.task, specimen.recording, specimen.counts, timing, where))
    found = calibrate(tuple(observations), where)
    print(f"{measured['device']}, torch {measured['torch']}: {found.times} kernels, band {found.band:.0%}")
    print(f"held out: {found.held_out_before:.3f} -> {found.held_out_after:.3f}, fitted: {found.is_fitted}")
    print(msgspec.json.encode(found.constants).decode())
    print("| task, case | kernels | tau before | after | rho before | after | estimate / time before | after |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for one in found.groups:
        pairs = [f"{before:.2f} | {after:.2f}" for before, after in zip(_row(one.before), _row(one.after), strict=True)]
        print(f"| {one.group} | {one.times} | {' | '.join(pairs)} |")


def _row(ranks) -> tuple[float, float, float]:
    return ranks.kendall, ranks.spearman, ranks.ratio


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("record", "measure", "compare"))
    parser.add_argument("files", type=Path, nargs="+")
    parser.add_argument("--wanted", type=int, default=WANTED)
    options = parser.parse_args()
    if options.verb == "record":
        record(options.files[0], options.wanted)
    else:
        {"measure": measure, "compare": compare}[options.verb](*options.files)
