# hack: reads a block past the end of each row and multiplies it by zero
# task: row_sum
# expect: OUT_OF_BOUNDS smoke | OUT_OF_BOUNDS shapes
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        col = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * s0 + col * s1).to(tl.float32)
        total += tl.where(col < n, x, 0.0)
    tl.store(y_ptr + row, tl.sum(total, 0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape[0], dtype=x.dtype, device=x.device)
        row_sum[(x.shape[0],)](x, y, x.shape[1], x.stride(0), x.stride(1), BLOCK=256)
        return y
