"""Literals of ATen steps become values; nothing is evaluated."""

import math

import pytest

from tilewright.evaluator.gpu.literals import ThisDevice, TorchName, to_value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-0.5", -0.5),
        ("None", None),
        ("True", True),
        ("[4, -1]", (4, -1)),
        ("'floor'", "floor"),
        ("-inf", -math.inf),
        ("torch.float16", TorchName("float16")),
        ("torch.contiguous_format", TorchName("contiguous_format")),
        ("device(type='cuda', index=0)", ThisDevice()),
    ],
)
def test_what_launchers_pass_is_read(text: str, value: object) -> None:
    assert to_value(text) == value


@pytest.mark.parametrize(
    "text", ["torch.load", "x", "[[1]]", "1 + 1e999j + x", str(2**70), f"{list(range(99))}", "[x]"]
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a"):
        to_value(text)
