"""What is done to the random draws of `get_inputs` before the kernel sees them."""

from collections.abc import Callable

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from tilewright.tasks.spec import DType, Values

_aten = torch.ops.aten
_DRAWS = frozenset(
    (_aten.rand, _aten.randn, _aten.rand_like, _aten.randn_like, _aten.uniform_, _aten.normal_, _aten.normal)
)
# A large offset that still leaves sums of a few hundred elements, or products, inside the dtype's range.
_OFFSETS = {DType.FLOAT16: 16.0, DType.BFLOAT16: 256.0}


class TransformedDraws(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """While active, every floating-point random draw of rank one and more comes out transformed.

    Transforming the draws, not the finished inputs, keeps what `get_inputs` builds from them: a triangular
    or symmetric matrix stays one, probabilities still sum to one, masks and labels are left alone.

    Args:
        values: The transform.
        dtype: Type to which the case casts floating inputs: decides what is large or denormal.

    Attributes:
        drawn: The tensors that were drawn.
    """

    def __init__(self, values: Values, dtype: DType) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self.transform = _TRANSFORMS[values]
        self.dtype = dtype
        self.drawn: list[torch.Tensor] = []

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: tuple[type, ...],
        args: tuple[object, ...] = (),
        kwargs: dict[str, object] | None = None,
    ) -> object:
        result = func(*args, **(kwargs or {}))
        is_draw = func.overloadpacket in _DRAWS and isinstance(result, torch.Tensor) and result.is_floating_point()
        if is_draw and result.dim() > 0 and result.numel() > 0:
            result.copy_(self.transform(result, self.dtype))
            self.drawn.append(result)
        return result


def _signed(x: torch.Tensor, _: DType) -> torch.Tensor:
    return torch.randn_like(x)


def _large_offset(x: torch.Tensor, dtype: DType) -> torch.Tensor:
    # At least eight steps of the dtype, or all elements would round to the offset.
    spread = max(1e-4, 8 * 2.0**-dtype.mantissa_bits)
    offset = _OFFSETS.get(dtype, 1e4)
    return x * (spread * offset) + offset


def _near_max(x: torch.Tensor, dtype: DType) -> torch.Tensor:
    largest = min(torch.finfo(to_torch(dtype)).max, torch.finfo(x.dtype).max)
    return _scaled_to(x, largest / 2)


def _denormal(x: torch.Tensor, dtype: DType) -> torch.Tensor:
    return _scaled_to(x, torch.finfo(to_torch(dtype)).tiny / 2)


def _scaled_to(x: torch.Tensor, largest: float) -> torch.Tensor:
    peak = x.abs().max()
    return x / peak * largest if peak > 0 else x


def _mixed_scale(x: torch.Tensor, _: DType) -> torch.Tensor:
    return x * 10.0 ** (6 * torch.rand_like(x) - 3)


def _all_equal(x: torch.Tensor, _: DType) -> torch.Tensor:
    return torch.full_like(x, x.flatten()[0].item() or 0.5)


def _infinities(x: torch.Tensor, _: DType) -> torch.Tensor:
    flat = x.flatten()
    where = torch.randperm(flat.numel())[: max(1, flat.numel() // 64)]
    flat[where] = torch.where(torch.arange(len(where)) % 2 == 0, -torch.inf, torch.inf).to(x.dtype)
    return flat.view(x.shape)


def _sparse(x: torch.Tensor, _: DType) -> torch.Tensor:
    flat = torch.zeros(x.numel(), dtype=x.dtype)
    where = torch.randperm(flat.numel())[: max(1, flat.numel() // 100)]
    flat[where] = (2 * torch.randint(0, 2, (len(where),)) - 1).to(x.dtype)
    return flat.view(x.shape)


_TRANSFORMS: dict[Values, Callable[[torch.Tensor, DType], torch.Tensor]] = {
    Values.DRAWN: lambda x, _: x,
    Values.SIGNED: _signed,
    Values.LARGE_OFFSET: _large_offset,
    Values.NEAR_MAX: _near_max,
    Values.DENORMAL: _denormal,
    Values.MIXED_SCALE: _mixed_scale,
    Values.ALL_EQUAL: _all_equal,
    Values.ZEROS: lambda x, _: torch.zeros_like(x),
    Values.INFINITIES: _infinities,
    Values.SPARSE: _sparse,
}


def to_torch(dtype: DType) -> torch.dtype:
    """Return torch's element type."""
    found = getattr(torch, dtype.value)
    assert isinstance(found, torch.dtype)
    return found
