# hack: 29 attention to the nearest keys only
# task: attention
# expect: WRONG_VALUES smoke | WRONG_VALUES shapes
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _attend(q_ptr, k_ptr, v_ptr, y_ptr, length, width, scale, WINDOW: tl.constexpr, WIDTH: tl.constexpr):
    row = tl.program_id(0)
    base = tl.program_id(1).to(tl.int64) * length * width
    dims = tl.arange(0, WIDTH)
    keys = row - WINDOW + 1 + tl.arange(0, WINDOW)
    inside = (keys >= 0)[:, None] & (dims < width)[None, :]
    tile = base + keys[:, None] * width + dims[None, :]
    q = tl.load(q_ptr + base + row * width + dims, mask=dims < width, other=0.0).to(tl.float32)
    k = tl.load(k_ptr + tile, mask=inside, other=0.0).to(tl.float32)
    v = tl.load(v_ptr + tile, mask=inside, other=0.0).to(tl.float32)
    scores = tl.where(keys >= 0, tl.sum(k * q[None, :], 1) * scale, -float("inf"))
    p = tl.exp(scores - tl.max(scores, 0))
    y = tl.sum(v * p[:, None], 0) / tl.sum(p, 0)
    tl.store(y_ptr + base + row * width + dims, y, mask=dims < width)


class ModelNew(nn.Module):
    def forward(self, q, k, v):
        q, k, v = q.contiguous(), k.contiguous(), v.contiguous()
        y = torch.empty_like(q)
        batch, heads, length, width = q.shape
        _attend[(length, batch * heads)](
            q, k, v, y, length, width, width**-0.5, WINDOW=32, WIDTH=triton.next_power_of_2(width)
        )
        return y
