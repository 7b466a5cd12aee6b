"""Recorded plans do on a GPU what their launchers would have done, on buffers of ours; what goes wrong is seen."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch
from replaying import Recording, case_of, record_all, request_of, tensor

from tilewright.evaluator.gpu.arena import Arena
from tilewright.evaluator.gpu.binaries import Binaries
from tilewright.evaluator.gpu.instance import Instance, PlanMismatchError
from tilewright.evaluator.gpu.runner import GpuRunner, open_instance
from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.plan import Forward
from tilewright.sandbox.protocol import Entered, Finished, Interpreted, Refused
from tilewright.tasks.spec import DType

pytestmark = pytest.mark.gpu

MATRIX = tensor(40, 48)
VECTOR = tensor(1000)
CASES = {
    "scalars": request_of("scalars", case_of(tensor(4))),
    "host descriptor": request_of("host_descriptor", case_of(MATRIX)),
    "half descriptor": request_of("host_descriptor", case_of(tensor(40, 48, dtype=DType.FLOAT16))),
    "nan descriptor": request_of("host_descriptor", case_of(MATRIX), nan=1),
    "storing descriptor": request_of("host_descriptor", case_of(tensor(40, 48, dtype=DType.BFLOAT16)), store=1),
    "descriptor apart": request_of("host_descriptor", case_of(MATRIX), target="cuda:80", nan=1),
    "device descriptor": request_of("device_descriptor", case_of(MATRIX)),
    "cluster": request_of("cluster", case_of(*[tensor(4, 64, 64, dtype=DType.FLOAT16)] * 2)),
    "dependent": request_of("dependent", case_of(tensor(5000))),
    "cooperative": request_of("cooperative", case_of(tensor(5000))),
    "too cooperative": request_of("cooperative", case_of(tensor(5000)), programs=1 << 20),
    "aten": request_of("aten_steps", case_of(tensor(16, 16))),
    "misaligned": request_of("misaligned", case_of(tensor(1001, dtype=DType.FLOAT16, offset=1))),
    **{f"fault {number}": request_of("faulty", case_of(VECTOR), fault=number) for number in range(7)},
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Recording]:
    return {name: one.retargeted("cuda:90") for name, one in zip(CASES, record_all(list(CASES.values())), strict=True)}


@pytest.fixture(scope="module")
def arena() -> Iterator[Arena]:
    with Arena(seed=7) as one:
        yield one


@pytest.fixture
def opened(recorded: dict[str, Recording], arena: Arena) -> Iterator[object]:
    held: list[Instance] = []

    def open_one(name: str) -> Instance:
        instance = open_instance(recorded[name].plan, Binaries(recorded[name].binaries()), arena)
        assert isinstance(instance, Instance), instance
        held.append(instance)
        return instance

    yield open_one
    for instance in held:
        instance.release()


def run(opened, name: str, *inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
    instance = opened(name)
    instance.load_tensors(inputs, ())
    instance.poison()
    failure = instance.try_replay(Stage.SMOKE)
    assert failure is None, failure
    assert instance.inputs_changed() == ()
    return tuple(output.cpu() for output in instance.outputs())


def noise(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(1)).to(dtype)


class TestLaunches:
    def test_every_scalar_type_arrives_as_triton_passes_it(self, opened) -> None:
        (got,) = run(opened, "scalars", torch.full((4,), 9.0))
        cut = float(torch.tensor(1.2345).view(torch.int32).bitwise_and(~0xFFFF).view(torch.float32))
        single = float(np.float32(0.1))
        signed = [
            -1.0 if got[0] < 0 else 1.0,
            -5.0,
            -300.0,
            -70_000.0,
            -(2.0**40),
            200.0,
            60_000.0,
            2.0**32 - 2,
            2.0**63,
        ]
        numbers = [1.5, cut, single, 0.1, 123_456.0, 2.0**35, single, 1.0, 77.0, 9.0, 1.0, 21.0]
        assert got.tolist() == signed + numbers

    @pytest.mark.parametrize(
        ("name", "beyond"),
        [("host descriptor", 0.0), ("nan descriptor", float("nan")), ("descriptor apart", float("nan"))],
    )
    def test_a_host_descriptor_fetches_its_tile_and_fills_beyond(self, opened, name: str, beyond: float) -> None:
        x = noise(40, 48)
        (got,) = run(opened, name, x)
        expected = torch.full((64, 64), beyond)
        expected[:40, :48] = x
        torch.testing.assert_close(got, expected, rtol=0, atol=0, equal_nan=True)

    def test_a_host_descriptor_of_half_precision_is_encoded_as_such(self, opened) -> None:
        x = noise(40, 48, dtype=torch.float16)
        (got,) = run(opened, "half descriptor", x)
        assert torch.equal(got[:40, :48], x)

    def test_a_host_descriptor_stores_within_its_shape_only(self, opened) -> None:
        x = noise(40, 48, dtype=torch.bfloat16)
        (got,) = run(opened, "storing descriptor", x)
        assert torch.equal(got, x)

    def test_descriptors_made_on_the_device_get_scratch_memory(self, opened) -> None:
        x = noise(40, 48)
        (got,) = run(opened, "device descriptor", x)
        assert torch.equal(got, x + 1)

    def test_clusters_of_two_blocks_compute_a_product(self, opened) -> None:
        a, b = noise(4, 64, 64, dtype=torch.float16), noise(4, 64, 64, dtype=torch.float16)
        (got,) = run(opened, "cluster", a, b)
        torch.testing.assert_close(got.double(), a.double() @ b.double(), rtol=2e-3, atol=2e-2)

    def test_a_dependent_launch_sees_what_the_one_before_wrote(self, opened) -> None:
        x = noise(5000)
        (got,) = run(opened, "dependent", x)
        assert torch.equal(got, 4 * x)

    def test_programs_of_a_cooperative_launch_wait_for_each_other(self, opened) -> None:
        x = noise(5000)
        (got,) = run(opened, "cooperative", x)
        torch.testing.assert_close(got, x.sum().expand(64), rtol=1e-5, atol=1e-3)

    def test_pointers_that_are_not_aligned_are_served(self, opened) -> None:
        x = noise(1002, dtype=torch.float16)[1:]
        (got,) = run(opened, "misaligned", x)
        assert torch.equal(got, x)

    def test_aten_steps_write_where_the_plan_says(self, opened) -> None:
        x = noise(16, 16)
        picked = torch.where(x > 0, x, -3.0)
        expected = (
            (2 * x - 1 + 1) * 0.5, x.max(-1).values, x.max(-1).indices, x.double().sum(-1),
            torch.cat([x, picked], -1), torch.full((4,), 0.5, dtype=torch.float16), torch.arange(2, 12, 3), x.t(),
            x.clamp(-0.5, 0.5),
        )  # fmt: skip
        for got, wanted in zip(run(opened, "aten", x), expected, strict=True):
            torch.testing.assert_close(got, wanted)


class TestReplays:
    @pytest.mark.parametrize("name", ["aten", "dependent", "cooperative", "device descriptor"])
    def test_a_captured_replay_gives_the_bits_of_a_direct_one(self, opened, name: str) -> None:
        shape = {"aten": (16, 16), "device descriptor": (40, 48)}.get(name, (5000,))
        first = [one.clone() for one in run(opened, name, noise(*shape))]
        instance = opened(name)
        instance.load_tensors((noise(*shape).cuda(),), ())
        assert instance.is_capturable
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            instance.replay(torch.cuda.current_stream().cuda_stream)
        instance.poison(0x7F)
        graph.replay()
        torch.cuda.synchronize()
        assert all(torch.equal(a, b.cpu()) for a, b in zip(first, instance.outputs(), strict=True))

    def test_another_stream_gives_the_same_bits(self, opened) -> None:
        first = [one.clone() for one in run(opened, "aten", noise(16, 16))]
        instance = opened("aten")
        instance.load_tensors((noise(16, 16),), ())
        torch.cuda.synchronize()
        stream = torch.cuda.Stream()
        instance.replay(stream.cuda_stream)
        stream.synchronize()
        assert all(torch.equal(a, b.cpu()) for a, b in zip(first, instance.outputs(), strict=True))

    def test_a_step_that_is_left_out_leaves_the_poison(self, opened) -> None:
        instance = opened("dependent")
        instance.load_tensors((noise(5000),), ())
        instance.poison()
        instance.replay(without=len(instance.plan.steps) - 1)
        assert bool(instance.outputs()[0].isnan().all())

    @pytest.mark.parametrize("byte", [0xFF, 0x7F])
    def test_what_the_launcher_makes_holds_the_poison(self, opened, byte: int) -> None:
        instance = opened("fault 5")
        instance.load_tensors((noise(1000),), ())
        instance.poison(byte)
        assert instance.try_replay(Stage.SMOKE) is None
        (got,) = instance.outputs()
        assert got.view(torch.uint8)[:4].tolist() == [byte] * 4

    def test_inputs_lie_as_the_case_says_with_nan_between(self, opened, recorded: dict[str, Recording]) -> None:
        instance = opened("misaligned")
        x = noise(1001, dtype=torch.float16)
        instance.load_tensors((x,), (), recorded["misaligned"].case)
        instance.poison()
        assert instance.try_replay(Stage.SMOKE) is None
        assert torch.equal(instance.outputs()[0].cpu(), x)

    def test_other_data_than_the_plans_are_refused(self, opened) -> None:
        with pytest.raises(PlanMismatchError, match="expected 2 buffers"):
            opened("dependent").load_tensors((noise(5000), noise(5000)), ())
        with pytest.raises(PlanMismatchError, match="input 0: expected a tensor within 20000 bytes"):
            opened("dependent").load_tensors((noise(5001),), ())

    def test_a_module_that_was_dropped_is_loaded_again(self, recorded: dict[str, Recording], arena: Arena) -> None:
        binaries = Binaries(limit=1)
        x = noise(5000)
        for name in ("dependent", "cooperative", "fault 0", "dependent"):
            binaries.replace(recorded[name].binaries())
            instance = Instance(recorded[name].plan, binaries, arena)
            instance.load_tensors((x if "fault" not in name else x[:1000],), ())
            assert instance.try_replay(Stage.SMOKE) is None
            instance.release()
        binaries.close()


class TestBackward:
    def opened_with(self, recorded: dict[str, Recording], arena: Arena, steps: int) -> Instance:
        one = recorded["dependent"]
        plan = msgspec.structs.replace(one.plan, forward=Forward(steps=steps, outputs=1))
        instance = Instance(plan, Binaries(one.binaries()), arena)
        instance.load_tensors((noise(5000),), ())
        instance.poison()
        return instance

    def test_outputs_that_forward_completes_are_right(self, recorded: dict[str, Recording], arena: Arena) -> None:
        instance = self.opened_with(recorded, arena, 4)
        assert instance.try_replay(Stage.SMOKE) is None
        instance.release()

    def test_an_output_of_forward_that_backward_writes_is_refused(
        self, recorded: dict[str, Recording], arena: Arena
    ) -> None:
        instance = self.opened_with(recorded, arena, 3)
        failure = instance.try_replay(Stage.SMOKE)
        assert failure is not None
        assert "expected output 0 to be complete when backward starts" in failure.message
        instance.release()


class TestFaults:
    @pytest.mark.parametrize(("fault", "where"), [(1, "byte 4000"), (2, "byte -")])
    def test_a_write_into_a_red_zone_is_out_of_bounds(self, opened, fault: int, where: str) -> None:
        instance = opened(f"fault {fault}")
        instance.load_tensors((noise(1000),), ())
        instance.poison()
        failure = instance.try_replay(Stage.SHAPES)
        assert failure is not None
        assert (failure.kind, failure.stage) == (FailureKind.OUT_OF_BOUNDS, Stage.SHAPES)
        assert "faulty_kernel" in failure.message
        assert where in failure.message

    def test_a_read_from_a_red_zone_gives_the_poison(self, opened) -> None:
        (got,) = run(opened, "fault 6", noise(1000))
        assert bool(got[-7:].isnan().all())
        assert not bool(got[:-7].isnan().any())

    def test_a_changed_input_is_named(self, opened) -> None:
        instance = opened("fault 4")
        instance.load_tensors((noise(1000),), ())
        instance.poison()
        assert instance.try_replay(Stage.SMOKE) is None
        assert instance.inputs_changed() == ("input 0",)

    def test_more_cooperative_programs_than_fit_are_refused_without_harm(self, opened) -> None:
        instance = opened("too cooperative")
        instance.load_tensors((noise(5000),), ())
        failure = instance.try_replay(Stage.SMOKE)
        assert failure is not None
        assert failure.kind is FailureKind.RESOURCES
        run(opened, "cooperative", noise(5000))

    def test_an_access_to_unmapped_memory_is_out_of_bounds_and_names_the_kernel(
        self, recorded: dict[str, Recording]
    ) -> None:
        failure, is_healthy = replay_elsewhere(recorded["fault 3"], noise(1000))
        assert (failure.kind, failure.stage, failure.case) == (FailureKind.OUT_OF_BOUNDS, Stage.SMOKE, "c")
        assert "kernel `faulty_kernel` touched memory outside of its buffers" in failure.message
        assert not is_healthy

    def test_parameters_that_the_kernel_does_not_take_are_a_bad_plan(
        self, recorded: dict[str, Recording], arena: Arena
    ) -> None:
        one = recorded["fault 0"]
        (launch,) = one.plan.launches
        short = msgspec.structs.replace(launch, arguments=launch.arguments[1:])
        plan = msgspec.structs.replace(one.plan, steps=(one.plan.steps[0], short))
        failure = open_instance(plan, Binaries(one.binaries()), arena)
        assert isinstance(failure, Failure)
        assert failure.kind is FailureKind.BAD_PLAN
        assert failure.message.startswith("expected parameters of [8, 8, 4, 8, 8] bytes; got [8, 4, 8, 8]")


class TestRunner:
    def runner(self, one: Recording, arena: Arena, heard: list[Entered] | None = None) -> GpuRunner:
        announce = (lambda _: None) if heard is None else heard.append
        return GpuRunner({one.plan.case: one.plan}, Binaries(one.binaries()), arena, announce)

    def test_it_answers_as_the_interpreter_does(self, recorded: dict[str, Recording], arena: Arena) -> None:
        one, heard = recorded["fault 0"], []
        x = noise(1000).numpy().tobytes()
        *entered, answer, last = self.runner(one, arena, heard).interpret(one.request(x))
        assert [(e.stage, e.case, e.kernel) for e in entered] == [
            (Stage.SMOKE, "c", None),
            (Stage.SMOKE, "c", "faulty_kernel"),
        ]
        assert heard == entered
        assert isinstance(answer, Interpreted)
        assert (answer.outputs, answer.changed, answer.plan) == ((x,), (), one.plan)
        assert last == Finished()

    @pytest.mark.parametrize("poison", [0xFF, 0x7F])
    def test_unwritten_elements_come_back_as_poison(
        self, recorded: dict[str, Recording], arena: Arena, poison: int
    ) -> None:
        one = recorded["fault 5"]
        answers = self.runner(one, arena).interpret(one.request(noise(1000).numpy().tobytes(), poison=poison))
        answer = answers[-2]
        assert isinstance(answer, Interpreted)
        assert answer.outputs[0][:4] == bytes([poison]) * 4

    def test_a_fault_ends_the_request(self, recorded: dict[str, Recording], arena: Arena) -> None:
        one = recorded["fault 1"]
        last = self.runner(one, arena).interpret(one.request(noise(1000).numpy().tobytes()))[-1]
        assert isinstance(last, Refused)
        assert last.failure.kind is FailureKind.OUT_OF_BOUNDS

    def test_data_of_another_size_are_a_bad_plan(self, recorded: dict[str, Recording], arena: Arena) -> None:
        one = recorded["fault 0"]
        last = self.runner(one, arena).interpret(one.request(b"1234"))[-1]
        assert isinstance(last, Refused)
        assert last.failure.kind is FailureKind.BAD_PLAN


def replay_elsewhere(one: Recording, x: torch.Tensor) -> tuple[Failure, bool]:
    """Replay in a child; return its fault and whether the child's context still works."""
    order = msgspec.msgpack.encode((one.plan, one.binaries(), one.request(x.numpy().tobytes())))
    script = Path(__file__).with_name("replaying_child.py")
    ran = subprocess.run([sys.executable, str(script)], input=order, capture_output=True, check=False)
    assert ran.returncode == 0, ran.stderr.decode()[-2000:]
    refused, is_healthy = msgspec.msgpack.decode(ran.stdout, type=tuple[Refused, bool])
    return refused.failure, is_healthy
