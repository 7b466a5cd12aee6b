"""Causal attention: whole blocks below the diagonal without a mask, the diagonal after them, base-two exponentials."""

import torch
import triton
import triton.language as tl

KNOBS = {
    "BLOCK_M": (128, 64, 256),
    "BLOCK_N": (128, 64, 32),
    "num_warps": (8, 4),
    "num_stages": (3, 2, 4),
    "HEAVY_FIRST": (1, 0),
}
knobs = {name: values[0] for name, values in KNOBS.items()}


@triton.jit
def attend(
    out,
    total,
    top,
    q,
    k_ptr,
    v_ptr,
    query,
    first,
    stop,
    length,
    scale,
    k_stride_row,
    k_stride_col,
    v_stride_row,
    v_stride_col,
    BLOCK_N: tl.constexpr,
    BLOCK_W: tl.constexpr,
    WIDTH: tl.constexpr,
    IS_DIAGONAL: tl.constexpr,
):
    key = tl.arange(0, BLOCK_N)
    col = tl.arange(0, BLOCK_W)
    k_ptrs = k_ptr + key[None, :] * k_stride_row + col[:, None] * k_stride_col
    v_ptrs = v_ptr + key[:, None] * v_stride_row + col[None, :] * v_stride_col
    for start in range(first, stop, BLOCK_N):
        k_step_ptrs = k_ptrs + tl.cast(start, tl.int64) * k_stride_row
        v_step_ptrs = v_ptrs + tl.cast(start, tl.int64) * v_stride_row
        if IS_DIAGONAL:
            held = key < length - start
            k = tl.load(k_step_ptrs, mask=held[None, :] & (col < WIDTH)[:, None], other=0.0)
        elif BLOCK_W == WIDTH:
            k = tl.load(k_step_ptrs)
        else:
            k = tl.load(k_step_ptrs, mask=(col < WIDTH)[:, None], other=0.0)
        scores = tl.dot(q, k, input_precision="ieee")
        if IS_DIAGONAL:
            scores = tl.where(query[:, None] >= (start + key)[None, :], scores, -float("inf"))
        new_top = tl.maximum(top, tl.max(scores, axis=1) * scale)
        # One rounding: the maximum's own is the same for the whole row and cancels in the division.
        weights = tl.exp2(tl.fma(scores, scale, -new_top[:, None]))
        fade = tl.exp2(top - new_top)
        total = total * fade + tl.sum(weights, axis=1)
        out = out * fade[:, None]
        if IS_DIAGONAL:
            held = key < length - start
            v = tl.load(v_step_ptrs, mask=held[:, None] & (col < WIDTH)[None, :], other=0.0)
        elif BLOCK_W == WIDTH:
            v = tl.load(v_step_ptrs)
        else:
            v = tl.load(v_step_ptrs, mask=(col < WIDTH)[None, :], other=0.0)
        out = tl.dot(weights.to(v.dtype), v, out, input_precision="ieee")
        top = new_top
    return out, total, top


@triton.jit
def attention_split_kernel(
    q_ptr,
    k_ptr,
    v_ptr,
    out_ptr,
    heads,
    length,
    scale,
    q_stride_batch,
    q_stride_head,
    q_stride_row,
    q_stride_col,
    k_stride_batch,
    k_stride_head,
    k_stride_row,
    k_stride_col,
    v_stride_batch,
    v_stride_head,
    v_stride_row,
    v_stride_col,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_W: tl.constexpr,
    WIDTH: tl.constexpr,
    HEAVY_FIRST: tl.constexpr,
):
    blocks = tl.cdiv(length, BLOCK_M)
    program = tl.program_id(0)
    if HEAVY_FIRST:
        # Long rows of blocks start first, short ones fill the end; neighbours work on different heads.
        pairs = tl.num_programs(0) // blocks
        block = blocks - 1 - program // pairs
        pair = (program % pairs).to(tl.int64)
    else:
        # Neighbours share the keys of one head in the L2 cache.
        block = blocks - 1 - program % blocks
        pair = (program // blocks).to(tl.int64)
    batch = pair // heads
    head = pair % heads
    q_ptr += batch * q_stride_batch + head * q_stride_head
    k_ptr += batch * k_stride_batch + head * k_stride_head
    v_ptr += batch * v_stride_batch + head * v_stride_head
    query = block * BLOCK_M + tl.arange(0, BLOCK_M)
    col = tl.arange(0, BLOCK_W)
    held = (query < length)[:, None] & (col < WIDTH)[None, :]
    q = tl.load(q_ptr + query.to(tl.int64)[:, None] * q_stride_row + col[None, :] * q_stride_col, mask=held, other=0.0)
    top = tl.full((BLOCK_M,), -float("inf"), tl.float32)
    total = tl.zeros((BLOCK_M,), tl.float32)
    out = tl.zeros((BLOCK_M, BLOCK_W), tl.float32)
    # Every key before this block's first query is seen by all of its queries.
    diagonal = block * BLOCK_M // BLOCK_N * BLOCK_N
    stop = tl.minimum((block + 1) * BLOCK_M, length)
    out, total, top = attend(
        out, total, top, q, k_ptr, v_ptr, query, 0, diagonal, length, scale,
        k_stride_row, k_stride_col, v_stride_row, v_stride_col,
        BLOCK_N=BLOCK_N, BLOCK_W=BLOCK_W, WIDTH=WIDTH, IS_DIAGONAL=False,
    )  # fmt: skip
    out, total, top = attend(
        out, total, top, q, k_ptr, v_ptr, query, diagonal, stop, length, scale,
        k_stride_row, k_stride_col, v_stride_row, v_stride_col,
        BLOCK_N=BLOCK_N, BLOCK_W=BLOCK_W, WIDTH=WIDTH, IS_DIAGONAL=True,
    )  # fmt: skip
    out_ptrs = out_ptr + (pair * length + query)[:, None] * WIDTH + col[None, :]
    tl.store(out_ptrs, out * (1.0 / total)[:, None], mask=held)


class ModelNew(torch.nn.Module):
    def forward(self, q, k, v):
        batch, heads, length, width = q.shape
        out = torch.empty(q.shape, dtype=q.dtype, device=q.device)
        block_m, block_n = knobs["BLOCK_M"], knobs["BLOCK_N"]
        if q.dtype == torch.float32:
            # Exact float32 products run on the ordinary cores, which want small tiles.
            block_m, block_n = 32, 32
        attention_split_kernel[(triton.cdiv(length, block_m) * batch * heads,)](
            q,
            k,
            v,
            out,
            heads,
            length,
            1.4426950408889634 / width**0.5,
            *q.stride(),
            *k.stride(),
            *v.stride(),
            BLOCK_M=block_m,
            BLOCK_N=block_n,
            BLOCK_W=max(triton.next_power_of_2(width), 16),
            WIDTH=width,
            HEAVY_FIRST=knobs["HEAVY_FIRST"],
            num_warps=knobs["num_warps"],
            num_stages=knobs["num_stages"],
        )
        return out
