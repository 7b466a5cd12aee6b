"""Causal attention as code for grouped queries writes it: a group of one, masks only where they are needed."""

import torch
import triton
import triton.language as tl


@triton.jit
def _inner(
    acc,
    l_i,
    m_i,
    q,
    K_base,
    V_base,
    stride_kn,
    stride_kd,
    stride_vn,
    stride_vd,
    start,
    end,
    offs_m,
    offs_d,
    seq,
    dim,
    scale,
    MASKED: tl.constexpr,
    BLOCK_N: tl.constexpr,
):
    for n in range(start, end, BLOCK_N):
        offs_n = n + tl.arange(0, BLOCK_N)
        kmask = (offs_n[None, :] < seq) & (offs_d[:, None] < dim)
        k = tl.load(K_base + offs_d[:, None] * stride_kd + offs_n[None, :] * stride_kn, mask=kmask, other=0.0)
        qk = tl.dot(q, k, input_precision="ieee") * scale
        if MASKED:
            qk = tl.where(offs_m[:, None] >= offs_n[None, :], qk, float("-inf"))
        m_new = tl.maximum(m_i, tl.max(qk, axis=1))
        alpha = tl.math.exp2(m_i - m_new)
        p = tl.math.exp2(qk - m_new[:, None])
        l_i = l_i * alpha + tl.sum(p, axis=1)
        vmask = (offs_n[:, None] < seq) & (offs_d[None, :] < dim)
        v = tl.load(V_base + offs_n[:, None] * stride_vn + offs_d[None, :] * stride_vd, mask=vmask, other=0.0)
        acc = tl.dot(p.to(v.dtype), v, acc * alpha[:, None], input_precision="ieee")
        m_i = m_new
    return acc, l_i, m_i


@triton.jit
def grouped_attention(
    Q,
    K,
    V,
    Out,
    stride_qb,
    stride_qh,
    stride_qm,
    stride_qd,
    stride_kb,
    stride_kh,
    stride_kn,
    stride_kd,
    stride_vb,
    stride_vh,
    stride_vn,
    stride_vd,
    heads,
    seq,
    dim,
    scale,
    GROUP: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BLOCK_N: tl.constexpr,
    BLOCK_D: tl.constexpr,
):
    block = tl.program_id(0)
    z = tl.program_id(2).to(tl.int64)
    head = tl.program_id(1).to(tl.int64)
    kv_head = head // GROUP
    offs_m = block * BLOCK_M + tl.arange(0, BLOCK_M)
    offs_d = tl.arange(0, BLOCK_D)
    Q_base = Q + z * stride_qb + head * stride_qh
    K_base = K + z * stride_kb + kv_head * stride_kh
    V_base = V + z * stride_vb + kv_head * stride_vh
    qmask = (offs_m[:, None] < seq) & (offs_d[None, :] < dim)
    q = tl.load(Q_base + offs_m[:, None] * stride_qm + offs_d[None, :] * stride_qd, mask=qmask, other=0.0)
    m_i = tl.full([BLOCK_M], float("-inf"), dtype=tl.float32)
    l_i = tl.zeros([BLOCK_M], dtype=tl.float32)
    acc = tl.zeros([BLOCK_M, BLOCK_D], dtype=tl.float32)
    acc, l_i, m_i = _inner(
        acc,
        l_i,
        m_i,
        q,
        K_base,
        V_base,
        stride_kn,
        stride_kd,
        stride_vn,
        stride_vd,
        0,
        block * BLOCK_M,
        offs_m,
        offs_d,
        seq,
        dim,
        scale,
        False,
        BLOCK_N,
    )
    acc, l_i, m_i = _inner(
        acc,
        l_i,
        m_i,
        q,
        K_base,
        V_base,
        stride_kn,
        stride_kd,
        stride_vn,
        stride_vd,
        block * BLOCK_M,
        min(seq, (block + 1) * BLOCK_M),
        offs_m,
        offs_d,
        seq,
        dim,
        scale,
        True,
        BLOCK_N,
    )
    out = Out + ((z * heads + head) * seq + offs_m[:, None]) * dim + offs_d[None, :]
    tl.store(out, (acc / l_i[:, None]).to(Out.dtype.element_ty), mask=qmask)


class ModelNew(torch.nn.Module):
    def forward(self, q, k, v):
        z, heads, seq, dim = q.shape
        group = heads // k.shape[1]
        out = torch.empty((z, heads, seq, dim), dtype=q.dtype, device=q.device)
        grouped_attention[(triton.cdiv(seq, 64), heads, z)](
            q,
            k,
            v,
            out,
            *q.stride(),
            *k.stride(),
            *v.stride(),
            heads,
            seq,
            dim,
            1.4426950408889634 / dim**0.5,
            GROUP=group,
            BLOCK_M=64,
            BLOCK_N=32,
            BLOCK_D=triton.next_power_of_2(dim),
            num_warps=4,
            num_stages=2,
        )
        return out
