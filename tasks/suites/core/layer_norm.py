"""Layer norm over the last dimension."""

import torch
import torch.nn.functional as F
from torch import nn

rows = 8192
cols = 4096


class Model(nn.Module):
    """Layer norm with weight and bias; eps 1e-5."""

    def __init__(self, cols: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cols))
        self.bias = nn.Parameter(torch.zeros(cols))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (x - mean) / sqrt(var + eps) * weight + bias along each row of x[rows, cols]."""
        return F.layer_norm(x, (x.shape[-1],), self.weight, self.bias, 1e-5)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(rows, cols)]


def get_init_inputs() -> list[object]:
    return [cols]


FAMILY = "layer_norm"

DOMAIN = {
    "sizes": {"rows": (1, 16384), "cols": (1, 65536)},
    "dtypes": ("float16", "bfloat16", "float32"),
    "layouts": ("contiguous", "transposed", "sliced", "offset", "expanded"),
    "values": ("drawn", "large_offset", "denormal", "mixed_scale", "all_equal", "zeros", "sparse"),
}

CASES = {
    "smoke": [{"rows": 4, "cols": 64}],
    "shape": [
        {"rows": 8, "cols": 128},
        {"rows": 5, "cols": 257},
        {"rows": 3, "cols": 1031},
        {"rows": 13, "cols": 63},
    ],
    "stability": [
        {"rows": 4, "cols": 200, "values": "large_offset", "dtypes": ("float16", "float32")},
        {"rows": 4, "cols": 200, "values": "near_max", "dtype": "float16"},
        {"rows": 4, "cols": 200, "values": "denormal", "dtypes": ("float16", "float32")},
        {"rows": 4, "cols": 200, "values": "mixed_scale"},
        {"rows": 4, "cols": 200, "values": "all_equal"},
        {"rows": 4, "cols": 200, "values": "zeros"},
        {"rows": 4, "cols": 200, "values": "sparse"},
    ],
    "edge": [
        {"rows": 1, "cols": 1},
        {"rows": 7, "cols": 2},
        {"rows": 0, "cols": 64},
        {"rows": 6, "cols": 1025},
        {"rows": 7, "cols": 97, "layout": "transposed"},
        {"rows": 7, "cols": 97, "layout": "sliced"},
        {"rows": 7, "cols": 97, "layout": "offset"},
        {"rows": 7, "cols": 97, "layout": "expanded"},
    ],
    "bench": [{"rows": 8192, "cols": 4096, "dtype": "float16"}],
}
