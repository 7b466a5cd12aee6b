"""RMS norm: block pointers advanced over a row, several rows at once."""

import torch
import triton
import triton.language as tl


@triton.jit
def rms_blocks(x_ptr, w_ptr, y_ptr, rows, cols, s0, s1, eps, R: tl.constexpr, C: tl.constexpr):
    first = tl.program_id(0) * R
    x_block = tl.make_block_ptr(x_ptr, (rows, cols), (s0, s1), (first, 0), (R, C), (1, 0))
    squares = tl.zeros((R, C), tl.float32)
    for _ in range(0, tl.cdiv(cols, C)):
        x = tl.load(x_block, boundary_check=(0, 1), padding_option="zero").to(tl.float32)
        squares += x * x
        x_block = tl.advance(x_block, (0, C))
    scale = tl.rsqrt(tl.sum(squares, axis=1) / cols + eps)[:, None]
    x_block = tl.make_block_ptr(x_ptr, (rows, cols), (s0, s1), (first, 0), (R, C), (1, 0))
    y_block = tl.make_block_ptr(y_ptr, (rows, cols), (cols, 1), (first, 0), (R, C), (1, 0))
    w_block = tl.make_block_ptr(w_ptr, (cols,), (1,), (0,), (C,), (0,))
    for _ in range(0, tl.cdiv(cols, C)):
        x = tl.load(x_block, boundary_check=(0, 1), padding_option="zero").to(tl.float32)
        w = tl.load(w_block, boundary_check=(0,), padding_option="zero").to(tl.float32)
        tl.store(y_block, (x * scale * w[None, :]).to(y_ptr.dtype.element_ty), boundary_check=(0, 1))
        x_block = tl.advance(x_block, (0, C))
        y_block = tl.advance(y_block, (0, C))
        w_block = tl.advance(w_block, (C,))


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))

    def forward(self, x):
        rows, cols = x.shape
        y = torch.empty((rows, cols), dtype=x.dtype, device=x.device)
        rms_blocks[(triton.cdiv(rows, 2),)](x, self.weight, y, rows, cols, *x.stride(), 1e-6, R=2, C=1024, num_warps=4)
        return y
