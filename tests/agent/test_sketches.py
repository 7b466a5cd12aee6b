"""The library of kernels: complete, accepted by the static gate, right, and within an H200's resources."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tilewright.agent.sketches import catalogue
from tilewright.agent.sketches.catalogue import Sketch, families, sketches_for
from tilewright.evaluator.builder import BuildCache, Builder, build
from tilewright.evaluator.compare import compare
from tilewright.evaluator.draws import Draw
from tilewright.evaluator.preparation import Preparations, Prepared
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.static import check
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Finished, Interpret, Interpreted
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.zygote import Zygote
from tilewright.tasks.candidate import Candidate, Origin
from tilewright.tasks.reference import instantiate
from tilewright.tasks.spec import CaseRole, Domain, DType, KernelTask, Layout, Size, Tolerance, Values
from tilewright.tasks.suites import core

ROWS = {"rows": 5, "cols": 1031}
SMALL = {
    "softmax": ROWS,
    "layer_norm": ROWS,
    "rms_norm": ROWS,
    "cross_entropy": ROWS,
    "row_sum": ROWS,
    "rotary": {"batch": 2, "heads": 3, "length": 37, "width": 48},
    "matmul": {"m": 37, "k": 131, "n": 67},
    "attention": {"batch": 1, "heads": 3, "length": 131, "width": 48},
    "swiglu_mlp": {"batch": 37, "dim": 67, "hidden": 131},
}
# Small enough for one chunk, one tile and one program; the smallest that the domain allows.
LEAST = {
    "softmax": {"rows": 1, "cols": 1},
    "layer_norm": {"rows": 1, "cols": 1},
    "rms_norm": {"rows": 1, "cols": 1},
    "cross_entropy": {"rows": 1, "cols": 2},
    "row_sum": {"rows": 1, "cols": 1},
    "rotary": {"batch": 1, "heads": 1, "length": 1, "width": 16},
    "matmul": {"m": 1, "k": 1, "n": 1},
    "attention": {"batch": 1, "heads": 1, "length": 1, "width": 16},
    "swiglu_mlp": {"batch": 1, "dim": 1, "hidden": 1},
}
SKETCHES = tuple(sketch for family in families() for sketch in sketches_for(family))
POISON = 0xFF
TARGET = "cuda:90"

every_sketch = pytest.mark.parametrize("sketch", SKETCHES, ids=lambda sketch: sketch.name)


class Bench:
    """The two sandboxes, a task for each family and what was prepared for it."""

    def __init__(self) -> None:
        limits = Limits(allow_unconfined=True)
        self.compiling = Zygote(ZygoteMode.COMPILE, limits)
        self.interpreting = Zygote(ZygoteMode.INTERPRET, limits)
        self._tasks = {family: _to_task(family) for family in families()}
        self._preparations = Preparations()

    def task(self, family: str) -> KernelTask:
        return self._tasks[family]

    def prepared(self, family: str) -> tuple[Prepared, ...]:
        task = self._tasks[family]
        cases = [self._preparations.prepare(task, Draw(case=case, seed=7)) for case in task.cases_of(CaseRole.SHAPE)]
        return tuple(case for case in cases if isinstance(case, Prepared))

    def close(self) -> None:
        self.compiling.close()
        self.interpreting.close()


def _to_task(family: str) -> KernelTask:
    """Return a task with the family's small cases, and the file's own sizes as the one that is compiled."""
    source = (Path(core.__file__).parent / f"{family}.py").read_text(encoding="utf-8")
    wanted = [
        (f"{name}-{dtype}-{layout}", CaseRole.SHAPE, sizes, dtype, layout)
        for name, sizes, dtype, layout in (
            ("small", SMALL[family], DType.FLOAT16, Layout.CONTIGUOUS),
            ("small", SMALL[family], DType.FLOAT32, Layout.OFFSET),
            ("small", SMALL[family], DType.BFLOAT16, Layout.TRANSPOSED),
            ("least", LEAST[family], DType.FLOAT32, Layout.CONTIGUOUS),
        )
    ] + [("bench", CaseRole.BENCH, {}, DType.FLOAT16, Layout.CONTIGUOUS)]
    cases = tuple(
        instantiate(
            source,
            name=name,
            role=role,
            sizes=tuple(Size(name=key, value=value) for key, value in sizes.items()),
            dtype=dtype,
            layout=layout,
        )
        for name, role, sizes, dtype, layout in wanted
    )
    domain = Domain(sizes=(), dtypes=(DType.FLOAT16,), layouts=(Layout.CONTIGUOUS,), values=(Values.DRAWN,))
    return KernelTask(
        title=family, family=family, reference_source=source, cases=cases, domain=domain, tolerance=Tolerance()
    )


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    torch.set_num_threads(1)
    made = Bench()
    yield made
    made.close()


def test_every_file_of_the_library_is_in_the_catalogue() -> None:
    files = {path.stem for path in Path(catalogue.__file__).parent.glob("*_*.py")} - {"__init__"}
    assert files == {sketch.name for sketch in SKETCHES}


@pytest.mark.parametrize("family", families())
def test_a_family_starts_with_its_only_plain_sketch(family: str) -> None:
    assert [sketch.is_plain for sketch in sketches_for(family)] == [True] + [False] * (len(sketches_for(family)) - 1)


def test_an_unknown_family_has_no_sketches() -> None:
    assert sketches_for("other") == ()


def test_no_two_sketches_have_the_same_summary() -> None:
    summaries = {sketch.summary for sketch in SKETCHES}
    assert "" not in summaries
    assert len(summaries) == len(SKETCHES)


@every_sketch
def test_a_sketch_passes_the_static_gate_and_the_lint(sketch: Sketch) -> None:
    outcome = check(sketch.source)
    assert outcome.failure is None
    assert outcome.findings == ()


@every_sketch
def test_every_knob_of_a_sketch_is_read_and_has_a_choice(sketch: Sketch) -> None:
    read = {
        node.slice.value
        for node in ast.walk(ast.parse(sketch.source))
        if isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Name)
        and node.value.id == "knobs"
        and isinstance(node.slice, ast.Constant)
    }
    knobs = check(sketch.source).knobs
    assert read == {row.name for row in knobs}
    assert all(len(set(row.values)) == len(row.values) > 1 for row in knobs)


@every_sketch
def test_a_sketch_is_right_at_prime_sizes_in_every_type(sketch: Sketch, bench: Bench) -> None:
    prepared = bench.prepared(sketch.family)
    assert len(prepared) == 4
    request = Interpret(
        source=sketch.source, knobs=(), target=TARGET, cases=tuple(case.data for case in prepared), poison=POISON
    )
    answers = bench.interpreting.ask(request)
    assert isinstance(answers[-1], Finished), answers[-1]
    results = [answer for answer in answers if isinstance(answer, Interpreted)]
    for case, got in zip(prepared, results, strict=True):
        assert got.not_covered == ()
        assert compare(case.question.case, case.answer, got, POISON).finding is None, case.case_name


@every_sketch
def test_the_default_knobs_of_a_sketch_fit_the_target(sketch: Sketch, bench: Bench) -> None:
    candidate = Candidate(task_id="", source=sketch.source, knobs=(), origin=Origin(operator="sketch"))
    builder = Builder(target=find_target(TARGET), ask=bench.compiling.ask, cache=BuildCache())
    recording = build(bench.task(sketch.family), candidate, builder)
    assert isinstance(recording, Recording), recording
    for made in recording.builds:
        assert sketch.is_plain or made.facts.spill_bytes == 0, made.kernel
        assert made.facts.shared_bytes <= find_target(TARGET).shared_bytes_per_block
