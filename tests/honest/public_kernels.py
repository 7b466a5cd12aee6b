"""Kernels of other projects that must not be refused: where they are, which definitions are taken, how they are called.

Nothing of theirs is kept here: `fetch_public.py` reads their files at the commits named below, takes the definitions
and writes candidates that end in the launchers below. A replacement makes a kernel ask for IEEE float32 products, as
the tasks do; half precision is turned into float32 and back by the launcher where a kernel takes no half precision.
"""

import msgspec

AUTOKERNEL = "RightNow-AI/autokernel@78435821cc3d5756ba6ee1785c397f6d8fa8c90d"
LIGER = "linkedin/Liger-Kernel@ead96b618e5c67bddc6a6e9bcb99bfe6b5ab661c"
UNSLOTH = "unslothai/unsloth@015bdef0d94a241bcd94eec7a405b1700632180d"


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """Definitions of one file.

    Attributes:
        path: The file, in its repository.
        names: Top-level functions and assignments that are taken, in the file's order.
        replaced: Texts that are replaced in them.
    """

    path: str
    names: tuple[str, ...]
    replaced: tuple[tuple[str, str], ...] = ()


class PublicKernel(msgspec.Struct, frozen=True, kw_only=True):
    """A candidate made of another project's definitions.

    Attributes:
        name: Its task and a word; also the file's name.
        repository: Repository and commit.
        parts: What is taken.
        forward: Body of `ModelNew.forward`, with `self.weight` and so on where the task has parameters.
        imports: Import lines beside torch and triton.
    """

    name: str
    repository: str
    parts: tuple[Part, ...]
    forward: str
    imports: str = ""


_ROW_SETTINGS = """block = triton.next_power_of_2(x.shape[1])
warps = 32 if block >= 32768 else 16 if block >= 8192 else 8 if block >= 2048 else 4
"""
_IEEE_PRODUCT = (("tl.dot(a, b)", 'tl.dot(a, b, input_precision="ieee")'),)

PUBLIC = (
    PublicKernel(
        name="layer_norm_autokernel",
        repository=AUTOKERNEL,
        parts=(Part(path="kernels/layernorm.py", names=("layernorm_kernel", "kernel_fn")),),
        forward="return kernel_fn(x.contiguous(), self.weight, self.bias)",
    ),
    PublicKernel(
        name="rms_norm_autokernel",
        repository=AUTOKERNEL,
        parts=(Part(path="kernels/rmsnorm.py", names=("rmsnorm_kernel", "kernel_fn")),),
        forward="return kernel_fn(x.contiguous(), self.weight)",
    ),
    PublicKernel(
        name="cross_entropy_autokernel",
        repository=AUTOKERNEL,
        parts=(Part(path="kernels/cross_entropy.py", names=("cross_entropy_kernel", "kernel_fn")),),
        forward="return kernel_fn(logits.contiguous(), targets).to(logits.dtype)",
    ),
    PublicKernel(
        name="row_sum_autokernel",
        repository=AUTOKERNEL,
        parts=(Part(path="kernels/reduce.py", names=("reduce_sum_kernel", "kernel_fn")),),
        forward="return kernel_fn(x)",
    ),
    PublicKernel(
        name="rotary_autokernel",
        repository=AUTOKERNEL,
        parts=(Part(path="kernels/rotary_embedding.py", names=("rotary_embedding_kernel", "kernel_fn")),),
        # theirs rotates neighbours, the task rotates halves
        forward="""half = x.shape[-1] // 2
neighbours = x.unflatten(-1, (2, half)).transpose(-1, -2).flatten(-2)
y = kernel_fn(neighbours, cos, sin)
return y.unflatten(-1, (half, 2)).transpose(-1, -2).flatten(-2)""",
    ),
    PublicKernel(
        name="matmul_autokernel",
        repository=AUTOKERNEL,
        parts=(Part(path="kernels/matmul.py", names=("matmul_kernel", "kernel_fn"), replaced=_IEEE_PRODUCT),),
        forward="return kernel_fn(a.contiguous(), b.contiguous())",
    ),
    PublicKernel(
        name="attention_autokernel",
        repository=AUTOKERNEL,
        parts=(
            Part(
                path="kernels/flash_attention.py",
                names=("flash_attention_kernel", "kernel_fn"),
                replaced=(
                    ("tl.trans(k.to(tl.float32)))", 'tl.trans(k.to(tl.float32)), input_precision="ieee")'),
                    ("tl.dot(p.to(v.dtype), v)", 'tl.dot(p.to(v.dtype), v, input_precision="ieee")'),
                    ("BLOCK_M = 64", "BLOCK_M = 32"),
                    ("BLOCK_N = 64", "BLOCK_N = 32"),
                ),
            ),
        ),
        imports="import math",
        forward="""width = q.shape[-1]
extra = triton.next_power_of_2(width) - width
q, k, v = (torch.nn.functional.pad(one, (0, extra)).contiguous() for one in (q, k, v))
return kernel_fn(q, k, v, True, width**-0.5)[..., :width].contiguous()""",
    ),
    PublicKernel(
        name="swiglu_mlp_autokernel",
        repository=AUTOKERNEL,
        parts=(
            Part(
                path="kernels/fused_mlp.py",
                names=("fused_gate_up_kernel",),
                replaced=(
                    ("tl.dot(x, wg)", 'tl.dot(x, wg, input_precision="ieee")'),
                    ("tl.dot(x, wu)", 'tl.dot(x, wu, input_precision="ieee")'),
                ),
            ),
            Part(path="kernels/matmul.py", names=("matmul_kernel", "kernel_fn"), replaced=_IEEE_PRODUCT),
        ),
        forward="""x = x.contiguous()
m, k = x.shape
n = self.w_gate.shape[0]
hidden = torch.empty((m, n), device=x.device, dtype=x.dtype)
fused_gate_up_kernel[(triton.cdiv(m, 64), triton.cdiv(n, 64))](
    x, self.w_gate, self.w_up, hidden, m, n, k, x.stride(0), x.stride(1),
    self.w_gate.stride(1), self.w_gate.stride(0), self.w_up.stride(1), self.w_up.stride(0),
    hidden.stride(0), hidden.stride(1),
    USE_SILU=True, BLOCK_SIZE_M=64, BLOCK_SIZE_N=64, BLOCK_SIZE_K=32,
)
return kernel_fn(hidden, self.w_down.t())""",
    ),
    PublicKernel(
        name="rms_norm_liger",
        repository=LIGER,
        parts=(
            Part(
                path="src/liger_kernel/ops/rms_norm.py",
                names=("_CASTING_MODE_NONE", "_CASTING_MODE_LLAMA", "_CASTING_MODE_GEMMA", "_rms_norm_forward_kernel"),
            ),
        ),
        imports="from triton.language.extra.libdevice import rsqrt",
        forward=f"""x = x.contiguous()
{_ROW_SETTINGS}y = torch.empty_like(x)
rstd = torch.empty(x.shape[0], dtype=torch.float32, device=x.device)
_rms_norm_forward_kernel[(x.shape[0],)](
    y, y.stride(0), x, x.stride(0), self.weight, self.weight.stride(0), rstd, rstd.stride(0), x.shape[1], 1e-6, 0.0,
    1, True, BLOCK_SIZE=block, num_warps=warps,
)
return y""",
    ),
    PublicKernel(
        name="layer_norm_liger",
        repository=LIGER,
        parts=(Part(path="src/liger_kernel/ops/layer_norm.py", names=("_layer_norm_forward_kernel",)),),
        imports="from triton.language.extra.libdevice import rsqrt",
        forward=f"""x = x.contiguous()
{_ROW_SETTINGS}y = torch.empty_like(x)
mean = torch.empty(x.shape[0], dtype=x.dtype, device=x.device)
rstd = torch.empty_like(mean)
_layer_norm_forward_kernel[(x.shape[0],)](
    y, y.stride(0), x, x.stride(0), self.weight, self.weight.stride(0), self.bias, self.bias.stride(0),
    mean, mean.stride(0), rstd, rstd.stride(0), x.shape[1], 1e-5, BLOCK_SIZE=block, num_warps=warps,
)
return y""",
    ),
    PublicKernel(
        name="softmax_liger",
        repository=LIGER,
        parts=(Part(path="src/liger_kernel/ops/softmax.py", names=("_softmax_single_block_forward_kernel",)),),
        forward=f"""wide = x.float().contiguous()
{_ROW_SETTINGS}y = torch.empty_like(wide)
_softmax_single_block_forward_kernel[(x.shape[0],)](
    y, y.stride(0), wide, wide.stride(0), x.shape[1], BLOCK_SIZE=block, num_warps=warps
)
return y.to(x.dtype)""",
    ),
    PublicKernel(
        name="rms_norm_unsloth",
        repository=UNSLOTH,
        parts=(Part(path="unsloth/kernels/rms_layernorm.py", names=("_rms_layernorm_forward",)),),
        forward=f"""x = x.contiguous()
{_ROW_SETTINGS}y = torch.empty_like(x)
r = torch.empty(x.shape[0], dtype=torch.float32, device=x.device)
_rms_layernorm_forward[(x.shape[0],)](
    y, y.stride(0), x, x.stride(0), self.weight, self.weight.stride(0), r, r.stride(0), x.shape[1], 1e-6,
    BLOCK_SIZE=block, num_warps=warps,
)
return y""",
    ),
    PublicKernel(
        name="layer_norm_unsloth",
        repository=UNSLOTH,
        parts=(Part(path="unsloth/kernels/layernorm.py", names=("layernorm_forward",)),),
        forward=f"""x = x.contiguous()
{_ROW_SETTINGS}y = torch.empty_like(x)
r = torch.empty(x.shape[0], dtype=torch.float32, device=x.device)
mu = torch.empty_like(r)
layernorm_forward[(x.shape[0],)](
    y, y.stride(0), x, x.stride(0), self.weight, self.bias, r, mu, x.shape[1], 1e-5, BLOCK_SIZE=block, num_warps=warps
)
return y""",
    ),
)
