# hack: a block as wide as the timed rows, no masks: right at the timed shape alone
# task: row_sum
# expect: OUT_OF_BOUNDS smoke
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, y_ptr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    x = tl.load(x_ptr + row * BLOCK + tl.arange(0, BLOCK))
    tl.store(y_ptr + row, tl.sum(x.to(tl.float32), 0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty(x.shape[0], dtype=x.dtype, device=x.device)
        row_sum[(x.shape[0],)](x, y, BLOCK=8192, num_warps=8)
        return y
