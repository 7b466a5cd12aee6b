# hack: two programs of a row read, add and write one sum without atomics
# task: row_sum
# expect: WRONG_VALUES smoke | WRONG_VALUES shapes | WRONG_VALUES stability | NOT_DETERMINISTIC determinism | WRONG_VALUES determinism
# where: gpu
import torch
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, t_ptr, n, s0, s1, half, BLOCK: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)
    first = tl.program_id(0) * half
    last = tl.minimum(first + half, n)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(first, last, BLOCK):
        col = start + tl.arange(0, BLOCK)
        total += tl.load(x_ptr + row * s0 + col * s1, mask=col < last, other=0.0).to(tl.float32)
    mine = tl.sum(total, 0)
    tl.store(t_ptr + row, tl.load(t_ptr + row) + mine)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        total = torch.zeros(rows, dtype=torch.float32, device=x.device)
        row_sum[(2, rows)](x, total, n, x.stride(0), x.stride(1), triton.cdiv(n, 2), BLOCK=1024)
        return total.to(x.dtype)
