"""Sum of each row."""

import torch
from torch import nn

rows = 8192
cols = 8192


class Model(nn.Module):
    """Sum over the last dimension."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the sum of each row of x[rows, cols]."""
        return x.sum(-1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(rows, cols)]


def get_init_inputs() -> list[object]:
    return []


FAMILY = "row_sum"

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
        # A sum of many terms of one sign: accumulating in the inputs' type loses the small ones.
        {"rows": 4, "cols": 1000, "values": "large_offset", "dtypes": ("float16", "bfloat16", "float32")},
        {"rows": 4, "cols": 200, "values": "denormal"},
        {"rows": 4, "cols": 200, "values": "mixed_scale", "dtypes": ("float16", "float32")},
        {"rows": 4, "cols": 200, "values": "all_equal"},
        {"rows": 4, "cols": 200, "values": "zeros"},
        {"rows": 4, "cols": 200, "values": "sparse"},
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
    "bench": [{"rows": 8192, "cols": 8192, "dtype": "float16"}],
}
