# style: a scan with a combine function of its own, several rows a program
# task: row_cumsum
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _add(a, b):
    return a + b


@triton.jit
def _scan(x_ptr, out_ptr, rows, cols, ROWS: tl.constexpr, BLOCK: tl.constexpr):
    row = tl.program_id(0) * ROWS + tl.arange(0, ROWS)[:, None]
    carry = tl.zeros((ROWS, 1), tl.float32)
    for start in range(0, cols, BLOCK):
        at = start + tl.arange(0, BLOCK)[None, :]
        mask = (row < rows) & (at < cols)
        x = tl.load(x_ptr + row * cols + at, mask=mask, other=0.0)
        scanned = tl.associative_scan(x, 1, _add) + carry
        tl.store(out_ptr + row * cols + at, scanned, mask=mask)
        carry += tl.sum(x, 1, keep_dims=True)


class ModelNew(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.dim = dim

    def forward(self, x):
        x = x.contiguous()
        out = torch.empty_like(x)
        rows, cols = x.shape
        _scan[(triton.cdiv(rows, 4),)](x, out, rows, cols, ROWS=4, BLOCK=128)
        return out
