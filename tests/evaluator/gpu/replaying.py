"""Records the candidates of `tests/fixtures/replayed` in a child without a GPU and assembles their kernels."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import msgspec

from tilewright.evaluator.assembly import Cubin, assemble
from tilewright.evaluator.dossier import Binary
from tilewright.sandbox.plan import LaunchPlan
from tilewright.sandbox.protocol import Answer, CaseData, Interpret, Ptx, Record, Recorded
from tilewright.sandbox.targets import find_target
from tilewright.tasks.candidate import Knob
from tilewright.tasks.spec import Case, CaseRole, DType, TensorSpec

CANDIDATES = Path(__file__).parents[2] / "fixtures" / "replayed"


def tensor(*shape: int, dtype: DType = DType.FLOAT32, offset: int = 0) -> TensorSpec:
    strides = [1] if shape else []
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return TensorSpec(shape=shape, strides=tuple(strides), dtype=dtype, offset=offset)


def case_of(*inputs: TensorSpec, role: CaseRole = CaseRole.SMOKE) -> Case:
    return Case(
        name="c", role=role, sizes=(), dtype=inputs[0].dtype, init_args="[]", inputs=inputs, parameters=(), outputs=()
    )  # fmt: skip


def request_of(name: str, case: Case, *, target: str = "cuda:90", **knobs: int) -> Record:
    source = (CANDIDATES / f"{name}.py").read_text()
    chosen = tuple(Knob(name=key, value=value) for key, value in knobs.items())
    return Record(source=source, knobs=chosen, target=target, cases=(case,))


@dataclass(frozen=True)
class Recording:
    """A plan, the texts of its kernels and their binaries."""

    case: Case
    plan: LaunchPlan
    ptx: tuple[Ptx, ...]
    target: str

    def binaries(self) -> tuple[Binary, ...]:
        built = []
        for one in self.ptx:
            cubin = assemble(one, find_target(self.target))
            assert isinstance(cubin, Cubin), cubin
            built.append(Binary(ptx_sha=one.sha, data=cubin.data))
        return tuple(built)

    def retargeted(self, target: str) -> "Recording":
        """Return the same work for a newer architecture, whose assembler takes older texts, too."""
        return Recording(self.case, msgspec.structs.replace(self.plan, target=target), self.ptx, target)

    def request(self, *inputs: bytes, poison: int = 0xFF) -> Interpret:
        data = CaseData(case=self.case, inputs=inputs, parameters=())
        return Interpret(source="", knobs=(), target=self.target, cases=(data,), poison=poison)


def record_all(requests: list[Record]) -> list[Recording]:
    """Record many requests in one child: importing torch and Triton takes longer than recording."""
    script = Path(__file__).with_name("recording_child.py")
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    ran = subprocess.run(
        [sys.executable, str(script)], input=msgspec.msgpack.encode(requests), capture_output=True, env=environment,
        check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr.decode()[-3000:]
    found = []
    for request, answers in zip(requests, msgspec.msgpack.decode(ran.stdout, type=list[list[Answer]]), strict=True):
        recorded = answers[-1]
        assert isinstance(recorded, Recorded), recorded
        found.append(Recording(request.cases[0], recorded.plans[0], recorded.ptx, request.target))
    return found
