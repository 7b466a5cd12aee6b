"""How the trusted side computes a reference: exactly (fp64), in the case's type, and in another order of reduction."""

from collections.abc import Callable, Mapping, Sequence
from types import TracebackType

import numpy as np
import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

from tilewright.evaluator.formulas import FORMULAS

_WIDE = {
    torch.float16: torch.float64,
    torch.bfloat16: torch.float64,
    torch.float32: torch.float64,
    torch.complex64: torch.complex128,
}

# A GPU adds a long sum in pieces of about a block, one after another, in float32.
_PIECES = 16
# Kernels take powers of two, with this factor folded into the scale.
_LOG2_E = 1.4426950408889634

Arguments = tuple[object, ...]
Keywords = Mapping[str, object]


class Widened(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Run everything in float64: casts to a narrower floating type, and new tensors of one, become float64.

    A reference that says `x.float()` to be careful in half precision would otherwise be rounded to float32 in
    the middle of what is meant to be exact. Not covered: bit reinterpretation (`view(dtype)`).
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self._default = torch.get_default_dtype()

    def __enter__(self) -> "Widened":
        """Make float64 the type of new tensors and start to intercept."""
        self._default = torch.get_default_dtype()
        torch.set_default_dtype(torch.float64)
        super().__enter__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        return self

    def __exit__(
        self,
        exc_type: type[BaseException] | None,
        exc_value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop and put the default type back."""
        super().__exit__(exc_type, exc_value, traceback)  # type: ignore[no-untyped-call]  # torch does not annotate it
        torch.set_default_dtype(self._default)

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Arguments = (),
        kwargs: Keywords | None = None,
    ) -> object:
        """Widen the operands and every `dtype` argument, then run the operation."""
        target, rest = args[:1], args[1:]
        if not func._schema.is_mutable:
            target = tree_map(_widened, target)
        keywords = tree_map(_widened, dict(kwargs or {}))
        return func(*target, *tree_map(_widened, rest), **keywords)


def _widened(value: object) -> object:
    """Widen a narrow floating tensor or type; anything else as it is."""
    if isinstance(value, torch.dtype):
        return _WIDE.get(value, value)
    if isinstance(value, torch.Tensor) and value.dtype in _WIDE:
        return value.to(_WIDE[value.dtype])
    return value


class Reordered(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """Run reductions in another order: back to front and in pieces added one after another in float32.

    Results are rounded to the operands' type after each operation, as eager does. Elementary functions are
    computed from exp and log in float32 (`formulas`). Attention runs as GPU kernels do it, with the scaled query
    and the probabilities rounded to the operands' type.

    Args:
        flip: Whether reduced dimensions are walked back to front.
        pieces: Into how many pieces a reduced dimension is cut.
    """

    def __init__(self, *, flip: bool = True, pieces: int = _PIECES) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch does not annotate it
        self._flip = flip
        self._pieces = pieces

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Arguments = (),
        kwargs: Keywords | None = None,
    ) -> object:
        """Replace the reductions that the table knows; run everything else as it is."""
        name, first = str(func), args[0] if args else None
        replacement, formula = _REORDERED.get(name), FORMULAS.get(name)
        if not (isinstance(first, torch.Tensor) and first.is_floating_point()):
            return func(*args, **(kwargs or {}))
        if formula is not None:
            return formula(first.float(), *args[1:], **(kwargs or {})).to(first.dtype)
        if replacement is None:
            return func(*args, **(kwargs or {}))
        given = {name: value for name, value in (kwargs or {}).items() if value is not None}
        if given and replacement not in _WITH_KEYWORDS:
            return func(*args, **given)
        return replacement(self, func, args, given)

    def product(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """Multiply matrices [..., M, K] and [..., K, N], K in pieces; float32 result of [..., M, N]."""
        if self._flip:
            left, right = left.flip(-1), right.flip(-2)
        size = max(16, -(-left.shape[-1] // self._pieces))
        lefts, rights = torch.split(left.float(), size, dim=-1), torch.split(right.float(), size, dim=-2)
        total: torch.Tensor = lefts[0] @ rights[0]
        for one, other in zip(lefts[1:], rights[1:], strict=True):
            total = total + one @ other
        return total

    def total(self, x: torch.Tensor, dims: Sequence[int] | None, keepdim: bool) -> torch.Tensor:
        """Sum over dimensions (all if None), the last of them in pieces; float32."""
        reduced = tuple(d % x.dim() for d in dims) if dims else tuple(range(x.dim()))
        if not reduced:
            return x.float()
        if self._flip:
            x = x.flip(reduced)
        size = max(16, -(-x.shape[reduced[-1]] // self._pieces))
        parts = [part.sum(reduced, keepdim=keepdim) for part in torch.split(x.float(), size, dim=reduced[-1])]
        result: torch.Tensor = parts[0]
        for part in parts[1:]:
            result = result + part
        return result

    def flipped(self, x: torch.Tensor, dims: Sequence[int]) -> torch.Tensor:
        """Turn a tensor round if this order is back to front."""
        return x.flip(tuple(dims)) if self._flip else x


Replacement = Callable[[Reordered, torch._ops.OpOverload, Arguments, Keywords], object]


def _tensor(value: object) -> torch.Tensor:
    """Return an argument that the operation's schema says is a tensor."""
    if not isinstance(value, torch.Tensor):
        raise TypeError(f"expected a tensor, got {type(value).__name__}")
    return value


def _dimensions(args: Arguments) -> tuple[list[int] | None, bool]:
    """Read `(dim, keepdim)` of a reduction; no dim means all."""
    dims = args[1] if len(args) > 1 else None
    listed = [int(str(d)) for d in dims] if isinstance(dims, list | tuple) else None
    return listed, bool(args[2]) if len(args) > 2 else False


def _sum(mode: Reordered, _: torch._ops.OpOverload, args: Arguments, __: Keywords) -> object:
    x = _tensor(args[0])
    return mode.total(x, *_dimensions(args)).to(x.dtype)


def _mean(mode: Reordered, _: torch._ops.OpOverload, args: Arguments, __: Keywords) -> object:
    x = _tensor(args[0])
    total = mode.total(x, *_dimensions(args))
    return (total / (x.numel() / max(1, total.numel()))).to(x.dtype)


def _mm(mode: Reordered, _: torch._ops.OpOverload, args: Arguments, __: Keywords) -> object:
    left, right = _tensor(args[0]), _tensor(args[1])
    return mode.product(left, right).to(left.dtype)


def _addmm(mode: Reordered, _: torch._ops.OpOverload, args: Arguments, __: Keywords) -> object:
    bias, left, right = (_tensor(one) for one in args[:3])
    return (bias.float() + mode.product(left, right)).to(left.dtype)


def _softmax(mode: Reordered, func: torch._ops.OpOverload, args: Arguments, _: Keywords) -> object:
    dim = int(str(args[1]))
    turned = func(mode.flipped(_tensor(args[0]), (dim,)), *args[1:])
    return mode.flipped(turned, (dim,))


def _cumsum(_: Reordered, __: torch._ops.OpOverload, args: Arguments, ___: Keywords) -> object:
    x = _tensor(args[0])
    # numpy adds one element after another in float32, as a scan on a GPU may; torch's CPU scan adds in float64
    with np.errstate(invalid="ignore", over="ignore"):  # infinities of both signs meet where a case asks for them
        scanned = x.detach().float().numpy().cumsum(axis=int(str(args[1])))
    return torch.from_numpy(scanned).to(x.dtype)


def _normalised(mode: Reordered, x: torch.Tensor, dims: Sequence[int], eps: float) -> torch.Tensor:
    """Subtract the mean and divide by the standard deviation in plain float32, which overflows where a GPU does."""
    count = x.numel() / max(1, mode.total(x, dims, keepdim=True).numel())
    centred = x.float() - mode.total(x, dims, keepdim=True) / count
    return centred * torch.rsqrt(mode.total(centred * centred, dims, keepdim=True) / count + eps)


def _layer_norm(mode: Reordered, func: torch._ops.OpOverload, args: Arguments, _: Keywords) -> object:
    x, shape, weight, bias, eps = args[:5]
    first = _tensor(x)
    rank = len(shape) if isinstance(shape, list | tuple) else 1
    result = _normalised(mode, first, range(-rank, 0), float(str(eps)))
    if isinstance(weight, torch.Tensor):
        result = result * weight.float()
    if isinstance(bias, torch.Tensor):
        result = result + bias.float()
    return result.to(first.dtype), *_rest(func(*args))


def _group_norm(mode: Reordered, func: torch._ops.OpOverload, args: Arguments, _: Keywords) -> object:
    x, weight, bias, groups, eps = _tensor(args[0]), args[1], args[2], int(str(args[6])), float(str(args[7]))
    result = _normalised(mode, x.reshape(x.shape[0], groups, -1), (-1,), eps).reshape(x.shape)
    channels = (1, x.shape[1]) + (1,) * (x.dim() - 2)
    if isinstance(weight, torch.Tensor):
        result = result * weight.float().reshape(channels)
    if isinstance(bias, torch.Tensor):
        result = result + bias.float().reshape(channels)
    return result.to(x.dtype), *_rest(func(*args))


def _rest(results: object) -> tuple[object, ...]:
    """Return all but the first result of an operation."""
    return tuple(results[1:]) if isinstance(results, tuple) else ()


def _variance(mode: Reordered, _: torch._ops.OpOverload, args: Arguments, keywords: Keywords) -> object:
    x = _tensor(args[0])
    dims = _dimensions(args)[0]
    keepdim = bool(keywords.get("keepdim", False))
    count = x.numel() / max(1, mode.total(x, dims, keepdim=True).numel())
    centred = x.float() - mode.total(x, dims, keepdim=True) / count
    correction = float(str(keywords.get("correction", 1)))
    return (mode.total(centred * centred, dims, keepdim) / (count - correction)).to(x.dtype)


def _deviation(mode: Reordered, func: torch._ops.OpOverload, args: Arguments, keywords: Keywords) -> object:
    return torch.sqrt(_tensor(_variance(mode, func, args, keywords)))


def _attention(mode: Reordered, func: torch._ops.OpOverload, args: Arguments, keywords: Keywords) -> object:
    query, key, value = (_tensor(one) for one in args[:3])
    scale = keywords.get("scale", query.shape[-1] ** -0.5)
    scaled = (query.float() * (float(str(scale)) * _LOG2_E)).to(query.dtype)
    scores = mode.product(scaled, key.transpose(-1, -2))
    if len(args) > 4 and args[4]:
        allowed = torch.ones(scores.shape[-2:], dtype=torch.bool).tril()
        scores = scores.masked_fill(~allowed, float("-inf"))
    mask = keywords.get("attn_mask")
    if isinstance(mask, torch.Tensor):
        scores = scores + mask.float() * _LOG2_E
    weights = torch.exp2(scores - scores.amax(-1, keepdim=True))
    total = mode.product(weights.to(query.dtype), value) / weights.sum(-1, keepdim=True)
    _, log_sum = func(*args, **keywords)
    return total.to(query.dtype), log_sum


_REORDERED: dict[str, Replacement] = {
    "aten.sum.default": _sum,
    "aten.sum.dim_IntList": _sum,
    "aten.mean.default": _mean,
    "aten.mean.dim": _mean,
    "aten.mm.default": _mm,
    "aten.bmm.default": _mm,
    "aten.addmm.default": _addmm,
    "aten._softmax.default": _softmax,
    "aten._log_softmax.default": _softmax,
    "aten.cumsum.default": _cumsum,
    "aten.native_layer_norm.default": _layer_norm,
    "aten.native_group_norm.default": _group_norm,
    "aten.var.correction": _variance,
    "aten.std.correction": _deviation,
    "aten._scaled_dot_product_flash_attention_for_cpu.default": _attention,
}
# Replacements that heed keyword arguments; other operations with any are run as they are.
_WITH_KEYWORDS = (_attention, _variance, _deviation)
