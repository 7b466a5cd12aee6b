# hack: offsets in int32: wrong beyond 2^31 elements
# task: row_sum
# expect: OUT_OF_BOUNDS edges | WRONG_VALUES edges | NOT_A_NUMBER edges
# where: gpu
import torch
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        col = start + tl.arange(0, BLOCK)
        total += tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    tl.store(y_ptr + row, tl.sum(total, 0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        y = torch.empty(rows, dtype=x.dtype, device=x.device)
        row_sum[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=1024)
        return y
