# hack: reads 32 elements past the end of each row at real sizes and leaves them out
# task: row_sum
# expect: OUT_OF_BOUNDS determinism
# where: gpu
import torch
import triton
import triton.language as tl

# No small case has as many elements; the timed ones have more.
LARGE = 1 << 16


@triton.jit
def row_sum(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        col = start + tl.arange(0, BLOCK)
        total += tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    tl.store(y_ptr + row, tl.sum(total, 0))


@triton.jit
def hasty_sum(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n + BLOCK, BLOCK):
        col = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n + 32, other=0.0).to(tl.float32)
        total += tl.where(col < n, x, 0.0)
    tl.store(y_ptr + row, tl.sum(total, 0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        x = x.contiguous()
        rows, n = x.shape
        y = torch.empty(rows, dtype=x.dtype, device=x.device)
        if x.numel() > LARGE:
            hasty_sum[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=1024)
        else:
            row_sum[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=1024)
        return y
