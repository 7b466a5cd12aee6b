"""Cross entropy: as many programs as the GPU holds at once, each walking over rows with aligned loads in flight.

Within a row each thread keeps its own maximum and sum over vectors that start on 16-byte borders; the few elements
before the first border are taken apart, and whole chunks are staged in shared memory ahead of their use.
"""

import torch
import triton
import triton.language as tl

KNOBS = {
    "PROGRAMS": (8, 4, 2, 16),
    "BLOCK_N": (2048, 4096, 1024, 8192),
    "num_warps": (4, 8, 2, 16),
    "num_stages": (3, 2, 4, 1),
    "BLOCK_ROWS": (4096, 1024, 8192),
}
knobs = {name: values[0] for name, values in KNOBS.items()}

LOG2E = tl.constexpr(1.4426950408889634)


@triton.jit
def join(top, total, x):
    new_top = tl.maximum(top, tl.max(x, axis=1))
    # While only -inf was seen, add zeros, not exp(-inf + inf).
    shift = tl.where(new_top == -float("inf"), 0.0, new_top)
    added = tl.sum(tl.exp2((x - shift[:, None]) * LOG2E), axis=1)
    return new_top, total * tl.exp2((top - shift) * LOG2E) + added


@triton.jit
def row_loss_persistent_kernel(
    logits_ptr,
    targets_ptr,
    loss_ptr,
    rows,
    cols,
    logits_stride_row,
    targets_stride,
    BLOCK_N: tl.constexpr,
    VECTOR: tl.constexpr,
    STAGES: tl.constexpr,
):
    LANES: tl.constexpr = BLOCK_N // VECTOR
    vector = tl.arange(0, VECTOR)
    offsets = tl.arange(0, LANES)[:, None] * VECTOR + vector[None, :]
    for index in range(tl.program_id(0), rows, tl.num_programs(0)):
        row = tl.cast(index, tl.int64)
        begin = row * logits_stride_row
        border = (begin + VECTOR - 1) // VECTOR * VECTOR
        head = tl.minimum(tl.cast(border - begin, tl.int32), cols)
        body = cols - head
        whole = body // BLOCK_N * BLOCK_N
        target = tl.load(targets_ptr + row * targets_stride)
        chosen = tl.load(logits_ptr + begin + target).to(tl.float32)
        first = tl.load(logits_ptr + begin + vector, mask=vector < head, other=-float("inf")).to(tl.float32)
        body_ptrs = logits_ptr + border + offsets
        top = tl.full((LANES,), -float("inf"), tl.float32)
        total = tl.zeros((LANES,), tl.float32)
        for start in tl.range(0, whole, BLOCK_N, num_stages=STAGES):
            top, total = join(top, total, tl.load(body_ptrs + start).to(tl.float32))
        last = tl.load(body_ptrs + whole, mask=whole + offsets < body, other=-float("inf"))
        top, total = join(top, total, last.to(tl.float32))
        row_top = tl.maximum(tl.max(top, axis=0), tl.max(first, axis=0))
        shift = tl.where(row_top == -float("inf"), 0.0, row_top)
        row_total = tl.sum(total * tl.exp2((top - shift) * LOG2E), axis=0)
        row_total += tl.sum(tl.exp2((first - shift) * LOG2E), axis=0)
        tl.store(loss_ptr + row, (row_top - chosen) + tl.log(row_total))


@triton.jit
def mean_kernel(loss_ptr, mean_ptr, rows, BLOCK: tl.constexpr):
    offsets = tl.arange(0, BLOCK)
    total = tl.zeros((BLOCK,), tl.float32)
    for start in range(0, rows, BLOCK):
        index = start + offsets
        total += tl.load(loss_ptr + index, mask=index < rows, other=0.0)
    tl.store(mean_ptr, tl.sum(total, axis=0) / rows)


class ModelNew(torch.nn.Module):
    def forward(self, logits, targets):
        rows, cols = logits.shape
        if logits.stride(1) != 1:
            logits = logits.contiguous()
        loss = torch.empty((rows,), dtype=torch.float32, device=logits.device)
        mean = torch.empty((), dtype=logits.dtype, device=logits.device)
        vector = 16 // logits.element_size()
        processors = torch.cuda.get_device_properties(logits.device).multi_processor_count
        row_loss_persistent_kernel[(min(rows, processors * knobs["PROGRAMS"]),)](
            logits,
            targets,
            loss,
            rows,
            cols,
            logits.stride(0),
            targets.stride(0),
            BLOCK_N=max(min(knobs["BLOCK_N"], triton.next_power_of_2(cols)), vector),
            VECTOR=vector,
            STAGES=knobs["num_stages"],
            num_warps=knobs["num_warps"],
        )
        mean_kernel[(1,)](loss, mean, rows, BLOCK=knobs["BLOCK_ROWS"], num_warps=8)
        return mean
