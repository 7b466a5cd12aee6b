"""One launcher gives one plan, whether Triton compiles or interprets, in this process or locked down."""

import os
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tilewright.sandbox.limits import Limits
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.plan import LaunchPlan
from tilewright.sandbox.protocol import Record, Recorded, Refused
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
from tilewright.sandbox.candidate_module import load_candidate
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.trace import PlainSink, trace_case
from tilewright.tasks.spec import Case

case, target = msgspec.json.decode(sys.argv[1], type=Case), find_target("cuda:90")
plans = [trace_case(load_candidate(open(path).read(), (), target), case, target, PlainSink()).plan for path in sys.argv[2:]]
sys.stdout.buffer.write(msgspec.json.encode(plans))
"""


def plans_of(*, interpreting: bool) -> list[LaunchPlan]:
    environment = {**os.environ, "TRITON_INTERPRET": "1" if interpreting else "0"}
    paths = [str(CANDIDATES / f"{name}.py") for name in LAUNCHERS]
    command = [sys.executable, "-c", _TRACE, msgspec.json.encode(CASE).decode(), *paths]
    ran = subprocess.run(command, env=environment, capture_output=True, check=True)
    return msgspec.json.decode(ran.stdout, type=list[LaunchPlan])


def test_the_interpreting_mode_traces_the_same_plans() -> None:
    assert plans_of(interpreting=True) == plans_of(interpreting=False)


class TestLockedDown:
    """In the sandbox there is no writable path, no exec and no fork; compiling must need none of them."""

    @pytest.fixture(scope="class")
    def zygote(self):
        with Zygote(ZygoteMode.COMPILE, Limits()) as zygote:
            yield zygote

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
