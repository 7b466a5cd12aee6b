"""Each hack of the catalogue that a candidate's file can express ends as its header says.

A header names every ending that counts, such as `# expect: UNWRITTEN smoke | CRASH smoke`: a kind of failure and
its stage, `SKIPPED` if no interpreter can follow the kernel, which is not right, or `UNPAID` if the answer is right
but earns no fitness.

The catalogue's numbers and their files:

    1  stream_side, stream_wait             27  shape_gated_fallback, half_rows_at_bench_size
    3  timer_patch, clock_in_kernel         29  truncated_reduction, windowed_attention
    5  instance_override, lazy_tensor       31  failed_launch, huge_grid
    7  last_call_replay, cache_*, state_*   33  library_*, compiled_reference, decoy_*
    9  graph_replay                         35  try_fallback, library_around_a_copy
    11 persisting_l2                        37  import_reference
    13 slow_reference                       39  own_inputs
    15 bench_shape_constant                 41  frames, traceback_frames, object_graph
    17 stale_memory, rows_left_out          43  edit_harness
    19 nan_answer, nan_poison               45  forge_channel
    21 in_place_output, parameter_alias     47  process_memory, replace_code, patched_*
    23 stride_zero, transposed_output       49  second_device
    25 distribution_constant                51  file_state
    53 no file: no number is read out of a source's text, as the last test here shows

Not expressible without a GPU, because no clock runs and nothing survives a request: the timing half of 1, 9 and 11
(an event closed early, a replayed graph, a warm cache), the in-process slow-down of 13, memory of an earlier call
in 17, the driver's silence in 31 (a launch beyond the limits is refused when it is recorded). Not caught without a
GPU: wrong numbers at a timed size alone that cost as much as right ones, since that size is never computed.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from tilewright.agent.sketches.catalogue import sketches_for
from tilewright.evaluator.judge import Judge
from tilewright.evaluator.judge_settings import JudgeSettings
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.report import Report, Verdict
from tilewright.evaluator.reward import fitness
from tilewright.evaluator.static import check
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.loading import load_task
from tilewright.tasks.spec import KernelTask
from tilewright.tasks.suite import find_task_files

HACKS = Path(__file__).parent / "hacks"
TASKS = Path(__file__).parent / "tasks"

Tasks = dict[str, KernelTask]


class Hack(msgspec.Struct, frozen=True):
    """A hostile candidate and how it must end."""

    name: str
    task: str
    source: str
    endings: tuple[str, ...]

    @property
    def is_static(self) -> bool:
        return self.endings[0].endswith(f" {Stage.STATIC}")


def read_hack(path: Path) -> Hack:
    source = path.read_text()
    header = dict(line[2:].split(": ", 1) for line in source.splitlines()[:3])
    return Hack(path.stem, header["task"], source, tuple(header["expect"].split(" | ")))


def ending_of_failure(failure: Failure) -> str:
    return f"{failure.kind.name} {failure.stage}"


def ending_of(report: Report) -> str:
    if report.failure is not None:
        return ending_of_failure(report.failure)
    skipped = [one.stage for one in report.stages if one.verdict is Verdict.SKIPPED]
    if not report.is_right:
        return f"SKIPPED {skipped[0]}"
    return f"{'RIGHT' if fitness(report) > 0 else 'UNPAID'} {Stage.TIMING}"


ALL = tuple(read_hack(path) for path in sorted(HACKS.glob("*.py")))
STATIC = tuple(hack for hack in ALL if hack.is_static)
LATER = tuple(hack for hack in ALL if not hack.is_static)


@pytest.fixture(scope="module")
def judge() -> Iterator[Judge]:
    with Judge(JudgeSettings(target="cuda:90", seed=0)) as judge:
        yield judge


@pytest.fixture(scope="module")
def tasks() -> Tasks:
    """Tasks of this folder, else of the core suite, by name."""
    files = {path.stem: path for path in (*find_task_files("core"), *find_task_files(str(TASKS)))}
    names = sorted({hack.task for hack in LATER})
    with ThreadPoolExecutor(2) as pool:
        return dict(zip(names, pool.map(lambda name: load_task(files[name]), names), strict=True))


def candidate_of(task: KernelTask, source: str) -> Candidate:
    return Candidate(task_id=task.id, source=source, knobs=(), origin=Origin(operator="test"))


@pytest.mark.parametrize("hack", STATIC, ids=lambda hack: hack.name)
def test_a_hack_that_syntax_shows_is_refused_before_it_runs(hack: Hack) -> None:
    failure = check(hack.source).failure
    assert failure is not None
    assert ending_of_failure(failure) == hack.endings[0]


@pytest.mark.parametrize("hack", LATER, ids=lambda hack: hack.name)
def test_a_hack_that_only_running_shows_passes_the_static_gate_and_earns_nothing(
    hack: Hack, judge: Judge, tasks: Tasks
) -> None:
    assert check(hack.source).failure is None
    task = tasks[hack.task]
    candidate = candidate_of(task, hack.source)
    recording = judge.record(task, candidate)
    if isinstance(recording, Recording):
        ending = ending_of(judge.judge(task, candidate, recording))
    else:
        ending = ending_of_failure(recording)
    assert ending in hack.endings


@pytest.mark.parametrize("hack", STATIC, ids=lambda hack: hack.name)
def test_a_static_refusal_names_a_line_and_what_to_do(hack: Hack) -> None:
    failure = check(hack.source).failure
    assert failure is not None
    assert failure.hint
    if failure.kind in {FailureKind.FORBIDDEN, FailureKind.SYNTAX}:
        assert failure.message.startswith("line ")


def test_words_in_a_source_change_nothing_that_is_recorded(judge: Judge, tasks: Tasks) -> None:
    task = tasks["row_sum"]
    plain = sketches_for(task.family)[0].source
    wordy = f'{plain}\n# half float16 cublas cutlass tl.dot "fast"\n'
    recordings = [judge.record(task, candidate_of(task, source)) for source in (plain, wordy)]
    binaries = [one.binary_id for one in recordings if isinstance(one, Recording)]
    assert len(binaries) == 2
    assert binaries[0] == binaries[1]
