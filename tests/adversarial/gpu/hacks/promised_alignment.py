# hack: promises the compiler that rows start at 16-byte borders
# task: row_sum
# expect: CRASH edges | CRASH shapes | WRONG_VALUES edges
# where: gpu
import torch
import triton
import triton.language as tl


@triton.jit
def row_sum(x_ptr, y_ptr, n, s0, s1, IS_DENSE: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, n, BLOCK):
        col = start + tl.arange(0, BLOCK)
        if IS_DENSE:
            place = tl.multiple_of(x_ptr + row * s0 + col, 16)
            total += tl.load(place, mask=col < n // 16 * 16, other=0.0).to(tl.float32)
        else:
            total += tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
    if IS_DENSE:
        col = n // 16 * 16 + tl.arange(0, 16)
        tail = tl.load(x_ptr + row * s0 + col, mask=col < n, other=0.0).to(tl.float32)
        tl.store(y_ptr + row, tl.sum(total, 0) + tl.sum(tail, 0))
    else:
        tl.store(y_ptr + row, tl.sum(total, 0))


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        y = torch.empty(rows, dtype=x.dtype, device=x.device)
        row_sum[(rows,)](x, y, n, x.stride(0), x.stride(1), IS_DENSE=x.stride(1) == 1, BLOCK=1024)
        return y
