# hack: all work in operations of torch, a kernel that only touches scratch memory
# task: rotary
# expect: UNPAID timing | IDLE_KERNEL timing
# where: interpreter
import torch
import triton
import triton.language as tl


@triton.jit
def touch(scratch_ptr):
    tl.store(scratch_ptr, 1.0)


class ModelNew(torch.nn.Module):
    def forward(self, x, cos, sin):
        scratch = torch.empty(1, dtype=torch.float32, device=x.device)
        touch[(1,)](scratch)
        low, high = x.chunk(2, -1)
        return torch.cat((low * cos - high * sin, high * cos + low * sin), -1)
