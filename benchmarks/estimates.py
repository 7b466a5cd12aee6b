"""Compare the cost model's estimates with times measured on a GPU, sketch by sketch.

    python benchmarks/estimates.py estimate estimates.json          # no GPU: records, counts and estimates
    python benchmarks/estimates.py measure times.json               # GPU: needs torch and triton only
    python benchmarks/estimates.py compare estimates.json times.json

`measure` also checks each kernel's answer against the reference computed in float32.
"""

import argparse
import json
import linecache
import statistics
import sys
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parents[1]
TASKS = ROOT / "tasks" / "suites" / "core"
SKETCHES = ROOT / "agent" / "sketches"
REPLAYS = 50


def estimate(path: Path) -> None:
    """Write the estimate of every sketch on every bench case, in microseconds."""
    from tilewright.agent.sketches.catalogue import sketches_for
    from tilewright.evaluator.judge import Judge
    from tilewright.evaluator.judge_settings import JudgeSettings
    from tilewright.evaluator.recording import Recording
    from tilewright.tasks.candidate import Candidate, Origin
    from tilewright.tasks.loading import load_task

    found: dict[str, float] = {}
    with Judge(JudgeSettings(target="cuda:90")) as judge:
        for file in sorted(TASKS.glob("[a-z]*.py")):
            task = load_task(file)
            for sketch in sketches_for(task.family):
                candidate = Candidate(task_id=task.id, source=sketch.source, knobs=(), origin=Origin(operator="user"))
                recording = judge.record(task, candidate)
                timings = judge.estimate(task, candidate, recording) if isinstance(recording, Recording) else ()
                for timing in timings if isinstance(timings, tuple) else ():
                    found[f"{sketch.name} {timing.case}"] = timing.candidate.median_us
    path.write_text(json.dumps(found, indent=1))


def measure(path: Path) -> None:
    """Write the measured time of every sketch on every bench case, in microseconds, or why there is none."""
    found: dict[str, float | str] = {}
    for file in sorted(TASKS.glob("[a-z]*.py")):
        reference = _load(file)
        for sizes in reference.CASES["bench"]:
            names = {name: value for name, value in sizes.items() if name != "dtype"}
            case = f"bench-{'x'.join(str(value) for value in names.values())}-{sizes.get('dtype', 'float16')}"
            for sketch in sorted(SKETCHES.glob(f"{file.stem}_*.py")):
                found[f"{sketch.stem} {case}"] = _time(reference, names, sketch)
                print(f"{sketch.stem} {case}: {found[f'{sketch.stem} {case}']}", flush=True)
    path.write_text(json.dumps(found, indent=1))


def _load(path: Path) -> ModuleType:
    module = ModuleType(path.stem)
    source = path.read_text()
    name = f"<{path.stem}>"
    linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
    sys.modules[path.stem] = module
    exec(compile(source, name, "exec"), module.__dict__)
    return module


def _time(reference: ModuleType, sizes: dict[str, int], sketch: Path) -> float | str:
    import torch

    reference.__dict__.update(sizes)
    torch.manual_seed(0)
    inputs = [one.to("cuda", torch.float16 if one.is_floating_point() else None) for one in reference.get_inputs()]
    arguments = reference.get_init_inputs()
    model = reference.Model(*arguments).cuda().half()
    try:
        candidate = _load(sketch).ModelNew(*arguments).cuda().half()
        candidate.load_state_dict(model.state_dict())
        with torch.no_grad():
            got = candidate(*inputs).float()
            wide = [one.float() if one.is_floating_point() else one for one in inputs]
            expected = model.float()(*wide)
            error = (got - expected).abs().max().item() / max(expected.abs().max().item(), 1e-9)
            if not error < 0.02:
                return f"wrong: relative error {error:.1e}"
            return _graph_us(lambda: candidate(*inputs))
    except Exception as error:  # a sketch that fails is a row of the table, not the end of it
        return f"{type(error).__name__}: {str(error).splitlines()[0][:120]}"


def _graph_us(call) -> float:
    import torch

    stream = torch.cuda.Stream()
    with torch.cuda.stream(stream):
        for _ in range(3):
            call()
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, stream=stream):
            call()
        flush = torch.empty(128 << 20, dtype=torch.int8, device="cuda")
        times = []
        for _ in range(REPLAYS):
            flush.zero_()
            begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
            begin.record()
            graph.replay()
            end.record()
            stream.synchronize()
            times.append(begin.elapsed_time(end) * 1e3)
    return statistics.median(times)


def compare(estimates: Path, times: Path) -> None:
    """Print both, their ratio, and the rank correlation within each family of sketches."""
    guessed, measured = json.loads(estimates.read_text()), json.loads(times.read_text())
    groups: dict[str, list[tuple[float, float]]] = {}
    for key in sorted(guessed.keys() & measured.keys()):
        sketch, case = key.split()
        if isinstance(measured[key], str):
            print(f"{key}: {measured[key]}")
            continue
        family = next(file.stem for file in TASKS.glob("[a-z]*.py") if sketch.startswith(file.stem))
        groups.setdefault(f"{family} {case}", []).append((guessed[key], measured[key]))
        print(f"{sketch:28} {case:40} {guessed[key]:9.1f} {measured[key]:9.1f} {guessed[key] / measured[key]:6.2f}")
    for group, pairs in groups.items():
        print(f"{group:60} rank correlation {_rank_correlation(pairs):5.2f} of {len(pairs)}")


def _rank_correlation(pairs: list[tuple[float, float]]) -> float:
    """Return Kendall's tau-a: the share of pairs in the same order, minus that in the other."""
    scores = [(1 if (a - c) * (b - d) > 0 else -1) for i, (a, b) in enumerate(pairs) for c, d in pairs[:i]]
    return sum(scores) / max(len(scores), 1)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("verb", choices=("estimate", "measure", "compare"))
    parser.add_argument("files", type=Path, nargs="+")
    options = parser.parse_args()
    {"estimate": estimate, "measure": measure, "compare": compare}[options.verb](*options.files)
