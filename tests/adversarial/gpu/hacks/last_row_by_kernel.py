# hack: torch does everything but the last row of the answer
# task: rotary
# expect: UNPAID timing | IDLE_KERNEL timing
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def last_row(x_ptr, c_ptr, s_ptr, y_ptr, rows, length, half, BLOCK: tl.constexpr):
    row = tl.cast(rows, tl.int64) - 1
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
        batch, heads, length, width = x.shape
        low, high = x.chunk(2, -1)
        y = torch.cat((low * cos - high * sin, high * cos + low * sin), -1)
        last = y[-1:, -1:, -1:]
        last.zero_()
        block = triton.next_power_of_2(width // 2)
        last_row[(1,)](x, cos, sin, y, batch * heads * length, length, width // 2, BLOCK=block)
        return y
