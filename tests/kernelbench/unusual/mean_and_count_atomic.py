# style: two outputs, integer atomics zeroed by a configuration, partial sums that the last program adds
# task: mean_and_count
import torch
import torch.nn as nn
import triton
import triton.language as tl


def _zero(nargs):
    nargs["count_ptr"].zero_()
    nargs["ticket_ptr"].zero_()


@triton.autotune(
    configs=[triton.Config({"PARTS": parts}, num_warps=4, pre_hook=_zero) for parts in (4, 8)],
    key=["cols"],
)
@triton.jit
def _reduce(
    x_ptr, part_ptr, ticket_ptr, mean_ptr, count_ptr, cols, threshold, PARTS: tl.constexpr, BLOCK: tl.constexpr
):
    part = tl.program_id(0)
    row = tl.program_id(1).to(tl.int64)
    total = tl.zeros((BLOCK,), tl.float32)
    above = tl.zeros((BLOCK,), tl.int32)
    for start in range(part * BLOCK, cols, PARTS * BLOCK):
        at = start + tl.arange(0, BLOCK)
        x = tl.load(x_ptr + row * cols + at, mask=at < cols, other=0.0)
        total += x
        above += ((x > threshold) & (at < cols)).to(tl.int32)
    tl.store(part_ptr + row * PARTS + part, tl.sum(total, 0))
    tl.atomic_add(count_ptr + row, tl.sum(above, 0).to(tl.int64), sem="relaxed")
    tl.debug_barrier()
    ticket = tl.atomic_add(ticket_ptr + row, 1, sem="acq_rel")
    if ticket == PARTS - 1:
        parts = tl.load(part_ptr + row * PARTS + tl.arange(0, PARTS), volatile=True)
        tl.store(mean_ptr + row, tl.sum(parts, 0) / cols)


class ModelNew(nn.Module):
    def __init__(self, threshold):
        super().__init__()
        self.threshold = threshold

    def forward(self, x):
        x = x.contiguous()
        rows, cols = x.shape
        mean = torch.empty(rows, dtype=x.dtype, device=x.device)
        count = torch.empty(rows, dtype=torch.int64, device=x.device)
        part = torch.empty((rows, 8), dtype=torch.float32, device=x.device)
        ticket = torch.empty(rows, dtype=torch.int32, device=x.device)
        grid = lambda meta: (meta["PARTS"], rows)
        _reduce[grid](x, part, ticket, mean, count, cols, self.threshold, BLOCK=256)
        return mean, count
