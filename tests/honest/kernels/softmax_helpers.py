"""Row softmax from small jit functions, a reduction of pairs and keyword arguments throughout."""

import torch
from torch import nn
import triton
from triton import language as tl


@triton.jit
def join_pairs(m_a, s_a, m_b, s_b):
    m = tl.maximum(m_a, m_b)
    scale_a = tl.where(m_a == float("-inf"), 0.0, tl.exp(m_a - m))
    scale_b = tl.where(m_b == float("-inf"), 0.0, tl.exp(m_b - m))
    return m, s_a * scale_a + s_b * scale_b


@triton.jit
def load_row(pointer, offsets, n, step):
    return tl.load(pointer + offsets * step, mask=offsets < n, other=float("-inf")).to(tl.float32)


@triton.jit
def softmax_of_pairs(source, target, n, source_stride, source_step, target_stride, WIDTH: tl.constexpr):
    row = tl.program_id(axis=0).to(tl.int64)
    offsets = tl.arange(0, WIDTH)
    x = load_row(source + row * source_stride, offsets, n, source_step)
    ones = tl.where(offsets < n, 1.0, 0.0)
    top, total = tl.reduce((x, ones), 0, join_pairs)
    tl.store(target + row * target_stride + offsets, tl.exp(x - top) / total, mask=offsets < n)


class ModelNew(nn.Module):
    def forward(self, x):
        result = torch.empty(size=x.shape, dtype=x.dtype, device=x.device)
        width = triton.next_power_of_2(x.size(-1))
        softmax_of_pairs[(x.size(0), 1, 1)](
            source=x,
            target=result,
            n=x.size(-1),
            source_stride=x.stride(0),
            source_step=x.stride(1),
            target_stride=result.stride(0),
            WIDTH=width,
            num_warps=4 if width <= 4096 else 16,
            num_stages=1,
        )
        return result
