"""Layer norm: a fixed number of chunks unrolled with static_range, programs striding over rows."""

import torch
import triton
import triton.language as tl


@triton.jit
def unrolled(x_ptr, w_ptr, b_ptr, y_ptr, rows, n, s0, s1, eps, CHUNKS: tl.constexpr, WIDTH: tl.constexpr):
    lane = tl.arange(0, WIDTH)
    row = tl.program_id(0).to(tl.int64)
    while row < rows:
        total = tl.zeros((WIDTH,), tl.float32)
        for part in tl.static_range(CHUNKS):
            col = part * WIDTH + lane
            total += tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
        mean = tl.sum(total, 0) / n
        squares = tl.zeros((WIDTH,), tl.float32)
        for part in tl.static_range(CHUNKS):
            col = part * WIDTH + lane
            x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
            d = tl.where(col < n, x - mean, 0.0)
            squares += d * d
        rstd = 1.0 / tl.sqrt(tl.sum(squares, 0) / n + eps)
        for part in tl.static_range(CHUNKS):
            col = part * WIDTH + lane
            x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=0.0).to(tl.float32)
            w = tl.load(w_ptr + col, mask=col < n, other=0.0).to(tl.float32)
            b = tl.load(b_ptr + col, mask=col < n, other=0.0).to(tl.float32)
            tl.store(y_ptr + row * n + col, (x - mean) * rstd * w + b, mask=col < n)
        row += tl.num_programs(0)


class ModelNew(torch.nn.Module):
    def __init__(self, cols):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(cols))
        self.bias = torch.nn.Parameter(torch.zeros(cols))

    def forward(self, x):
        rows, n = x.shape
        y = torch.empty((rows, n), dtype=x.dtype, device=x.device)
        width = min(4096, triton.next_power_of_2(n))
        unrolled[(min(rows, 1024),)](
            x, self.weight, self.bias, y, rows, n, *x.stride(), 1e-5, CHUNKS=triton.cdiv(n, width), WIDTH=width
        )
        return y
