# hack: a position sees the 512 before it and no earlier ones
# task: attention
# expect: WRONG_VALUES shapes
# where: gpu
import torch
import triton
import triton.language as tl


@triton.jit
def attention(
    q_ptr,
    k_ptr,
    v_ptr,
    o_ptr,
    heads,
    length,
    width,
    scale,
    q0,
    q1,
    q2,
    q3,
    k0,
    k1,
    k2,
    k3,
    v0,
    v1,
    v2,
    v3,
    M: tl.constexpr,
    N: tl.constexpr,
    W: tl.constexpr,
):
    pair = tl.program_id(1).to(tl.int64)
    b = pair // heads
    h = pair % heads
    row = (tl.program_id(0) * M + tl.arange(0, M))[:, None]
    dim = tl.arange(0, W)[None, :]
    held = (row < length) & (dim < width)
    q = tl.load(q_ptr + b * q0 + h * q1 + row * q2 + dim * q3, mask=held, other=0.0)
    top = tl.full((M,), -float("inf"), tl.float32)
    total = tl.zeros((M,), tl.float32)
    out = tl.zeros((M, W), tl.float32)
    first = tl.maximum(tl.program_id(0) * M - 512, 0)
    for start in range(first, tl.minimum(length, (tl.program_id(0) + 1) * M), N):
        key = (start + tl.arange(0, N))[:, None]
        near = (key < length) & (dim < width)
        k = tl.load(k_ptr + b * k0 + h * k1 + key * k2 + dim * k3, mask=near, other=0.0)
        v = tl.load(v_ptr + b * v0 + h * v1 + key * v2 + dim * v3, mask=near, other=0.0)
        s = tl.dot(q, tl.trans(k), input_precision="ieee") * scale
        s = tl.where(row >= (start + tl.arange(0, N))[None, :], s, -float("inf"))
        higher = tl.maximum(top, tl.max(s, 1))
        p = tl.exp(s - higher[:, None])
        fade = tl.exp(top - higher)
        total = total * fade + tl.sum(p, 1)
        out = out * fade[:, None] + tl.dot(p.to(v.dtype), v, input_precision="ieee")
        top = higher
    tl.store(o_ptr + (pair * length + row) * width + dim, out / total[:, None], mask=held)


class ModelNew(torch.nn.Module):
    def forward(self, q, k, v):
        batch, heads, length, width = q.shape
        out = torch.empty((batch, heads, length, width), dtype=q.dtype, device=q.device)
        attention[(triton.cdiv(length, 32), batch * heads)](
            q,
            k,
            v,
            out,
            heads,
            length,
            width,
            width**-0.5,
            *q.stride(),
            *k.stride(),
            *v.stride(),
            M=32,
            N=32,
            W=triton.next_power_of_2(width),
        )
        return out
