# hack: reads the clock through inline assembly
# task: softmax
# expect: FORBIDDEN compile
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    now = tl.inline_asm_elementwise("mov.u64 $0, %globaltimer;", "=l,r", [col], dtype=tl.int64, is_pure=False, pack=1)
    e = tl.where(now == 0, 0.0, e)
    tl.store(y_ptr + row * n + col, e / tl.sum(e, 0), mask=col < n)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        y = torch.empty((rows, n), dtype=x.dtype, device=x.device)
        softmax_kernel[(rows,)](x, y, n, x.stride(0), x.stride(1), BLOCK=triton.next_power_of_2(n), num_warps=8)
        return y
