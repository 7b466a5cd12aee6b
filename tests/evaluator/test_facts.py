"""What the assembler and the machine code say of a kernel, and the recording that comes of it."""

import hashlib
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tilewright.evaluator.amdgcn import read_amdgcn
from tilewright.evaluator.assembly import Cubin, assemble, disassemble
from tilewright.evaluator.builder import BuildCache, Builder, build
from tilewright.evaluator.facts import BuiltKernel, build_kernel
from tilewright.evaluator.occupancy import occupancy
from tilewright.evaluator.recording import Recording
from tilewright.evaluator.sass import CubinError, read_machine_code
from tilewright.sandbox.answering import answer
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import Launch
from tilewright.sandbox.protocol import Answer, Finished, Ptx, Record, Recorded
from tilewright.sandbox.targets import find_target
from tilewright.tasks.candidate import Candidate, Knob, Origin
from tilewright.tasks.spec import Case, CaseRole, Domain, DType, KernelTask, TensorSpec, Tolerance

CANDIDATES = Path(__file__).parents[1] / "fixtures" / "candidates"
H200 = find_target("cuda:90")


def case_of(rows: int, columns: int) -> Case:
    return Case(
        name=f"bench-{rows}x{columns}",
        role=CaseRole.BENCH,
        sizes=(),
        dtype=DType.FLOAT16,
        init_args="[]",
        inputs=(TensorSpec(shape=(rows, columns), strides=(columns, 1), dtype=DType.FLOAT16),),
        parameters=(),
        outputs=(),
    )


def read(name: str) -> str:
    return (CANDIDATES / f"{name}.py").read_text()


@cache
def record(name: str, target: str = "cuda:90") -> Recorded:
    answers: list[Answer] = []
    answer(Record(source=read(name), knobs=(), target=target, cases=(case_of(4096, 4096),)), answers.append)
    assert isinstance(answers[-1], Recorded), answers[-1]
    return answers[-1]


@cache
def built(name: str, target: str = "cuda:90") -> BuiltKernel:
    recorded = record(name, target)
    result = build_kernel(recorded.ptx[0], recorded.plans[0].launches[0], find_target(target))
    assert isinstance(result, BuiltKernel), result
    return result


def counts_of(text: str) -> Counter[str]:
    """Count instructions in what nvdisasm prints, padding and the branch to itself left out."""
    operations = re.findall(r"^\s+/\*[0-9a-f]+\*/\s+(?:@!?U?P\w+\s+)?([A-Z0-9_.]+)", text, re.MULTILINE)
    while operations[-1] == "NOP":
        operations.pop()
    operations.pop()
    counts: Counter[str] = Counter(total=len(operations))
    names = {
        "HGMMA": "hgmma", "HMMA": "hmma", "LDGSTS": "ldgsts", "UTMALDG": "utmaldg", "UTCHMMA": "hgmma",
        "LDG": "global_loads", "STG": "global_stores", "LDS": "shared_loads", "LDSM": "shared_loads",
        "STS": "shared_stores", "STSM": "shared_stores", "LDL": "local_accesses", "STL": "local_accesses",
        "ATOMG": "atomics", "ATOMS": "atomics", "RED": "atomics", "REDG": "atomics",
        "BAR": "barriers", "SHFL": "shuffles", "MUFU": "special",
    }  # fmt: skip
    for operation in operations:
        mnemonic = operation.split(".")[0]
        if mnemonic in names:
            counts[names[mnemonic]] += 1
        if mnemonic in ("LDG", "STG") and ".128" in operation:
            counts[f"{names[mnemonic]}_128"] += 1
    return counts


class TestMachineCode:
    @pytest.mark.parametrize("target", ["cuda:80", "cuda:90", "cuda:100"])
    def test_counts_from_bytes_agree_with_the_disassembler(self, target: str) -> None:
        one = built("instructions", target)
        expected = counts_of(disassemble(one.binary))
        mix = one.build.facts.mix
        assert {field: getattr(mix, field) for field in expected} == dict(expected)

    def test_a_row_kernel_loads_and_stores_128_bits_and_does_not_loop(self) -> None:
        facts = built("softmax").build.facts
        assert facts.mix.global_loads == facts.mix.global_loads_128 > 0
        assert facts.mix.global_stores == facts.mix.global_stores_128 > 0
        assert (facts.mix.branches_back, facts.grid_rank_loops) == (0, False)

    @pytest.mark.parametrize("target", ["cuda:90", "hip:gfx942"])
    def test_a_loop_over_the_grid_is_seen(self, target: str) -> None:
        facts = built("instructions", target).build.facts
        assert facts.mix.branches_back > 0
        assert facts.grid_rank_loops

    def test_what_lies_in_loops_is_told_from_what_runs_once(self) -> None:
        looped, straight = built("instructions").build.facts.mix, built("softmax").build.facts.mix
        assert 0 < looped.loop_total < looped.total
        assert 0 < looped.loop_load_bytes <= looped.load_bytes
        assert (straight.loop_total, straight.loop_load_bytes) == (0, 0)
        assert straight.load_bytes == 16 * straight.global_loads_128

    def test_the_hash_ignores_names(self) -> None:
        recorded = record("softmax")
        launch = recorded.plans[0].launches[0]
        text = recorded.ptx[0].text.replace("softmax_rows", "renamed")
        renamed = build_kernel(to_ptx(text, "renamed"), launch, H200)
        assert isinstance(renamed, BuiltKernel)
        assert renamed.build.cubin_sha != built("softmax").build.cubin_sha
        assert renamed.build.facts.sass_sha == built("softmax").build.facts.sass_sha

    def test_the_hash_sees_a_changed_constant(self) -> None:
        recorded = record("softmax")
        text = recorded.ptx[0].text.replace("0f3FB8AA3B", "0f3FB8AA3C")
        changed = build_kernel(to_ptx(text, "softmax_rows"), recorded.plans[0].launches[0], H200)
        assert isinstance(changed, BuiltKernel)
        assert changed.build.facts.sass_sha != built("softmax").build.facts.sass_sha

    def test_what_is_no_cubin_is_our_error(self) -> None:
        with pytest.raises(CubinError):
            read_machine_code(b"nothing", arch=90)


def to_ptx(text: str, entry: str) -> Ptx:
    return Ptx(sha=hashlib.sha256(text.encode()).hexdigest(), entry=entry, text=text)


class TestAssembly:
    def test_a_contradiction_that_only_the_assembler_sees_is_a_compile_error(self) -> None:
        failure = assemble(record("assembler_error").ptx[0], H200)
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.stage) == (FailureKind.COMPILE_ERROR, Stage.COMPILE)
        assert "cannot be combined" in failure.message
        assert "/tmp" not in failure.detail

    @pytest.mark.parametrize(
        "ptx",
        [
            Ptx(sha="0" * 64, entry="k", text=".visible .entry k("),
            to_ptx(".visible .entry other(", "k"),
            to_ptx(".visible .entry k(\n.visible .entry l(", "k"),
        ],
    )
    def test_a_text_that_is_not_what_it_claims_is_a_protocol_failure(self, ptx: Ptx) -> None:
        failure = assemble(ptx, H200)
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.PROTOCOL

    def test_the_same_text_gives_the_same_binary(self) -> None:
        one, other = (assemble(record("softmax").ptx[0], H200) for _ in range(2))
        assert isinstance(one, Cubin)
        assert isinstance(other, Cubin)
        assert one.sha == other.sha

    def test_too_much_shared_memory_is_a_resources_failure(self) -> None:
        recorded = record("too_much_shared")
        failure = build_kernel(recorded.ptx[0], recorded.plans[0].launches[0], H200)
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.RESOURCES
        assert "232448 bytes of shared memory" in failure.message

    def test_amd_facts_come_from_the_text(self) -> None:
        facts = built("softmax", "hip:gfx942").build.facts
        assert facts.registers > 0
        assert facts.occupancy.blocks > 0
        assert facts.mix.global_loads > 0
        assert facts.mix.total > 50

    def test_the_hash_of_amd_code_ignores_names(self) -> None:
        text = record("softmax", "hip:gfx942").ptx[0].text
        renamed = read_amdgcn(text.replace("softmax_rows", "renamed"), "renamed")
        assert renamed.sha == read_amdgcn(text, "softmax_rows").sha


class TestOccupancy:
    @pytest.mark.parametrize(
        ("registers", "shared_bytes", "threads", "blocks", "limiter"),
        [
            (32, 0, 256, 8, "threads"),
            (128, 0, 256, 2, "registers"),
            (255, 0, 256, 1, "registers"),
            (32, 100_000, 128, 2, "shared"),
            (16, 0, 32, 32, "blocks"),
            (32, 232_449, 128, 0, "shared"),
            (32, 0, 2048, 0, "threads"),
            (128, 0, 1024, 0, "registers"),
        ],
    )
    def test_programs_of_a_multiprocessor(
        self, registers: int, shared_bytes: int, threads: int, blocks: int, limiter: str
    ) -> None:
        found = occupancy(registers=registers, shared_bytes=shared_bytes, threads=threads, target=H200)
        assert (found.blocks, found.limiter) == (blocks, limiter)
        assert found.share == blocks * threads / 2048


class Sandbox:
    """Answers in this process and remembers what it was asked."""

    def __init__(self) -> None:
        self.requests: list[Record] = []
        self.texts: list[str] = []

    def __call__(self, request: Record) -> tuple[Answer, ...]:
        self.requests.append(request)
        answers: list[Answer] = []
        answer(request, answers.append)
        self.texts.extend(ptx.text for one in answers if isinstance(one, Recorded) for ptx in one.ptx)
        return (*answers, Finished())


def task_of(*cases: Case) -> KernelTask:
    domain = Domain(sizes=(), dtypes=(DType.FLOAT16,), layouts=(), values=())
    return KernelTask(title="t", family="other", reference_source="", cases=cases, domain=domain, tolerance=Tolerance())


def candidate_of(name: str, *, source: str | None = None, **knobs: int) -> Candidate:
    chosen = tuple(Knob(name=key, value=value) for key, value in sorted(knobs.items()))
    return Candidate(task_id="t", source=source or read(name), knobs=chosen, origin=Origin(operator="test"))


def build_one(name: str, sandbox: Sandbox, cache: BuildCache, source: str | None = None, **knobs: int) -> Recording:
    candidate = candidate_of(name, source=source, **knobs)
    recording = build(
        task_of(case_of(64, 64), case_of(64, 100)), candidate, Builder(target=H200, ask=sandbox, cache=cache)
    )
    assert isinstance(recording, Recording), recording
    return recording


class TestBuilder:
    def test_a_recording_has_a_plan_a_bench_case_and_each_kernel_once(self) -> None:
        recording = build_one("several_launches", Sandbox(), BuildCache())
        assert [plan.case for plan in recording.plans] == ["bench-64x64", "bench-64x100"]
        launched = {step.ptx_sha for plan in recording.plans for step in plan.steps if isinstance(step, Launch)}
        assert {one.ptx_sha for one in recording.builds} == launched
        assert len(recording.builds) == len(launched)

    def test_a_source_is_compiled_and_assembled_once(self) -> None:
        sandbox, cache = Sandbox(), BuildCache()
        first, second = (build_one("several_launches", sandbox, cache) for _ in range(2))
        assert second.builds == first.builds
        assert [bool(text) for text in sandbox.texts] == [True] * len(first.builds) + [False] * len(first.builds)

    def test_another_source_never_gets_what_a_source_compiled(self) -> None:
        sandbox, cache = Sandbox(), BuildCache()
        build_one("several_launches", sandbox, cache)
        build_one("several_launches", sandbox, cache, source=read("several_launches") + "\n")
        assert sandbox.requests[1].compiled == ()

    def test_a_renamed_kernel_has_the_same_binary_id(self) -> None:
        renamed = read("several_launches").replace("double", "twice")
        one = build_one("several_launches", Sandbox(), BuildCache())
        other = build_one("several_launches", Sandbox(), BuildCache(), source=renamed)
        assert one.binary_id == other.binary_id

    def test_another_number_of_warps_is_another_binary(self) -> None:
        cache = BuildCache()
        ids = {build_one("softmax", Sandbox(), cache, num_warps=warps).binary_id for warps in (4, 8)}
        assert len(ids) == 2

    def test_a_knob_that_changes_nothing_gives_the_same_binary(self) -> None:
        cache = BuildCache()
        ids = {build_one("softmax", Sandbox(), cache, scale=scale).binary_id for scale in (1, 2)}
        assert len(ids) == 1

    @pytest.mark.parametrize(
        ("name", "kind", "case"),
        [
            ("forbidden_operation", FailureKind.FORBIDDEN_OPERATION, "bench-64x64"),
            ("assembler_error", FailureKind.COMPILE_ERROR, "bench-64x64"),
            ("too_much_shared", FailureKind.RESOURCES, "bench-64x64"),
        ],
    )
    def test_a_fault_is_a_value_with_its_case(self, name: str, kind: FailureKind, case: str) -> None:
        failure = build(
            task_of(case_of(64, 64)), candidate_of(name), Builder(target=H200, ask=Sandbox(), cache=BuildCache())
        )
        assert isinstance(failure, Failure)
        assert (failure.kind, failure.case) == (kind, case)

    def test_a_sandbox_that_says_nothing_is_a_protocol_failure(self) -> None:
        failure = build(
            task_of(case_of(64, 64)),
            candidate_of("softmax"),
            Builder(target=H200, ask=lambda _: (Finished(),), cache=BuildCache()),
        )
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.PROTOCOL
