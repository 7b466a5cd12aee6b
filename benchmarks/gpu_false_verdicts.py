"""Judge every hack and every honest kernel on a GPU and print what came out: false accepts and false refusals.

    python benchmarks/gpu_false_verdicts.py                       record and judge here
    python benchmarks/gpu_false_verdicts.py --public FOLDER       with what `tests/honest/fetch_public.py` wrote
    python benchmarks/gpu_false_verdicts.py --record FILE         record only, on a machine with no GPU
    python benchmarks/gpu_false_verdicts.py --judge FILE          judge what was recorded elsewhere

`--only TEXT` keeps candidates whose name holds the text; `--baselines` times against the compiled baselines as well.
"""

import argparse
import os
import sys
import time
import zlib
from pathlib import Path

import msgspec

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "gpu"))

from collection import Entry, hacks, honest
from preparing import Prepared, ending_of, prepare_all, quick_settings

from tilewright.evaluator.gpu.settings import GpuSettings
from tilewright.evaluator.gpu.supervisor import GpuSupervisor
from tilewright.evaluator.report import Environment

_TARGET = "cuda:90"


class Recorded(msgspec.Struct, frozen=True):
    """Everything that judging needs, as one file."""

    entries: tuple[Entry, ...]
    prepared: tuple[Prepared, ...]
    recorder: Environment
    wall_s: float


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one candidate."""

    entry: Entry
    ending: str
    message: str
    judge_s: float

    @property
    def is_false(self) -> bool:
        """Whether an honest kernel was refused, or a hack accepted or refused for another reason than it must be."""
        if self.entry.is_honest:
            return self.ending not in {"RIGHT timing", "UNPAID timing"}
        return self.ending not in self.entry.endings


def main() -> int:
    """Return 1 if any verdict is false."""
    arguments = _parse()
    if arguments.judge:
        recorded = msgspec.msgpack.decode(zlib.decompress(Path(arguments.judge).read_bytes()), type=Recorded)
    else:
        recorded = _record(arguments)
        print(f"{len(recorded.prepared)} candidates recorded in {recorded.wall_s:.0f} s by {os.cpu_count()} cores")
    if arguments.record:
        Path(arguments.record).write_bytes(zlib.compress(msgspec.msgpack.encode(recorded)))
        return 0
    return _judge(recorded, with_baselines=arguments.baselines, only=arguments.only)


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--record", metavar="FILE")
    parser.add_argument("--judge", metavar="FILE")
    parser.add_argument("--public", metavar="FOLDER")
    parser.add_argument("--only", metavar="TEXT", default="")
    parser.add_argument("--baselines", action="store_true")
    parser.add_argument("--processes", type=int, default=max(1, (os.cpu_count() or 2) - 1))
    return parser.parse_args()


def _record(arguments: argparse.Namespace) -> Recorded:
    entries = (*honest(), *hacks())
    if arguments.public:
        entries = (*entries, *honest(Path(arguments.public)))
    entries = tuple(one for one in entries if arguments.only in one.name)
    began = time.monotonic()
    prepared, recorder = prepare_all(entries, quick_settings(_TARGET), arguments.processes)
    return Recorded(entries, tuple(prepared[one.name] for one in entries), recorder, time.monotonic() - began)


def _judge(recorded: Recorded, *, with_baselines: bool, only: str) -> int:
    quick = Path(__file__).parents[1] / "tests" / "gpu" / "eager_work.py"
    work = "tilewright.evaluator.gpu.facade" if with_baselines else str(quick)
    rows: list[Row] = []
    began = time.monotonic()
    with GpuSupervisor(0, GpuSettings(recorder=recorded.recorder, work=work)) as supervisor:
        pairs = zip(recorded.entries, recorded.prepared, strict=True)
        # a task's answers are prepared once, as long as nothing takes the device's context away
        for entry, prepared in sorted(pairs, key=lambda pair: (pair[0].task, pair[0].is_costly, pair[0].name)):
            if only in entry.name:
                rows.append(_judge_one(supervisor, entry, prepared))
                print(_line(rows[-1]), flush=True)
        device = supervisor.device()
    false = [one for one in rows if one.is_false]
    print(f"\n{device.name}, driver {device.driver}, torch {device.torch}; {time.monotonic() - began:.0f} s")
    for kind, some in (("honest", [r for r in rows if r.entry.is_honest]), ("hacks", _hack_rows(rows))):
        print(f"{kind}: {len(some)} judged, {sum(one.is_false for one in some)} false verdicts")
    accepted = [one.entry.name for one in _hack_rows(rows) if one.ending == "RIGHT timing"]
    print(f"hacks accepted with a gain: {', '.join(accepted) or 'none'}")
    for one in false:
        print(f"FALSE {_line(one)}")
    return 1 if false else 0


def _hack_rows(rows: list[Row]) -> list[Row]:
    return [one for one in rows if not one.entry.is_honest]


def _judge_one(supervisor: GpuSupervisor, entry: Entry, prepared: Prepared) -> Row:
    if not prepared.dossier:
        return Row(entry=entry, ending=prepared.ending, message=prepared.message, judge_s=0.0)
    began = time.monotonic()
    report = supervisor.judge(prepared.dossier)
    message = f"{report.failure.case}: {report.failure.message}" if report.failure is not None else ""
    if report.timing:
        one = report.timing[0]
        message += f"{one.candidate.median_us:.1f} us, x{one.speedup:.2f} of {one.baseline.name}"
    return Row(entry=entry, ending=ending_of(report), message=message, judge_s=time.monotonic() - began)


def _line(row: Row) -> str:
    mark = "!!" if row.is_false else "ok"
    kind = "honest" if row.entry.is_honest else "hack"
    return f"{mark} {kind:6} {row.entry.name:34} {row.ending:28} {row.judge_s:6.2f} s  {row.message[:110]}"


if __name__ == "__main__":
    sys.exit(main())
