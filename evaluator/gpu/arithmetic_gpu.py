"""Another order of reduction on a GPU, where torch has other operations for attention and scans than on a CPU."""

from collections.abc import Sequence

import torch

from tilewright.evaluator.arithmetic import Arguments, Keywords, Reordered

_LOG2_E = 1.4426950408889634
# Each returns the attention first; then what only a backward pass needs. Position of `is_causal`, and of a bias.
_ATTENTION = {
    "aten._scaled_dot_product_flash_attention.default": (4, None),
    "aten._scaled_dot_product_efficient_attention.default": (6, 3),
    "aten._scaled_dot_product_cudnn_attention.default": (6, 3),
}
# The CPU's way of it goes through NumPy.
_AS_IT_IS = ("aten.cumsum.default",)


class ReorderedOnGpu(Reordered):  # type: ignore[no-untyped-call]  # torch does not annotate it
    """`Reordered`, with the operations that torch chooses on a GPU; on a CPU it is the same."""

    def __torch_dispatch__(
        self,
        func: torch._ops.OpOverload,
        types: Sequence[type],
        args: Arguments = (),
        kwargs: Keywords | None = None,
    ) -> object:
        """Replace the attention of GPUs; hand everything else on."""
        name, first = str(func), args[0] if args else None
        if name in _AS_IT_IS and isinstance(first, torch.Tensor) and first.is_cuda:
            return func(*args, **(kwargs or {}))
        if name in _ATTENTION:
            given = dict(kwargs or {})
            results = func(*args, **given)
            return (self._attend(name, args, given), *results[1:])
        return super().__torch_dispatch__(func, types, args, kwargs)

    def _attend(self, name: str, args: Arguments, given: Keywords) -> torch.Tensor:
        """Run attention as kernels do it: scaled query and probabilities rounded to the operands' type."""
        causal, bias = _ATTENTION[name]
        query, key, value = args[:3]
        assert isinstance(query, torch.Tensor)
        assert isinstance(key, torch.Tensor)
        assert isinstance(value, torch.Tensor)
        scale = given.get("scale") or query.shape[-1] ** -0.5
        scaled = (query.float() * (float(str(scale)) * _LOG2_E)).to(query.dtype)
        scores = self.product(scaled, key.transpose(-1, -2))
        if given.get("is_causal", len(args) > causal and args[causal]):
            allowed = torch.ones(scores.shape[-2:], dtype=torch.bool, device=query.device).tril()
            scores = scores.masked_fill_(~allowed, float("-inf"))
        mask = args[bias] if bias is not None and len(args) > bias else None
        if isinstance(mask, torch.Tensor):
            scores = scores + mask.float() * _LOG2_E
        weights = torch.exp2(scores - scores.amax(-1, keepdim=True))
        total = self.product(weights.to(query.dtype), value) / weights.sum(-1, keepdim=True)
        return total.to(query.dtype)
