"""A task as a user would write it: plain KernelBench format, no cases declared.

tilewright optimize examples/softmax.py --budget 120s
"""

import torch
from torch import nn

rows = 4096
cols = 4096


class Model(nn.Module):
    """Softmax over the last dimension."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(x, dim=-1)


def get_inputs() -> list[torch.Tensor]:
    return [torch.randn(rows, cols)]


def get_init_inputs() -> list[object]:
    return []
