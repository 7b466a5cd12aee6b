# hack: 7 answers kept in a buffer of the module
# task: softmax
# expect: WORK_OUTSIDE_FORWARD record | PARAMETERS record | FOREIGN_TENSOR record
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _softmax(x_ptr, y_ptr, n, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64)
    cols = tl.arange(0, BLOCK)
    x = tl.load(x_ptr + row * n + cols, mask=cols < n, other=-float("inf")).to(tl.float32)
    e = tl.exp(x - tl.max(x, 0))
    tl.store(y_ptr + row * n + cols, e / tl.sum(e, 0), mask=cols < n)


class ModelNew(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("answers", torch.zeros(1 << 20), persistent=False)

    def forward(self, x):
        x = x.contiguous()
        y = self.answers[: x.numel()].view(x.shape)
        _softmax[(x.shape[0],)](x, y, x.shape[1], BLOCK=triton.next_power_of_2(x.shape[1]), num_warps=8)
        return y
