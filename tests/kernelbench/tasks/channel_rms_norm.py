import torch
import torch.nn as nn


class Model(nn.Module):
    """Divides each pixel by the root mean square of its channels."""

    def __init__(self, eps: float = 1e-5):
        super().__init__()
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt((x * x).mean(dim=1, keepdim=True) + self.eps)


batch_size = 16
channels = 96
height = 128
width = 120


def get_inputs():
    return [torch.rand(batch_size, channels, height, width)]


def get_init_inputs():
    return [1e-5]
