"""One launcher gives one plan, whether Triton compiles or interprets, in this process or locked down."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from tilewright.sandbox.candidate_module import load_candidate
from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.plan import LaunchPlan
from tilewright.sandbox.protocol import Record, Recorded, Refused
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.trace import PlainSink, trace_case
from tilewright.sandbox.zygote import Zygote
from tilewright.tasks.spec import Case, CaseRole, DType, TensorSpec

CANDIDATES = Path(__file__).parents[1] / "fixtures" / "candidates"
LAUNCHERS = ("device_questions", "views", "several_launches", "autotuned", "keywords", "whitelisted", "descriptor")
CASE = Case(
    name="c",
    role=CaseRole.BENCH,
    sizes=(),
    dtype=DType.FLOAT16,
    init_args="[]",
    inputs=(TensorSpec(shape=(64, 64), strides=(64, 1), dtype=DType.FLOAT16),),
    parameters=(),
    outputs=(),
)
_TRACE = """
import sys
import msgspec

sys.path.insert(0, sys.argv[1])
from test_recorder_modes import trace_all

sys.stdout.buffer.write(msgspec.json.encode(trace_all()))
"""


def trace_all() -> list[LaunchPlan]:
    target = find_target("cuda:90")
    modules = [load_candidate((CANDIDATES / f"{name}.py").read_text(), (), target) for name in LAUNCHERS]
    return [trace_case(module, CASE, target, PlainSink()).plan for module in modules]


def test_the_interpreting_mode_traces_the_same_plans() -> None:
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    command = [sys.executable, "-c", _TRACE, str(Path(__file__).parent)]
    ran = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert msgspec.json.decode(ran.stdout, type=list[LaunchPlan]) == trace_all()


@pytest.fixture(scope="module")
def zygote() -> Iterator[Zygote]:
    with Zygote(ZygoteMode.COMPILE, Limits()) as started:
        yield started


class TestLockedDown:
    """In the sandbox there is no writable path, no exec and no fork; compiling must need none of them."""

    @pytest.mark.parametrize("target", ["cuda:80", "cuda:90", "cuda:100", "hip:gfx942"])
    def test_kernels_compile_to_text(self, zygote: Zygote, target: str) -> None:
        source = (CANDIDATES / "several_launches.py").read_text()
        answers = zygote.ask(Record(source=source, knobs=(), target=target, cases=(CASE,)))
        recorded = next(one for one in answers if isinstance(one, Recorded))
        assert all(ptx.text for ptx in recorded.ptx)

    @pytest.mark.parametrize("name", ["host_read", "work_at_import", "compile_error", "too_many_steps"])
    def test_faults_come_back_as_values(self, zygote: Zygote, name: str) -> None:
        source = (CANDIDATES / f"{name}.py").read_text()
        last = zygote.ask(Record(source=source, knobs=(), target="cuda:90", cases=(CASE,)))[-1]
        assert isinstance(last, Refused)
        assert last.failure.kind.value in ("host_read", "work_outside_forward", "compile_error", "launcher_error")
