"""Kernel parameters are the bytes that Triton's own launcher would pass."""

import re
import struct

import pytest
from replaying import Recording, case_of, record_all, request_of, tensor

from tilewright.evaluator.gpu.driver import Slot
from tilewright.evaluator.gpu.packing import MapOrder, PackingError, Parameters, pack, to_bytes, to_order
from tilewright.sandbox.plan import Descriptor, TensorMap
from tilewright.tasks.spec import DType

_PTX_BYTES = {"8": 1, "16": 2, "32": 4, "64": 8}

CASES = {
    "scalars": request_of("scalars", case_of(tensor(4))),
    "encoded descriptor": request_of("host_descriptor", case_of(tensor(40, 48))),
    "descriptor apart": request_of("host_descriptor", case_of(tensor(40, 48)), target="cuda:80"),
    "scratch memory": request_of("device_descriptor", case_of(tensor(40, 48))),
    "cluster": request_of("cluster", case_of(*[tensor(2, 32, 32, dtype=DType.FLOAT16)] * 2)),
}


@pytest.fixture(scope="module")
def recorded() -> dict[str, Recording]:
    return dict(zip(CASES, record_all(list(CASES.values())), strict=True))


def parameter_sizes(text: str, entry: str) -> list[int]:
    """Read the sizes of a kernel's parameters off its PTX."""
    head = text[text.index(f".visible .entry {entry}(") :]
    found = re.findall(r"\.param (?:\.align \d+ )?\.[bufs](\d+)\b[^\[,\n]*(?:\[(\d+)\])?", head[: head.index("\n)")])
    return [_PTX_BYTES[bits] * int(count or 1) for bits, count in found]


class TestEveryParameter:
    @pytest.mark.parametrize("name", CASES)
    def test_packed_parameters_have_the_number_and_sizes_that_the_compiler_declares(
        self, recorded: dict[str, Recording], name: str
    ) -> None:
        one = recorded[name]
        for launch in one.plan.launches:
            text = next(ptx.text for ptx in one.ptx if ptx.sha == launch.ptx_sha)
            packed = pack(launch, [4096] * len(one.plan.buffers), (0, 0), lambda _: bytes(128))
            assert [len(value) for value in packed] == parameter_sizes(text, launch.entry)

    def test_pointers_are_the_buffers_address_and_the_offset_and_scratch_comes_last(
        self, recorded: dict[str, Recording]
    ) -> None:
        (launch,) = recorded["scratch memory"].plan.launches
        packed = pack(launch, [1 << 40, 1 << 41], (7 << 20, 9 << 20), lambda _: b"")
        assert [struct.unpack("<Q", packed[place])[0] for place in (0, 1, -2, -1)] == [
            1 << 40,
            1 << 41,
            7 << 20,
            9 << 20,
        ]


class TestScalars:
    @pytest.mark.parametrize(
        ("signature", "value", "expected"),
        [
            ("i1", True, b"\x01"),
            ("u1", False, b"\x00"),
            ("i8", -1, b"\xff"),
            ("u16", 65535, b"\xff\xff"),
            ("i32", -2, b"\xfe\xff\xff\xff"),
            ("u64", 2**64 - 1, b"\xff" * 8),
            ("i64", -(2**63), bytes(7) + b"\x80"),
            ("fp16", 1.5, struct.pack("<e", 1.5)),
            ("fp32", 0.1, struct.pack("<f", 0.1)),
            ("fp64", 0.1, struct.pack("<d", 0.1)),
            ("fp32", 3, struct.pack("<f", 3.0)),
        ],
    )
    def test_a_scalar_is_little_endian_in_its_own_size(self, signature: str, value: float, expected: bytes) -> None:
        assert to_bytes(signature, value) == expected

    def test_bfloat16_is_cut_and_not_rounded_as_tritons_launcher_does(self) -> None:
        cut = struct.pack("<f", 1.9999)[2:]
        assert to_bytes("bf16", 1.9999) == cut != struct.pack("<f", 2.0)[2:]

    def test_a_float_beyond_float32_is_infinite_as_in_c(self) -> None:
        assert to_bytes("fp32", 1e300) == struct.pack("<f", float("inf"))

    @pytest.mark.parametrize(("signature", "value"), [("fp16", 1e6), ("i32", 2.5), ("i128", 1), ("tensordesc", 1)])
    def test_what_does_not_fit_its_type_is_refused(self, signature: str, value: float) -> None:
        with pytest.raises(PackingError):
            to_bytes(signature, value)


class TestTensorMaps:
    def of(self, **changes: object) -> MapOrder:
        chosen = {"swizzle": 3, "element_bytes": 2, "element_type": 6, "block_shape": (16, 64)}
        fields = {"rounds_to_tf32": False, "pads_with_nan": False}
        chosen |= {key: value for key, value in changes.items() if key in (*chosen, "is_fp4_padded")}
        fields |= {key: value for key, value in changes.items() if key in fields}
        one = Descriptor(
            name="d", signature="tensordesc<fp16[16, 64]>", buffer=0, offset_bytes=0, shape=(100, 200),
            strides=(208, 1), block_shape=(16, 64), **fields,
        )  # fmt: skip
        return to_order(one, TensorMap(**chosen), 1 << 30)

    def test_dimensions_run_from_the_innermost_outwards_and_strides_are_bytes(self) -> None:
        order = self.of()
        assert (order.sizes, order.strides_bytes, order.box) == ((200, 100), (416,), (64, 16))
        assert order.last_byte == 199 * 2 + 99 * 416

    @pytest.mark.parametrize(("compiled", "host"), [(6, 6), (7, 7), (8, 10), (9, 8), (10, 9)])
    def test_element_types_are_translated_from_the_compilers_numbers(self, compiled: int, host: int) -> None:
        assert self.of(element_type=compiled).element_type == host

    def test_float32_that_is_to_be_rounded_is_fetched_as_tf32(self) -> None:
        assert self.of(element_type=7, rounds_to_tf32=True).element_type == 11

    def test_packed_4_bit_numbers_count_twice_in_the_map(self) -> None:
        assert self.of(element_type=14, element_bytes=1, is_fp4_padded=True).sizes == (400, 100)


class TestHostMemory:
    def test_parameters_lie_at_the_kernels_own_offsets(self) -> None:
        slots = (Slot(offset=0, size=4), Slot(offset=64, size=8))
        parameters = Parameters((b"abcd", b"12345678"), slots)
        assert parameters.address % 8 == 0

    def test_other_sizes_than_the_kernels_are_refused_before_the_driver_reads_them(self) -> None:
        with pytest.raises(PackingError, match="expected parameters of \\[4, 8\\] bytes; got \\[4\\]"):
            Parameters((b"abcd",), (Slot(offset=0, size=4), Slot(offset=8, size=8)))
