"""Launchers are recorded without a GPU: every step of GPU work, or a failure of the right kind."""

from pathlib import Path

import pytest

from tilewright.sandbox.answering import answer
from tilewright.sandbox.candidate_module import load_candidate
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import Alloc, Aten, BufferOrigin, Constant, Descriptor, Launch, Pointer, Scalar
from tilewright.sandbox.protocol import Answer, Entered, Record, Recorded, Refused
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.trace import PlainSink, TracedCase, trace_case
from tilewright.tasks.candidate import Knob
from tilewright.tasks.spec import Case, CaseRole, DType, ParameterSpec, TensorSpec

CANDIDATES = Path(__file__).parents[1] / "fixtures" / "candidates"


def tensor(*shape: int, dtype: DType = DType.FLOAT16, offset: int = 0) -> TensorSpec:
    strides = [1]
    for size in reversed(shape[1:]):
        strides.insert(0, strides[0] * size)
    return TensorSpec(shape=shape, strides=tuple(strides), dtype=dtype, offset=offset)


def case_of(
    *inputs: TensorSpec, init_args: str = "[]", parameters: tuple[ParameterSpec, ...] = (), name: str = "c"
) -> Case:
    return Case(
        name=name,
        role=CaseRole.BENCH,
        sizes=(),
        dtype=DType.FLOAT16,
        init_args=init_args,
        inputs=inputs or (tensor(64, 64),),
        parameters=parameters,
        outputs=(),
    )


def read(name: str) -> str:
    return (CANDIDATES / f"{name}.py").read_text()


def trace(name: str, *cases: Case, knobs: dict[str, int] | None = None) -> TracedCase:
    chosen = tuple(Knob(name=key, value=value) for key, value in (knobs or {}).items())
    target = find_target("cuda:90")
    module = load_candidate(read(name), chosen, target)
    return trace_case(module, *(cases or (case_of(),)), target, PlainSink())


def ask(name: str, *cases: Case, target: str = "cuda:90", source: str | None = None, **chosen: int) -> list[Answer]:
    answers: list[Answer] = []
    knobs = tuple(Knob(name=key, value=value) for key, value in chosen.items())
    answer(Record(source=source or read(name), knobs=knobs, target=target, cases=cases or (case_of(),)), answers.append)
    return answers


def record(name: str, *cases: Case, target: str = "cuda:90", source: str | None = None, **chosen: int) -> Recorded:
    last = ask(name, *cases, target=target, source=source, **chosen)[-1]
    assert isinstance(last, Recorded), last
    return last


def refuse(name: str, *cases: Case, source: str | None = None, **chosen: int) -> Failure:
    last = ask(name, *cases, source=source, **chosen)[-1]
    assert isinstance(last, Refused), last
    return last.failure


class TestSteps:
    def test_questions_about_the_device_are_answered_from_the_target(self) -> None:
        plan = trace("device_questions").plan
        assert [type(step) for step in plan.steps] == [Alloc, Launch]
        assert plan.launches[0].grid == (132, 1, 1)

    def test_views_leave_no_step_and_copies_do(self) -> None:
        plan = trace("views", case_of(tensor(8, 8))).plan
        operations = [step.operation for step in plan.steps if isinstance(step, Aten)]
        assert operations == ["aten.clone.default", "aten.clone.default", "aten.repeat.default"]

    def test_a_view_passed_to_a_kernel_keeps_its_offset(self) -> None:
        pointer = trace("views", case_of(tensor(8, 8))).plan.launches[0].arguments[1]
        assert isinstance(pointer, Pointer)
        assert pointer.offset_bytes == 4 * DType.FLOAT16.bytes

    def test_nested_outputs_are_flattened_as_views(self) -> None:
        outputs = trace("views", case_of(tensor(8, 8))).plan.outputs
        assert [view.tensor.shape for view in outputs] == [(7, 4), (4,), (8, 8)]
        assert outputs[0].tensor.strides == (1, 7)
        assert outputs[2].buffer == 0

    def test_inputs_keep_exactly_the_layout_of_the_case(self) -> None:
        spec = TensorSpec(shape=(8, 8), strides=(16, 2), dtype=DType.FLOAT16, offset=3)
        outputs = trace("views", case_of(spec)).plan.outputs
        assert outputs[2].tensor == spec

    def test_a_scratch_buffer_dies_with_its_last_step(self) -> None:
        plan = trace("several_launches").plan
        spans = [(b.origin, b.first_step, b.last_step) for b in plan.buffers]
        assert spans == [
            (BufferOrigin.INPUT, -1, 2),
            (BufferOrigin.SCRATCH, 0, 3),
            (BufferOrigin.SCRATCH, 1, 5),
            (BufferOrigin.SCRATCH, 4, len(plan.steps)),
        ]
        assert {b.bytes for b in plan.buffers} == {64 * 64 * 2}

    def test_whitelisted_operations_become_steps_with_views(self) -> None:
        steps = trace("whitelisted").plan.steps
        operations = [step.operation for step in steps if isinstance(step, Aten)]
        assert operations == [
            "aten.zeros.default",
            "aten._to_copy.default",
            "aten.clone.default",
            "aten.fill_.Scalar",
            "aten.mul.Tensor",
            "aten.add.Tensor",
            "aten.copy_.default",
            "aten.add_.Scalar",
            "aten.full.default",
            "aten.sub_.Tensor",
            "aten.sum.default",
            "aten.div.Tensor",
            "aten.cat.default",
            "aten.full.default",
        ]

    def test_parameters_are_laid_out_as_the_case_says(self) -> None:
        weight = TensorSpec(shape=(64,), strides=(2,), dtype=DType.FLOAT16)
        parameters = (
            ParameterSpec(name="weight", tensor=weight),
            ParameterSpec(name="linear.weight", tensor=tensor(4, 64)),
            ParameterSpec(name="linear.bias", tensor=tensor(4)),
            ParameterSpec(name="table", tensor=tensor(64, dtype=DType.INT64)),
        )
        plan = trace("parameters", case_of(init_args="[64, 1e-6]", parameters=parameters)).plan
        assert [b.name for b in plan.buffers][:5] == ["input 0", *(p.name for p in parameters)]
        assert plan.buffers[1].bytes == weight.storage_bytes

    def test_calls_stand_beside_the_launches_of_the_plan(self) -> None:
        traced = trace("several_launches")
        assert [call.grid for call in traced.calls] == [launch.grid for launch in traced.plan.launches]
        assert dict(traced.calls[2].options) == {"num_warps": 8}


class TestArguments:
    def test_keywords_defaults_and_specialised_constants_are_told_apart(self) -> None:
        (launch,) = record("keywords").plans[0].launches
        kinds = {argument.name: type(argument) for argument in launch.arguments}
        assert kinds == {
            "x_ptr": Pointer,
            "y_ptr": Pointer,
            "n": Scalar,
            "stride": Constant,
            "bias": Constant,
            "shift": Scalar,
            "BLOCK": Constant,
        }
        assert launch.grid == (8, 1, 1)

    def test_a_host_descriptor_and_a_tuple_are_arguments(self) -> None:
        (launch,) = record("descriptor").plans[0].launches
        descriptor, pointer, row_stride, column_stride, _ = launch.arguments
        assert isinstance(descriptor, Descriptor)
        assert descriptor.block_shape == (64, 64)
        assert isinstance(pointer, Pointer)
        assert (row_stride.name, column_stride.name) == ("strides.0", "strides.1")

    def test_device_side_descriptors_ask_for_global_scratch(self) -> None:
        assert record("device_descriptor").plans[0].launches[0].global_scratch_bytes > 0

    def test_a_misaligned_input_is_compiled_differently(self) -> None:
        aligned = record("several_launches").plans[0].launches[0]
        shifted = record("several_launches", case_of(tensor(64, 64, offset=1))).plans[0].launches[0]
        assert aligned.ptx_sha != shifted.ptx_sha


class TestKnobs:
    def test_each_configuration_of_an_autotuned_kernel_is_a_knob_value(self) -> None:
        ranges = {knob.name: knob.values for knob in record("autotuned").knobs}
        assert ranges == {"num_stages": (2, 3), "autotune_double": (0, 1, 2)}

    @pytest.mark.parametrize(("index", "warps", "stages", "grid"), [(0, 2, 3, 16), (2, 8, 4, 4)])
    def test_the_chosen_configuration_is_launched(self, index: int, warps: int, stages: int, grid: int) -> None:
        (launch,) = trace("autotuned", knobs={"autotune_double": index}).plan.launches
        assert (launch.num_warps, launch.num_stages, launch.grid[0]) == (warps, stages, grid)

    def test_heuristics_choose_constants(self) -> None:
        even = trace("autotuned").plan.launches[0].arguments
        odd = trace("autotuned", case_of(tensor(3, 7))).plan.launches[0].arguments
        assert [one.value for one in (even[-1], odd[-1]) if isinstance(one, Constant)] == ["True", "False"]

    def test_the_hook_of_a_configuration_is_work_of_the_launcher(self) -> None:
        steps = trace("autotuned", knobs={"autotune_double": 1}).plan.steps
        assert [step.operation for step in steps if isinstance(step, Aten)] == ["aten.zero_.default"]

    def test_chosen_knobs_reach_the_launcher(self) -> None:
        assert trace("softmax", knobs={"num_warps": 16}).plan.launches[0].num_warps == 16

    @pytest.mark.parametrize("chosen", [{"num_warps": 3}, {"unknown": 4}])
    def test_a_value_outside_the_table_is_refused(self, chosen: dict[str, int]) -> None:
        assert refuse("softmax", **chosen).kind is FailureKind.BAD_KNOBS


class TestRefusals:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            ("host_read", FailureKind.HOST_READ),
            ("work_in_init", FailureKind.WORK_OUTSIDE_FORWARD),
            ("work_at_import", FailureKind.WORK_OUTSIDE_FORWARD),
            ("foreign_tensor", FailureKind.FOREIGN_TENSOR),
            ("forbidden_operation", FailureKind.FORBIDDEN_OPERATION),
            ("reduction_of_input", FailureKind.FORBIDDEN_OPERATION),
            ("no_kernel", FailureKind.NO_KERNEL),
            ("launcher_error", FailureKind.LAUNCHER_ERROR),
            ("too_many_steps", FailureKind.LAUNCHER_ERROR),
            ("compile_error", FailureKind.COMPILE_ERROR),
        ],
    )
    def test_a_fault_has_its_own_kind_and_one_line(self, name: str, kind: FailureKind) -> None:
        failure = refuse(name)
        assert failure.kind is kind
        assert "\n" not in failure.message

    def test_a_forbidden_operation_is_named(self) -> None:
        assert "aten._softmax" in refuse("forbidden_operation").message

    def test_a_compile_error_says_where_and_why(self) -> None:
        failure = refuse("compile_error")
        assert failure.stage is Stage.COMPILE
        assert failure.case == "c"
        assert "wrong, line 2" in failure.message
        assert "power of 2" in failure.message

    def test_the_last_thing_entered_before_a_compile_error_is_the_kernel(self) -> None:
        entered = [one for one in ask("compile_error") if isinstance(one, Entered)]
        assert Entered(stage=Stage.COMPILE, case="c", kernel="wrong") in entered

    @pytest.mark.parametrize(
        ("source", "kind"),
        [
            ("def broken(:\n", FailureKind.SYNTAX),
            ("import nowhere\n", FailureKind.IMPORT_ERROR),
            ("raise SystemExit(0)\n", FailureKind.IMPORT_ERROR),
            ("raise KeyboardInterrupt\n", FailureKind.IMPORT_ERROR),
            ("raise MemoryError\n", FailureKind.MEMORY_LIMIT),
            ("ModelNew = 3\n", FailureKind.NO_MODEL),
            ("KNOBS = {'a': 3}\n", FailureKind.BAD_KNOBS),
        ],
    )
    def test_a_file_that_is_no_candidate_is_refused(self, source: str, kind: FailureKind) -> None:
        assert refuse("", source=source).kind is kind

    @pytest.mark.parametrize("names", [("weight",), ("weight", "linear.weight", "linear.bias", "table", "more")])
    def test_parameters_that_differ_from_the_reference_are_refused(self, names: tuple[str, ...]) -> None:
        parameters = tuple(ParameterSpec(name=name, tensor=tensor(64)) for name in names)
        assert refuse("parameters", case_of(init_args="[64, 1]", parameters=parameters)).kind is FailureKind.PARAMETERS


class TestTexts:
    def test_the_text_depends_on_the_kernel_alone(self) -> None:
        first = record("softmax", case_of(tensor(16, 64)))
        moved = record("", case_of(tensor(16, 64)), source="\n\n# moved\n" + read("softmax"))
        assert first.ptx == moved.ptx

    def test_cases_of_one_specialisation_share_a_text(self) -> None:
        recorded = record("softmax", case_of(tensor(16, 64), name="a"), case_of(tensor(32, 64), name="b"))
        assert len(recorded.plans) == 2
        assert len(recorded.ptx) == 1

    def test_known_texts_are_not_sent_again(self) -> None:
        sha = record("softmax").ptx[0].sha
        request = Record(source=read("softmax"), knobs=(), target="cuda:90", cases=(case_of(),), known=(sha,))
        answers: list[Answer] = []
        answer(request, answers.append)
        assert isinstance(answers[-1], Recorded)
        assert [(one.sha, one.text) for one in answers[-1].ptx] == [(sha, "")]

    def test_what_was_compiled_before_is_not_compiled_again(self) -> None:
        first = record("softmax")
        request = Record(
            source=read("softmax"), knobs=(), target="cuda:90", cases=(case_of(),), compiled=first.compiled
        )
        answers: list[Answer] = []
        answer(request, answers.append)
        assert isinstance(answers[-1], Recorded)
        assert answers[-1].plans == first.plans
        assert answers[-1].ptx[0].text == ""

    @pytest.mark.parametrize("target", ["cuda:80", "cuda:90", "cuda:100"])
    def test_kernels_compile_for_each_nvidia_target(self, target: str) -> None:
        recorded = record("several_launches", target=target)
        assert f".target sm_{target.removeprefix('cuda:')}" in recorded.ptx[0].text
        assert recorded.plans[0].target == target

    def test_kernels_compile_for_amd_to_text(self) -> None:
        recorded = record("several_launches", target="hip:gfx942")
        assert "amdgcn-amd-amdhsa--gfx942" in recorded.ptx[0].text
