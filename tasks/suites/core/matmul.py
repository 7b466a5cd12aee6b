"""Product of two matrices."""

import torch
from torch import nn

m = 4096
k = 4096
n = 4096


class Model(nn.Module):
    """Matrix product."""

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Return a[m, k] @ b[k, n]."""
        return a @ b


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(m, k), torch.randn(k, n)]


def get_init_inputs() -> list[object]:
    return []


FAMILY = "matmul"

DOMAIN = {
    "sizes": {"m": (1, 16384), "k": (1, 16384), "n": (1, 16384)},
    "dtypes": ("float16", "bfloat16", "float32"),
    "layouts": ("contiguous", "transposed", "sliced", "offset", "expanded"),
    "values": ("drawn", "large_offset", "mixed_scale", "all_equal", "zeros", "sparse"),
}

CASES = {
    "smoke": [{"m": 16, "k": 32, "n": 16}],
    "shape": [
        {"m": 32, "k": 64, "n": 64},
        {"m": 33, "k": 47, "n": 65},
        {"m": 17, "k": 129, "n": 31},
        {"m": 67, "k": 29, "n": 53},
    ],
    "stability": [
        # A product of many terms of one sign: accumulating in the inputs' type loses the small ones.
        {"m": 19, "k": 130, "n": 23, "values": "large_offset", "dtypes": ("float16", "bfloat16", "float32")},
        {"m": 19, "k": 130, "n": 23, "values": "signed", "dtype": "float16"},
        {"m": 19, "k": 70, "n": 23, "values": "mixed_scale", "dtype": "float32"},
        {"m": 19, "k": 70, "n": 23, "values": "all_equal"},
        {"m": 19, "k": 70, "n": 23, "values": "zeros"},
        {"m": 19, "k": 70, "n": 23, "values": "sparse"},
    ],
    "edge": [
        {"m": 1, "k": 1, "n": 1},
        {"m": 1, "k": 65, "n": 37},
        {"m": 37, "k": 65, "n": 1},
        {"m": 31, "k": 1, "n": 33},
        {"m": 23, "k": 37, "n": 29, "layout": "transposed"},
        {"m": 23, "k": 37, "n": 29, "layout": "sliced"},
        {"m": 23, "k": 37, "n": 29, "layout": "offset"},
        {"m": 23, "k": 37, "n": 29, "layout": "expanded"},
    ],
    "bench": [
        {"m": 4096, "k": 4096, "n": 4096, "dtype": "float16"},
        {"m": 4096, "k": 4096, "n": 11008, "dtype": "float16"},
    ],
}
