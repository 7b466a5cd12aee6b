"""Mean cross entropy of logits against class labels."""

import torch
import torch.nn.functional as F
from torch import nn

rows = 4096
cols = 32000


class Model(nn.Module):
    """Cross entropy, averaged over the rows."""

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Return mean(logsumexp(logits[i]) - logits[i, targets[i]]) over the rows i of logits[rows, cols]."""
        return F.cross_entropy(logits, targets)


def get_inputs() -> list[torch.Tensor]:
    return [4 * torch.randn(rows, cols), torch.randint(0, cols, (rows,))]


def get_init_inputs() -> list[object]:
    return []


FAMILY = "cross_entropy"

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
        {"rows": 4, "cols": 200, "values": "large_offset", "dtypes": ("float16", "bfloat16", "float32")},
        {"rows": 4, "cols": 200, "values": "denormal"},
        {"rows": 4, "cols": 200, "values": "mixed_scale", "dtypes": ("float16", "float32")},
        {"rows": 4, "cols": 200, "values": "all_equal"},
        {"rows": 4, "cols": 200, "values": "zeros"},
        {"rows": 4, "cols": 200, "values": "sparse"},
    ],
    "edge": [
        {"rows": 1, "cols": 2},
        {"rows": 7, "cols": 1},
        {"rows": 16, "cols": 3},
        {"rows": 6, "cols": 1025},
        {"rows": 7, "cols": 97, "layout": "transposed"},
        {"rows": 7, "cols": 97, "layout": "sliced"},
        {"rows": 7, "cols": 97, "layout": "offset"},
        {"rows": 7, "cols": 97, "layout": "expanded"},
    ],
    "bench": [
        {"rows": 4096, "cols": 32000, "dtype": "float16"},
        {"rows": 8192, "cols": 50257, "dtype": "float16"},
    ],
}
