# hack: 25 the answer that the input distribution makes likely
# task: cross_entropy
# expect: WRONG_VALUES smoke | WRONG_VALUES shapes | WRONG_VALUES stability
import math
import torch
import torch.nn as nn
import triton
import triton.language as tl


@triton.jit
def _constant(y_ptr, value):
    tl.store(y_ptr, value)


class ModelNew(nn.Module):
    def forward(self, logits, targets):
        y = torch.empty((), device=logits.device, dtype=logits.dtype)
        _constant[(1,)](y, math.log(logits.shape[-1]) + 0.5)
        return y
