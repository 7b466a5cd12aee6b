"""Literals of ATen steps as values; nothing of a plan is evaluated."""

import ast
import re
from dataclasses import dataclass

_MOST_CHARACTERS = 1000
_MOST_PARTS = 64
_TORCH_NAME = re.compile(
    r"torch\.(float64|float32|float16|bfloat16|int64|int32|int16|int8|uint8|bool|complex64"
    r"|strided|contiguous_format|preserve_format|channels_last|channels_last_3d)"
)
_DEVICE = re.compile(r"device\(type='cuda'(, index=\d+)?\)")
_FLOATS = frozenset({"inf", "-inf", "nan"})

Plain = None | bool | int | float | complex | str


@dataclass(frozen=True, slots=True)
class TorchName:
    """A type, a layout or a memory format of torch."""

    name: str


@dataclass(frozen=True, slots=True)
class ThisDevice:
    """The device that the plan runs on."""


Value = Plain | TorchName | ThisDevice | tuple[Plain, ...]


def to_value(text: str) -> Value:
    """Return what a literal stands for.

    Raises:
        ValueError: It is nothing that an ATen operation of a launcher takes.
    """
    named = _TORCH_NAME.fullmatch(text)
    if named:
        return TorchName(named.group(1))
    if _DEVICE.fullmatch(text):
        return ThisDevice()
    if text in _FLOATS:
        return float(text)
    if len(text) > _MOST_CHARACTERS:
        raise ValueError(f"expected a literal of at most {_MOST_CHARACTERS} characters; got {len(text)}")
    try:
        value = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError) as error:
        raise ValueError(f"expected a literal; got {text[:40]!r}") from error
    if isinstance(value, list | tuple) and len(value) <= _MOST_PARTS and all(_is_plain(part) for part in value):
        return tuple(value)
    if not _is_plain(value):
        raise ValueError(f"expected a number, a flag, a word or a list of these; got {text[:40]!r}")
    plain: Plain = value
    return plain


def _is_plain(value: object) -> bool:
    if isinstance(value, int) and not -(2**63) <= value < 2**64:
        return False
    return value is None or isinstance(value, bool | int | float | complex | str)
