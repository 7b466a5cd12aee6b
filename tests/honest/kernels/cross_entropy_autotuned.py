"""Cross entropy: a tuned kernel for each row's loss, the mean finished with Tensor.mean."""

import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.autotune(
    configs=[triton.Config({"BLOCK": b}, num_warps=w) for b, w in ((1024, 4), (4096, 8), (8192, 16))],
    key=["vocab"],
)
@triton.jit
def row_losses(logits, targets, losses, vocab, stride_n, stride_v, BLOCK: tl.constexpr):
    n = tl.program_id(0).to(tl.int64)
    top = tl.full((BLOCK,), -float("inf"), tl.float32)
    for v in range(0, vocab, BLOCK):
        at = v + tl.arange(0, BLOCK)
        top = tl.maximum(top, tl.load(logits + n * stride_n + at * stride_v, mask=at < vocab, other=-float("inf")))
    m = tl.max(top, axis=0)
    total = tl.zeros((BLOCK,), tl.float32)
    label = tl.load(targets + n)
    chosen = tl.zeros((BLOCK,), tl.float32)
    for v in range(0, vocab, BLOCK):
        at = v + tl.arange(0, BLOCK)
        x = tl.load(logits + n * stride_n + at * stride_v, mask=at < vocab, other=-float("inf")).to(tl.float32)
        total += tl.exp(x - m)
        chosen += tl.where(at == label, x - m, 0.0)
    tl.store(losses + n, tl.log(tl.sum(total, axis=0)) - tl.sum(chosen, axis=0))


class ModelNew(nn.Module):
    def forward(self, logits, targets):
        losses = torch.empty(logits.shape[0], device=logits.device, dtype=torch.float32)
        row_losses[(logits.shape[0],)](logits, targets, losses, logits.shape[1], logits.stride(0), logits.stride(1))
        return losses.mean().to(logits.dtype)
