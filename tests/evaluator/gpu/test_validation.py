"""A plan that names memory, binaries or operations that it may not is refused with one clear line."""

import struct
from typing import Any

import pytest
from msgspec import structs

from tilewright.evaluator.dossier import Binary
from tilewright.evaluator.gpu.validation import validate
from tilewright.evaluator.gpu.validation_launch import cubin_arch
from tilewright.sandbox.failure import Failure, FailureKind
from tilewright.sandbox.plan import (
    Alloc,
    Aten,
    Buffer,
    BufferOrigin,
    Descriptor,
    Forward,
    Keyword,
    Launch,
    LaunchPlan,
    Literal,
    Pointer,
    Scalar,
    TensorMap,
    View,
)
from tilewright.sandbox.targets import find_target
from tilewright.tasks.spec import DType, TensorSpec

TARGET = find_target("cuda:90")


def elf(flags: int, version: int = 7) -> bytes:
    head = bytearray(64)
    head[:4], head[8] = b"\x7fELF", version
    struct.pack_into("<H", head, 18, 190)
    struct.pack_into("<I", head, 48, flags)
    return bytes(head)


def view(
    buffer: int = 1, *, shape: tuple[int, ...] = (4, 8), strides: tuple[int, ...] = (8, 1), offset: int = 0
) -> View:
    return View(buffer=buffer, tensor=TensorSpec(shape=shape, strides=strides, dtype=DType.FLOAT32, offset=offset))


LAUNCH = Launch(
    kernel="k", entry="k", ptx_sha="sha", grid=(4, 1, 1), num_warps=4, num_stages=3, num_ctas=1, shared_bytes=1024,
    global_scratch_bytes=0,
    arguments=(
        Pointer(name="x", buffer=0, offset_bytes=0, signature="*fp32"),
        Pointer(name="y", buffer=1, offset_bytes=0, signature="*fp32"),
        Scalar(name="n", signature="i32", value=32),
    ),
)  # fmt: skip
DESCRIPTOR = Descriptor(
    name="d", signature="tensordesc<fp32[4, 8]>", buffer=0, offset_bytes=0, shape=(4, 8), strides=(8, 1),
    block_shape=(4, 8), tensor_map=TensorMap(swizzle=0, element_bytes=4, element_type=7, block_shape=(4, 8)),
)  # fmt: skip
ATEN = Aten(operation="aten.add.Tensor", arguments=(view(), Literal(text="2")), keywords=(), outputs=(view(),))


def plan(**changes: Any) -> LaunchPlan:
    given = Buffer(
        index=0, bytes=128, origin=BufferOrigin.INPUT, name="input 0", dtype="float32", first_step=-1, last_step=1
    )
    made = structs.replace(given, index=1, origin=BufferOrigin.SCRATCH, name="aten.empty")
    fields = {
        "target": "cuda:90", "case": "c", "buffers": (given, made), "steps": (Alloc(buffer=1), LAUNCH, ATEN),
        "outputs": (view(),),
    }  # fmt: skip
    return LaunchPlan(**{**fields, **changes})


def verdict(one: LaunchPlan, flags: int = 0x5A0D5A) -> Failure | None:
    return validate(one, {"sha": Binary(ptx_sha="sha", data=elf(flags))}, TARGET)


def refuse_launch(**changes: Any) -> Failure:
    failure = verdict(plan(steps=(structs.replace(LAUNCH, **changes),)))
    assert failure is not None
    return failure


def refuse_argument(argument: Any) -> Failure:
    return refuse_launch(arguments=(argument,))


def refuse_aten(**changes: Any) -> Failure:
    failure = verdict(plan(steps=(structs.replace(ATEN, **changes),)))
    assert failure is not None
    return failure


def test_a_plan_within_its_own_buffers_passes() -> None:
    assert verdict(plan()) is None
    assert verdict(plan(steps=(structs.replace(LAUNCH, arguments=(DESCRIPTOR,)),))) is None


def test_a_forward_part_longer_than_the_plan_is_refused() -> None:
    assert verdict(plan(forward=Forward(steps=3, outputs=1))) is None
    failure = verdict(plan(forward=Forward(steps=4, outputs=1)))
    assert failure is not None
    assert "expected a part of the plan's steps and outputs" in failure.message


class TestBinaries:
    def test_a_launch_of_an_unknown_kernel_is_refused(self) -> None:
        assert "expected a binary of the candidate; got other" in refuse_launch(ptx_sha="other").message

    def test_a_binary_for_another_architecture_is_refused(self) -> None:
        failure = verdict(plan(), flags=0x500550)
        assert failure is not None
        assert failure.message == "step 1, kernel k: expected a binary for sm_90; got sm_80"

    def test_a_plan_for_another_target_is_refused(self) -> None:
        failure = verdict(plan(target="cuda:80"))
        assert failure is not None
        assert failure.message == "a plan: expected for cuda:90; got one for cuda:80"

    @pytest.mark.parametrize(("data", "arch"), [(elf(0x6006402, 8), 100), (elf(0x500550), 80), (b"\x7fELF", None)])
    def test_the_architecture_is_read_from_old_and_new_headers(self, data: bytes, arch: int | None) -> None:
        assert cubin_arch(data) == arch


class TestMemory:
    @pytest.mark.parametrize("offset", [-4, 129])
    def test_a_pointer_outside_of_its_buffer_is_refused(self, offset: int) -> None:
        failure = refuse_argument(Pointer(name="x", buffer=0, offset_bytes=offset, signature="*fp32"))
        assert failure.kind is FailureKind.BAD_PLAN
        assert f"expected an address within 128 bytes of buffer 0; got byte {offset}" in failure.message

    def test_a_grid_of_no_programs_may_point_beyond_an_empty_buffer(self) -> None:
        pointer = Pointer(name="x", buffer=0, offset_bytes=129, signature="*fp32")
        launch = structs.replace(LAUNCH, grid=(0, 1, 1), arguments=(pointer,))
        assert verdict(plan(steps=(Alloc(buffer=1), launch, ATEN))) is None

    @pytest.mark.parametrize("buffer", [-1, 2])
    def test_a_pointer_into_no_buffer_is_refused(self, buffer: int) -> None:
        one = Pointer(name="x", buffer=buffer, offset_bytes=0, signature="*fp32")
        assert "expected one of 2 buffers" in refuse_argument(one).message

    @pytest.mark.parametrize(
        "changes",
        [
            {"shape": (5, 8)},
            {"strides": (9, 1)},
            {"offset_bytes": 4},
            {"strides": (8, 2)},
            {"shape": (0, 8)},
            {"shape": (4,)},
            {"buffer": 7},
            {"signature": "tensordesc<fp99[4, 8]>"},
            {"tensor_map": TensorMap(swizzle=9, element_bytes=4, element_type=7, block_shape=(4, 8))},
            {"tensor_map": TensorMap(swizzle=0, element_bytes=8, element_type=7, block_shape=(4, 8))},
        ],
    )
    def test_a_descriptor_that_reaches_out_of_its_buffer_is_refused(self, changes: dict[str, Any]) -> None:
        assert refuse_argument(structs.replace(DESCRIPTOR, **changes)).kind is FailureKind.BAD_PLAN

    @pytest.mark.parametrize(
        "changes",
        [{"shape": (5, 8)}, {"offset": 1}, {"strides": (-8, 1)}, {"offset": -1}, {"buffer": 2}, {"strides": (1,)}],
    )
    def test_an_output_outside_of_its_buffer_is_refused(self, changes: dict[str, Any]) -> None:
        failure = verdict(plan(outputs=(view(**changes),)))
        assert failure is not None
        assert failure.message.startswith("output 0: expected")

    def test_a_repeated_dimension_takes_no_memory(self) -> None:
        assert verdict(plan(outputs=(view(shape=(1000, 8), strides=(0, 1)),))) is None

    def test_more_memory_than_the_device_has_is_refused_beforehand(self) -> None:
        buffers = tuple(structs.replace(one, bytes=TARGET.memory_bytes) for one in plan().buffers)
        failure = verdict(plan(buffers=buffers))
        assert failure is not None
        assert failure.kind is FailureKind.MEMORY_LIMIT

    def test_scratch_memory_counts_for_every_program(self) -> None:
        failure = refuse_launch(global_scratch_bytes=1 << 30, grid=(1 << 20, 1, 1))
        assert failure.kind is FailureKind.MEMORY_LIMIT

    def test_an_allocation_of_an_input_is_refused(self) -> None:
        failure = verdict(plan(steps=(Alloc(buffer=0),)))
        assert failure is not None
        assert "expected an allocation of a scratch buffer" in failure.message


class TestSizes:
    @pytest.mark.parametrize(
        "changes",
        [
            {"grid": (1, 65_536, 1)},
            {"grid": (-1, 1, 1)},
            {"grid": (2**30, 1, 1), "num_ctas": 4},
            {"num_ctas": 3},
            {"flags": ("priority",)},
            {"global_scratch_align": 48},
            {"profile_scratch_bytes": -1},
        ],
    )
    def test_a_launch_that_no_device_makes_is_refused(self, changes: dict[str, Any]) -> None:
        assert refuse_launch(**changes).kind is FailureKind.BAD_PLAN

    @pytest.mark.parametrize("changes", [{"num_warps": 64}, {"num_warps": 0}, {"shared_bytes": 300_000}])
    def test_a_program_beyond_the_devices_limits_is_refused(self, changes: dict[str, Any]) -> None:
        assert refuse_launch(**changes).kind is FailureKind.RESOURCES


class TestAten:
    @pytest.mark.parametrize(
        "operation", ["aten.mm.default", "aten.exec.default", "prims.add.default", "aten.add", "aten.add.a.b", "add"]
    )
    def test_an_operation_that_is_not_listed_is_refused(self, operation: str) -> None:
        assert "expected a whitelisted ATen operation" in refuse_aten(operation=operation).message

    @pytest.mark.parametrize("text", ["__import__('os')", "torch.load", "[1] * 9", "open('x')", "{1: 2}", "9" * 2000])
    def test_a_literal_that_is_no_plain_value_is_refused(self, text: str) -> None:
        assert refuse_aten(arguments=(view(), Literal(text=text))).kind is FailureKind.BAD_PLAN

    @pytest.mark.parametrize("name", ["out", "out_", "a.b", "", "self__out"])
    def test_a_plan_never_says_where_torch_writes_by_keyword(self, name: str) -> None:
        failure = refuse_aten(keywords=(Keyword(name=name, value=Literal(text="1")),))
        assert "expected keywords of the operation" in failure.message

    def test_a_tensor_argument_outside_of_its_buffer_is_refused(self) -> None:
        assert "expected a tensor within the 128 bytes" in refuse_aten(arguments=(view(offset=9),)).message

    def test_a_step_without_results_is_refused(self) -> None:
        assert "expected at least one result" in refuse_aten(outputs=()).message
