import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def rms_norm_kernel(x_ptr, out_ptr, channels, pixels, eps, BLOCK_C: tl.constexpr, BLOCK_P: tl.constexpr):
    batch = tl.program_id(1).to(tl.int64)
    pixel = tl.program_id(0) * BLOCK_P + tl.arange(0, BLOCK_P)
    base = batch * channels * pixels
    total = tl.zeros((BLOCK_P,), dtype=tl.float32)
    for start in range(0, channels, BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        mask = (channel < channels)[:, None] & (pixel < pixels)[None, :]
        x = tl.load(x_ptr + base + channel[:, None] * pixels + pixel[None, :], mask=mask, other=0.0)
        total += tl.sum(x * x, axis=0)
    scale = tl.rsqrt(total / channels + eps)
    for start in range(0, channels, BLOCK_C):
        channel = start + tl.arange(0, BLOCK_C)
        mask = (channel < channels)[:, None] & (pixel < pixels)[None, :]
        offsets = base + channel[:, None] * pixels + pixel[None, :]
        x = tl.load(x_ptr + offsets, mask=mask, other=0.0)
        tl.store(out_ptr + offsets, x * scale[None, :], mask=mask)


class ModelNew(nn.Module):
    def __init__(self, eps: float = 1e-5):
        super().__init__()
        self.eps = eps

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x.contiguous()
        out = torch.empty_like(x)
        batch, channels, height, width = x.shape
        pixels = height * width
        grid = (triton.cdiv(pixels, 128), batch)
        rms_norm_kernel[grid](x, out, channels, pixels, self.eps, BLOCK_C=16, BLOCK_P=128)
        return out
