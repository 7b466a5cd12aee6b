"""What a replayer must know of a launch beyond its arguments is recorded with it."""

from pathlib import Path

import pytest

from tilewright.sandbox.answering import answer
from tilewright.sandbox.plan import Descriptor, Launch, TensorMap
from tilewright.sandbox.protocol import Answer, CompiledKernel, Record, Recorded
from tilewright.tasks.candidate import Knob
from tilewright.tasks.spec import Case, CaseRole, DType, TensorSpec

REPLAYED = Path(__file__).parents[1] / "fixtures" / "replayed"


def record(
    name: str,
    *shape: int,
    dtype: DType = DType.FLOAT32,
    target: str = "cuda:90",
    compiled: tuple[CompiledKernel, ...] = (),
    **knobs: int,
) -> Recorded:
    strides = tuple(shape[index + 1] if index + 1 < len(shape) else 1 for index in range(len(shape)))
    case = Case(
        name="c", role=CaseRole.BENCH, sizes=(), dtype=dtype, init_args="[]", parameters=(), outputs=(),
        inputs=(TensorSpec(shape=shape, strides=strides, dtype=dtype),),
    )  # fmt: skip
    chosen = tuple(Knob(name=key, value=value) for key, value in knobs.items())
    source = (REPLAYED / f"{name}.py").read_text()
    answers: list[Answer] = []
    answer(Record(source=source, knobs=chosen, target=target, cases=(case,), compiled=compiled), answers.append)
    last = answers[-1]
    assert isinstance(last, Recorded), last
    return last


def launch_of(recorded: Recorded) -> Launch:
    return recorded.plans[0].launches[0]


def descriptor_of(recorded: Recorded) -> Descriptor:
    (found,) = [one for one in launch_of(recorded).arguments if isinstance(one, Descriptor)]
    return found


class TestDescriptors:
    def test_the_compilers_choices_for_a_tensor_map_stand_in_the_plan(self) -> None:
        chosen = descriptor_of(record("host_descriptor", 40, 48, dtype=DType.FLOAT16)).tensor_map
        assert chosen is not None
        assert (chosen.element_bytes, chosen.is_fp4_padded, len(chosen.block_shape)) == (2, False, 2)

    def test_a_tensor_map_survives_a_second_recording_of_the_same_source(self) -> None:
        first = record("host_descriptor", 40, 48)
        again = record("host_descriptor", 40, 48, compiled=first.compiled)
        assert again.ptx[0].text == ""
        assert isinstance(descriptor_of(again).tensor_map, TensorMap)
        assert again.plans == first.plans

    @pytest.mark.parametrize("nan", [0, 1])
    def test_what_lies_beyond_the_shape_is_recorded(self, nan: int) -> None:
        assert descriptor_of(record("host_descriptor", 40, 48, nan=nan)).pads_with_nan is bool(nan)

    def test_a_target_without_tensor_maps_takes_descriptors_apart(self) -> None:
        assert descriptor_of(record("host_descriptor", 40, 48, target="cuda:80")).tensor_map is None


class TestScratch:
    def test_scratch_memory_is_recorded_with_its_alignment(self) -> None:
        launch = launch_of(record("device_descriptor", 40, 48))
        assert launch.global_scratch_bytes > 0
        assert launch.global_scratch_align == 128
        assert launch.profile_scratch_bytes == 0


class TestFlags:
    @pytest.mark.parametrize(("name", "flags"), [("dependent", ("pdl",)), ("cooperative", ("cooperative",))])
    def test_launch_options_are_recorded(self, name: str, flags: tuple[str, ...]) -> None:
        assert launch_of(record(name, 5000)).flags == flags
