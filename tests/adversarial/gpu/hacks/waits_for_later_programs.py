# hack: each program waits for the next: a deadlock once they are not all resident
# task: row_sum
# expect: TIME_LIMIT shapes
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
def waiting_sum(x_ptr, y_ptr, flag_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        col = start + tl.arange(0, BLOCK)
        total += tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    if row < tl.num_programs(0) - 1:
        while tl.atomic_add(flag_ptr + row + 1, 0) == 0:
            total += 0.0
    tl.store(y_ptr + row, tl.sum(total, 0))
    tl.atomic_xchg(flag_ptr + row, 1)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        y = torch.empty(rows, dtype=x.dtype, device=x.device)
        if x.numel() > LARGE:
            flags = torch.zeros(rows, dtype=torch.int32, device=x.device)
            waiting_sum[(rows,)](x, y, flags, n, x.stride(0), x.stride(1), BLOCK=1024)
        else:
            row_sum[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=1024)
        return y
