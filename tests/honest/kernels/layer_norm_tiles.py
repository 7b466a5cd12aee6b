"""Layer norm of tiles of rows through block pointers, the weights read by a block pointer too."""

import torch
import triton
import triton.language as tl


@triton.jit
def _tiles(x_ptr, w_ptr, b_ptr, y_ptr, rows, cols, s0, s1, eps, R: tl.constexpr, C: tl.constexpr):
    at = tl.program_id(0) * R
    x_block = tl.make_block_ptr(x_ptr, (rows, cols), (s0, s1), (at, 0), (R, C), (1, 0))
    y_block = tl.make_block_ptr(y_ptr, (rows, cols), (cols, 1), (at, 0), (R, C), (1, 0))
    w_block = tl.make_block_ptr(w_ptr, (cols,), (1,), (0,), (C,), (0,))
    b_block = tl.make_block_ptr(b_ptr, (cols,), (1,), (0,), (C,), (0,))
    inside = (tl.arange(0, C) < cols)[None, :]
    x = tl.load(x_block, boundary_check=(0, 1), padding_option="zero").to(tl.float32)
    mean = tl.sum(x, 1, keep_dims=True) / cols
    centred = tl.where(inside, x - mean, 0.0)
    var = tl.sum(centred * centred, 1, keep_dims=True) / cols
    w = tl.load(w_block, boundary_check=(0,), padding_option="zero").to(tl.float32)[None, :]
    b = tl.load(b_block, boundary_check=(0,), padding_option="zero").to(tl.float32)[None, :]
    y = centred * tl.rsqrt(var + eps) * w + b
    tl.store(y_block, y.to(y_ptr.dtype.element_ty), boundary_check=(0, 1))


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))
        self.bias = torch.nn.Parameter(torch.zeros(cols))

    def forward(self, x):
        rows, cols = x.shape
        y = torch.empty((rows, cols), dtype=x.dtype, device=x.device)
        width = triton.next_power_of_2(cols)
        height = 4 if width <= 4096 else 1
        _tiles[(triton.cdiv(rows, height),)](
            x, self.weight, self.bias, y, rows, cols, *x.stride(), 1e-5, R=height, C=width, num_warps=8
        )
        return y
