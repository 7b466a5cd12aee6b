"""Row-wise softmax."""

import torch
from torch import nn

rows = 8192
cols = 8192


class Model(nn.Module):
    """Softmax over the last dimension."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return exp(x - max) / sum(exp(x - max)) along each row of x[rows, cols]."""
        return torch.softmax(x, -1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(rows, cols)]


def get_init_inputs() -> list[object]:
    return []


FAMILY = "softmax"

DOMAIN = {
    "sizes": {"rows": (1, 16384), "cols": (1, 65536)},
    "dtypes": ("float16", "bfloat16", "float32"),
    "layouts": ("contiguous", "transposed", "sliced", "offset", "expanded"),
    "values": (
        "drawn", "large_offset", "near_max", "denormal", "mixed_scale", "all_equal", "zeros", "infinities", "sparse"
    ),
}  # fmt: skip

CASES = {
    "smoke": [{"rows": 4, "cols": 64}],
    "shape": [
        {"rows": 8, "cols": 128},
        {"rows": 5, "cols": 257},
        {"rows": 3, "cols": 1031},
        {"rows": 13, "cols": 63},
    ],
    "stability": [
        {"rows": 4, "cols": 200, "values": "large_offset", "dtype": "float32"},
        {"rows": 4, "cols": 200, "values": "near_max", "dtypes": ("float16", "bfloat16", "float32")},
        {"rows": 4, "cols": 200, "values": "denormal"},
        {"rows": 4, "cols": 200, "values": "mixed_scale", "dtypes": ("float16", "float32")},
        {"rows": 4, "cols": 200, "values": "all_equal"},
        {"rows": 4, "cols": 200, "values": "zeros"},
        {"rows": 4, "cols": 200, "values": "infinities", "dtype": "float32"},
    ],
    "edge": [
        {"rows": 1, "cols": 1},
        {"rows": 7, "cols": 1},
        {"rows": 0, "cols": 64},
        {"rows": 6, "cols": 1025},
        {"rows": 7, "cols": 97, "layout": "transposed"},
        {"rows": 7, "cols": 97, "layout": "sliced"},
        {"rows": 7, "cols": 97, "layout": "offset"},
        {"rows": 7, "cols": 97, "layout": "expanded"},
    ],
    "bench": [
        {"rows": 8192, "cols": 8192, "dtype": "float16"},
        {"rows": 4096, "cols": 50257, "dtype": "float16"},
    ],
}
