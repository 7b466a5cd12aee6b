"""Row-wise softmax of the core suite with fewer cases, without the widest rows, which take long to compile."""

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
    "dtypes": ("float16", "float32"),
    "layouts": ("contiguous", "offset"),
    "values": ("drawn", "large_offset", "zeros"),
}

CASES = {
    "smoke": [{"rows": 4, "cols": 64}],
    "shape": [{"rows": 8, "cols": 128}, {"rows": 5, "cols": 257}],
    "stability": [
        {"rows": 4, "cols": 200, "values": "large_offset", "dtype": "float32"},
        {"rows": 4, "cols": 200, "values": "zeros"},
    ],
    "edge": [{"rows": 1, "cols": 1}, {"rows": 7, "cols": 97, "layout": "offset"}],
    "bench": [{"rows": 8192, "cols": 8192, "dtype": "float16"}],
}
