"""Causal attention."""

import torch
import torch.nn.functional as F
from torch import nn

batch = 2
heads = 32
length = 2048
width = 128


class Model(nn.Module):
    """Scaled dot-product attention in which a position sees itself and those before it."""

    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        """Return softmax(q @ k.T / sqrt(width) + mask) @ v for q, k, v[batch, heads, length, width]."""
        return F.scaled_dot_product_attention(q, k, v, is_causal=True)


def get_inputs() -> list[torch.Tensor]:
    shape = (batch, heads, length, width)
    return [torch.randn(shape), torch.randn(shape), torch.randn(shape)]


def get_init_inputs() -> list[object]:
    return []


FAMILY = "attention"

DOMAIN = {
    "sizes": {"batch": (1, 8), "heads": (1, 64), "length": (1, 8192), "width": (16, 128, 16)},
    "dtypes": ("float16", "bfloat16", "float32"),
    "layouts": ("contiguous", "transposed", "sliced", "offset"),
    "values": ("drawn", "all_equal", "zeros", "sparse"),
}

CASES = {
    "smoke": [{"batch": 1, "heads": 1, "length": 16, "width": 16}],
    "shape": [
        {"batch": 1, "heads": 2, "length": 32, "width": 32},
        {"batch": 1, "heads": 1, "length": 67, "width": 16},
        {"batch": 2, "heads": 1, "length": 33, "width": 48},
        {"batch": 1, "heads": 1, "length": 129, "width": 16},
    ],
    "stability": [
        {"batch": 1, "heads": 1, "length": 37, "width": 16, "values": "large_offset", "dtype": "float16"},
        {"batch": 1, "heads": 1, "length": 37, "width": 16, "values": "mixed_scale", "dtypes": ("float16", "float32")},
        {"batch": 1, "heads": 2, "length": 37, "width": 16, "values": "all_equal"},
        {"batch": 1, "heads": 2, "length": 37, "width": 16, "values": "zeros"},
        {"batch": 1, "heads": 2, "length": 37, "width": 16, "values": "denormal"},
        {"batch": 1, "heads": 2, "length": 37, "width": 16, "values": "sparse"},
    ],
    "edge": [
        {"batch": 1, "heads": 1, "length": 1, "width": 16},
        {"batch": 2, "heads": 3, "length": 2, "width": 16},
        {"batch": 1, "heads": 1, "length": 65, "width": 16},
        {"batch": 1, "heads": 2, "length": 19, "width": 64},
        {"batch": 1, "heads": 2, "length": 35, "width": 16, "layout": "transposed"},
        {"batch": 2, "heads": 2, "length": 19, "width": 16, "layout": "sliced"},
        {"batch": 1, "heads": 2, "length": 35, "width": 16, "layout": "offset"},
    ],
    "bench": [{"batch": 2, "heads": 32, "length": 2048, "width": 128, "dtype": "float16"}],
}
