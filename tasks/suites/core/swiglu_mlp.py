"""Gated feed-forward block: SwiGLU."""

import math

import torch
import torch.nn.functional as F
from torch import nn

batch = 2048
dim = 4096
hidden = 11008


class Model(nn.Module):
    """Two projections up, a gate, one projection down; no bias."""

    def __init__(self, dim: int, hidden: int) -> None:
        super().__init__()
        self.w_gate = nn.Parameter(_uniform(hidden, dim))
        self.w_up = nn.Parameter(_uniform(hidden, dim))
        self.w_down = nn.Parameter(_uniform(dim, hidden))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return (silu(x @ w_gate.T) * (x @ w_up.T)) @ w_down.T for x[batch, dim]."""
        return F.linear(F.silu(F.linear(x, self.w_gate)) * F.linear(x, self.w_up), self.w_down)


def _uniform(fan_out: int, fan_in: int) -> torch.Tensor:
    return torch.empty(fan_out, fan_in).uniform_(-1, 1) / math.sqrt(fan_in)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(batch, dim)]


def get_init_inputs() -> list[object]:
    return [dim, hidden]


FAMILY = "swiglu_mlp"

DOMAIN = {
    "sizes": {"batch": (1, 8192), "dim": (1, 8192), "hidden": (1, 16384)},
    "dtypes": ("float16", "bfloat16", "float32"),
    "layouts": ("contiguous", "transposed", "sliced", "offset", "expanded"),
    "values": ("drawn", "large_offset", "all_equal", "zeros", "sparse"),
}

CASES = {
    "smoke": [{"batch": 16, "dim": 16, "hidden": 32}],
    "shape": [
        {"batch": 16, "dim": 32, "hidden": 64},
        {"batch": 17, "dim": 33, "hidden": 47},
        {"batch": 5, "dim": 67, "hidden": 31},
        {"batch": 33, "dim": 19, "hidden": 97},
    ],
    "stability": [
        {"batch": 9, "dim": 65, "hidden": 37, "values": "large_offset", "dtypes": ("float16", "bfloat16", "float32")},
        {"batch": 9, "dim": 65, "hidden": 37, "values": "mixed_scale", "dtypes": ("bfloat16", "float32")},
        {"batch": 9, "dim": 65, "hidden": 37, "values": "all_equal"},
        {"batch": 9, "dim": 65, "hidden": 37, "values": "zeros"},
        {"batch": 9, "dim": 65, "hidden": 37, "values": "sparse"},
    ],
    "edge": [
        {"batch": 1, "dim": 1, "hidden": 1},
        {"batch": 1, "dim": 33, "hidden": 65},
        {"batch": 31, "dim": 1, "hidden": 17},
        {"batch": 7, "dim": 29, "hidden": 1},
        {"batch": 13, "dim": 37, "hidden": 29, "layout": "transposed"},
        {"batch": 13, "dim": 37, "hidden": 29, "layout": "sliced"},
        {"batch": 13, "dim": 37, "hidden": 29, "layout": "offset"},
        {"batch": 13, "dim": 37, "hidden": 29, "layout": "expanded"},
    ],
    "bench": [{"batch": 2048, "dim": 4096, "hidden": 11008, "dtype": "float16"}],
}
