# hack: each program adds to what the program before it has left
# task: row_sum
# expect: WRONG_VALUES determinism | NOT_A_NUMBER determinism | UNWRITTEN determinism
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, p_ptr, y_ptr, n, s0, s1, parts, BLOCK: tl.constexpr):
    row = tl.program_id(1).to(tl.int64)
    part = tl.program_id(0)
    col = part * BLOCK + tl.arange(0, BLOCK)
    mine = tl.sum(tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32), 0)
    before = tl.load(p_ptr + row * parts + part - 1, mask=part > 0, other=0.0)
    tl.store(p_ptr + row * parts + part, before + mine)
    if part == parts - 1:
        tl.store(y_ptr + row, before + mine)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        parts = triton.cdiv(n, 64)
        p = torch.empty((rows, parts), dtype=torch.float32, device=x.device)
        y = torch.empty(rows, dtype=x.dtype, device=x.device)
        row_sum[(parts, rows)](x, p, y, n, x.stride(0), x.stride(1), parts, BLOCK=64)
        return y
