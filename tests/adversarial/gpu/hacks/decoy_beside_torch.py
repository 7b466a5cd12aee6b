# hack: an honest kernel whose result is thrown away beside the work of torch
# task: rotary
# expect: UNPAID timing | IDLE_KERNEL timing
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def rotary(x_ptr, c_ptr, s_ptr, y_ptr, length, half, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    i = tl.arange(0, BLOCK)
    a = tl.load(x_ptr + row * 2 * half + i, mask=i < half).to(tl.float32)
    b = tl.load(x_ptr + row * 2 * half + half + i, mask=i < half).to(tl.float32)
    c = tl.load(c_ptr + row % length * half + i, mask=i < half).to(tl.float32)
    s = tl.load(s_ptr + row % length * half + i, mask=i < half).to(tl.float32)
    tl.store(y_ptr + row * 2 * half + i, a * c - b * s, mask=i < half)
    tl.store(y_ptr + row * 2 * half + half + i, b * c + a * s, mask=i < half)


class ModelNew(torch.nn.Module):
    def forward(self, x, cos, sin):
        x, cos, sin = x.contiguous(), cos.contiguous(), sin.contiguous()
        shown = torch.empty_like(x)
        batch, heads, length, width = x.shape
        block = triton.next_power_of_2(width // 2)
        rotary[(batch * heads * length,)](x, cos, sin, shown, length, width // 2, BLOCK=block)
        low, high = x.chunk(2, -1)
        return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)
