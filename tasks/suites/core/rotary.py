"""Rotary position embedding, halves rotated."""

import torch
from torch import nn

batch = 2
heads = 32
length = 2048
width = 128


class Model(nn.Module):
    """Rotation of pairs (x[i], x[i + width / 2]) by an angle that grows with the position."""

    def forward(self, x: torch.Tensor, cos: torch.Tensor, sin: torch.Tensor) -> torch.Tensor:
        """Return x[batch, heads, length, width] rotated by cos[length, width // 2] and sin[length, width // 2]."""
        x1, x2 = x.chunk(2, -1)
        return torch.cat((x1 * cos - x2 * sin, x2 * cos + x1 * sin), -1)


def get_inputs() -> list[torch.Tensor]:
    frequency = 10000.0 ** (-torch.arange(width // 2) / (width // 2))
    angle = torch.arange(length)[:, None] * frequency
    return [torch.randn(batch, heads, length, width), angle.cos(), angle.sin()]


def get_init_inputs() -> list[object]:
    return []


FAMILY = "rotary"

DOMAIN = {
    "sizes": {"batch": (1, 8), "heads": (1, 64), "length": (1, 8192), "width": (2, 256, 2)},
    "dtypes": ("float16", "bfloat16", "float32"),
    "layouts": ("contiguous", "transposed", "sliced", "offset"),
    "values": ("drawn", "large_offset", "denormal", "mixed_scale", "all_equal", "zeros", "sparse"),
}

CASES = {
    "smoke": [{"batch": 1, "heads": 2, "length": 4, "width": 16}],
    "shape": [
        {"batch": 2, "heads": 2, "length": 16, "width": 32},
        {"batch": 1, "heads": 3, "length": 17, "width": 64},
        {"batch": 3, "heads": 2, "length": 7, "width": 48},
        {"batch": 1, "heads": 1, "length": 5, "width": 128},
    ],
    "stability": [
        {"batch": 2, "heads": 2, "length": 9, "width": 32, "values": "large_offset", "dtypes": ("float16", "float32")},
        {"batch": 2, "heads": 2, "length": 9, "width": 32, "values": "denormal"},
        {"batch": 2, "heads": 2, "length": 9, "width": 32, "values": "mixed_scale", "dtypes": ("float16", "float32")},
        {"batch": 2, "heads": 2, "length": 9, "width": 32, "values": "all_equal"},
        {"batch": 2, "heads": 2, "length": 9, "width": 32, "values": "zeros"},
        {"batch": 2, "heads": 2, "length": 9, "width": 32, "values": "sparse"},
    ],
    "edge": [
        {"batch": 1, "heads": 1, "length": 1, "width": 2},
        {"batch": 2, "heads": 3, "length": 5, "width": 6},
        {"batch": 1, "heads": 1, "length": 33, "width": 16},
        {"batch": 2, "heads": 3, "length": 7, "width": 34, "dtype": "float32"},
        {"batch": 2, "heads": 3, "length": 11, "width": 32, "layout": "transposed"},
        {"batch": 2, "heads": 3, "length": 11, "width": 32, "layout": "sliced"},
        {"batch": 2, "heads": 3, "length": 11, "width": 32, "layout": "offset"},
    ],
    "bench": [{"batch": 2, "heads": 32, "length": 2048, "width": 128, "dtype": "float16"}],
}
