"""A task that asks for gradients: RMS norm forward and backward, recorded, judged and timed together.

tilewright optimize examples/rms_norm_backward.py --budget 120s
"""

import torch
import torch.nn.functional as F
from torch import nn

rows = 4096
cols = 4096


class Model(nn.Module):
    """RMS norm over the last dimension, with weight; eps 1e-6."""

    def __init__(self, cols: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(cols))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.rms_norm(x, (x.shape[-1],), self.weight, 1e-6)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(rows, cols)]


def get_init_inputs() -> list[object]:
    return [cols]


GRADIENTS = True

FAMILY = "rms_norm_backward"

DOMAIN = {
    "sizes": {"rows": (1, 16384), "cols": (3, 65536)},
    "dtypes": ("float16", "bfloat16", "float32"),
    "layouts": ("contiguous", "transposed", "sliced", "offset", "expanded"),
    "values": ("drawn", "mixed_scale", "all_equal", "sparse"),
}

CASES = {
    "smoke": [{"rows": 4, "cols": 64}],
    "shape": [{"rows": 8, "cols": 128}, {"rows": 5, "cols": 257}, {"rows": 37, "cols": 63}],
    "stability": [
        {"rows": 4, "cols": 200, "values": "mixed_scale"},
        {"rows": 4, "cols": 200, "values": "all_equal"},
        {"rows": 4, "cols": 200, "values": "sparse"},
    ],
    "edge": [
        {"rows": 1, "cols": 13},
        {"rows": 7, "cols": 3},
        {"rows": 7, "cols": 97, "layout": "transposed"},
        {"rows": 7, "cols": 97, "layout": "sliced"},
        {"rows": 7, "cols": 97, "layout": "offset"},
        {"rows": 7, "cols": 97, "layout": "expanded"},
    ],
    "bench": [{"rows": 4096, "cols": 4096, "dtype": "float16"}],
}
