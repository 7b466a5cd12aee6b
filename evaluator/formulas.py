"""Elementary functions as kernels write them, from exp and log in float32: right, though torch is more careful.

Each loses some digits near zero, where torch has a special case; the oracle counts that as what a trusted
implementation loses.
"""

from collections.abc import Callable

import torch

# Takes the float32 operand and the operation's other arguments.
Formula = Callable[..., torch.Tensor]

_SQRT_HALF = 0.7071067811865476
_SQRT_2_OVER_PI = 0.7978845608028654


def _tanh(x: torch.Tensor) -> torch.Tensor:
    return 2 / (1 + torch.exp(-2 * x)) - 1


def _softplus(x: torch.Tensor, beta: float = 1.0, threshold: float = 20.0) -> torch.Tensor:
    return torch.where(x * beta > threshold, x, torch.log(1 + torch.exp(x * beta)) / beta)


def _gelu(x: torch.Tensor, *, approximate: str = "none") -> torch.Tensor:
    if approximate == "tanh":
        return x * (0.5 * (1 + _tanh(_SQRT_2_OVER_PI * (x + 0.044715 * x * x * x))))
    return x * (0.5 * (1 + torch.erf(x * _SQRT_HALF)))


def _elu(x: torch.Tensor, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> torch.Tensor:
    return torch.where(x > 0, x, alpha * (torch.exp(x * input_scale) - 1)) * scale


FORMULAS: dict[str, Formula] = {
    "aten.tanh.default": _tanh,
    "aten.softplus.default": _softplus,
    "aten.gelu.default": _gelu,
    "aten.elu.default": _elu,
    "aten.expm1.default": lambda x: torch.exp(x) - 1,
    "aten.log1p.default": lambda x: torch.log(1 + x),
    "aten.sigmoid.default": lambda x: 1 / (1 + torch.exp(-x)),
    "aten.silu.default": lambda x: x / (1 + torch.exp(-x)),
    "aten.mish.default": lambda x: x * _tanh(_softplus(x)),
    "aten.sinh.default": lambda x: (torch.exp(x) - torch.exp(-x)) / 2,
    "aten.cosh.default": lambda x: (torch.exp(x) + torch.exp(-x)) / 2,
}
