# hack: reads from scratch memory what other warps of the program are still writing
# task: softmax
# expect: WRONG_VALUES smoke | WRONG_VALUES shapes | NOT_A_NUMBER smoke | NOT_A_NUMBER shapes | NOT_DETERMINISTIC determinism | NOT_A_NUMBER stability | WRONG_VALUES stability | UNWRITTEN smoke | UNWRITTEN shapes | UNWRITTEN stability
# where: gpu
import torch
import triton
import triton.language as tl


@triton.jit
def softmax_kernel(x_ptr, t_ptr, y_ptr, n, s0, s1, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    col = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * s0 + col * s1, mask=col < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    e = e / tl.sum(e, 0)
    tl.store(t_ptr + row * n + (n - 1 - col), e, mask=col < n)
    mirrored = tl.load(t_ptr + row * n + col, mask=col < n, other=0.0)
    tl.store(y_ptr + row * n + (n - 1 - col), mirrored, mask=col < n)


class ModelNew(torch.nn.Module):
    def forward(self, x):
        rows, n = x.shape
        t = torch.empty((rows, n), dtype=torch.float32, device=x.device)
        y = torch.empty((rows, n), dtype=x.dtype, device=x.device)
        softmax_kernel[(rows,)](x, t, y, n, x.stride(0), x.stride(1), BLOCK=triton.next_power_of_2(n), num_warps=8)
        return y
