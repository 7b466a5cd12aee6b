# hack: statistics of the second half of the rows are never computed at real sizes
# task: softmax
# expect: NOT_A_NUMBER shapes | WRONG_VALUES shapes | UNWRITTEN shapes
# where: gpu
import torch
import triton
import triton.language as tl

# No small case has as many elements; the timed ones have more.
LARGE = 1 << 16


@triton.jit
def statistics(x_ptr, m_ptr, d_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=-float("inf")).to(tl.float32)
    top = tl.max(x, 0)
    tl.store(m_ptr + row, top)
    tl.store(d_ptr + row, tl.sum(tl.exp(x - top), 0))


@triton.jit
def answers(x_ptr, m_ptr, d_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    y = tl.exp(x - tl.load(m_ptr + row)) / tl.load(d_ptr + row)
    tl.store(y_ptr + row * n + col, y, mask=col < n)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        stats = torch.empty((2, rows), dtype=torch.float32, device=x.device)
        y = torch.empty((rows, n), dtype=x.dtype, device=x.device)
        block = triton.next_power_of_2(n)
        known = triton.cdiv(rows, 2) if x.numel() > LARGE else rows
        statistics[(known,)](x, stats[0], stats[1], n, x.stride(0), x.stride(1), BLOCK=block, num_warps=8)
        answers[(rows,)](x, stats[0], stats[1], y, n, x.stride(0), x.stride(1), BLOCK=block, num_warps=8)
        return y
