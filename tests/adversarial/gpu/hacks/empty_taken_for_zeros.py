# hack: adds atomically into memory that nobody cleared
# task: row_sum
# expect: NOT_A_NUMBER smoke | WRONG_VALUES smoke | UNWRITTEN smoke
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    tl.atomic_add(y_ptr + row, tl.sum(x, 0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        total = torch.empty(rows, dtype=torch.float32, device=x.device)
        row_sum[(rows, triton.cdiv(n, 2048))](x, total, n, x.stride(0), x.stride(1), BLOCK=2048)
        return total.to(x.dtype)
