"""Cross entropy: programs stride over rows and leave one partial sum each; a second launch adds them."""

import torch
import triton
import triton.language as tl


@triton.jit
def partial_losses(x_ptr, t_ptr, part_ptr, rows, cols, s0, s1, BLOCK: tl.constexpr):
    mine = 0.0
    for row in range(tl.program_id(0), rows, tl.num_programs(0)):
        base = x_ptr + row.to(tl.int64) * s0
        m = float("-inf")
        s = 0.0
        for start in range(0, cols, BLOCK):
            at = start + tl.arange(0, BLOCK)
            x = tl.load(base + at * s1, mask=at < cols, other=float("-inf")).to(tl.float32)
            top = tl.maximum(m, tl.max(x, 0))
            s = s * tl.exp(m - top) + tl.sum(tl.exp(x - top), 0)
            m = top
        chosen = tl.load(base + tl.load(t_ptr + row) * s1).to(tl.float32)
        mine += m - chosen + tl.log(s)
    tl.store(part_ptr + tl.program_id(0), mine)


@triton.jit
def finish(part_ptr, out_ptr, count, rows, BLOCK: tl.constexpr):
    at = tl.arange(0, BLOCK)
    parts = tl.load(part_ptr + at, mask=at < count, other=0.0)
    tl.store(out_ptr, tl.sum(parts, 0) / rows)


class ModelNew(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.most_programs = 1024

    def forward(self, logits, targets):
        rows, cols = logits.shape
        count = min(rows, self.most_programs)
        parts = torch.empty(count, dtype=torch.float32, device=logits.device)
        out = torch.empty([], dtype=logits.dtype, device=logits.device)
        partial_losses[(count,)](
            logits, targets, parts, rows, cols, logits.stride(0), logits.stride(1), BLOCK=4096, num_warps=8
        )
        finish[(1,)](parts, out, count, rows, BLOCK=triton.next_power_of_2(count))
        return out
