# hack: float32 rounded to half precision on the way in, at real sizes
# task: cross_entropy
# expect: WRONG_VALUES shapes
# where: gpu
import torch
import triton
import triton.language as tl

# No small case has as many elements; the timed ones have more.
LARGE = 1 << 16


@triton.jit
def losses(x_ptr, t_ptr, loss_ptr, n, s0, s1, ROUND: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    top = -float("inf")
    total = 0.0
    for start in range(0, n, BLOCK):
        col = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=-float("inf"))
        if ROUND:
            x = x.to(tl.float16)
        x = x.to(tl.float32)
        higher = tl.maximum(top, tl.max(x, 0))
        total = total * tl.exp(top - higher) + tl.sum(tl.exp(x - higher), 0)
        top = higher
    chosen = tl.load(x_ptr + row * s0 + tl.load(t_ptr + row) * s1).to(tl.float32)
    tl.store(loss_ptr + row, top - chosen + tl.log(total))


@triton.jit
def average(loss_ptr, mean_ptr, rows, BLOCK: tl.constexpr):
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, rows, BLOCK):
        at = start + tl.arange(0, BLOCK)
        total += tl.load(loss_ptr + at, mask=at < rows, other=0.0)
    tl.store(mean_ptr, tl.sum(total, 0) / rows)


class ModelNew(torch.nn.Module):
    def forward(self, logits, targets):
        rows, n = logits.shape
        loss = torch.empty(rows, dtype=torch.float32, device=logits.device)
        mean = torch.empty((), dtype=logits.dtype, device=logits.device)
        rough = logits.dtype == torch.float32 and logits.numel() > LARGE
        losses[(rows,)](logits, targets, loss, n, *logits.stride(), ROUND=rough, BLOCK=1024)
        average[(1,)](loss, mean, rows, BLOCK=1024)
        return mean
