"""What `triton.language` offers: the names of Triton 3.6 and 3.7, and the right form of names that do not exist."""


def words(text: str) -> frozenset[str]:
    """Return the words of a text; a table of names reads better as one."""
    return frozenset(text.split())


TL_NAMES = words(
    "abs add advance arange argmax argmin associative_scan assume atomic_add atomic_and atomic_cas atomic_max "
    "atomic_min atomic_or atomic_xchg atomic_xor bfloat16 block_type broadcast broadcast_to cast cat cdiv ceil "
    "clamp condition const constexpr core cos cumprod cumsum debug_barrier device_assert device_print div_rn dot "
    "dot_scaled dtype erf exp exp2 expand_dims extra fdiv flip float16 float32 float64 float8e4b15 float8e4b8 "
    "float8e4nv float8e5 float8e5b16 floor fma full gather histogram inline_asm_elementwise int1 int16 int32 int64 "
    "int8 interleave join load load_tensor_descriptor log log2 make_block_ptr make_tensor_descriptor "
    "map_elementwise math max max_constancy max_contiguous maximum min minimum mul multiple_of num_programs "
    "pair_uniform_to_normal permute philox pi32_t pointer_type program_id PropagateNan rand rand4x randint "
    "randint4x randn randn4x random range ravel reduce reduce_or reshape rsqrt sigmoid sin slice softmax sort "
    "split sqrt sqrt_rn squeeze standard static_assert static_print static_range store store_tensor_descriptor sub sum "
    "swizzle2d target_info tensor tensor_descriptor to_tensor topk trans tuple uint16 uint32 uint64 uint8 "
    "uint_to_uniform_float umulhi unsqueeze view void where xor_sum zeros zeros_like "
    "TRITON_MAX_TENSOR_NUMEL bitonic_merge philox_impl str_to_ty"
)
TL_MATH_NAMES = words("abs ceil cos div_rn erf exp exp2 fdiv floor fma log log2 rsqrt sin sqrt sqrt_rn umulhi")

_LIBDEVICE = (
    "acos acosh asin asinh atan atan2 atanh cbrt copysign cosh erfc erfinv exp10 expm1 fmod hypot isinf isnan lgamma "
    "log10 log1p nearbyint nextafter popc pow rint round signbit sinh tan tanh trunc"
)
_LIBDEVICE_FORM = "from triton.language.extra import libdevice, then libdevice.{0}(...)"

# Right forms of names that LLMs write and Triton lacks; `tl.math.X` falls back to X.
MISSING_FORMS = {
    **{name: _LIBDEVICE_FORM.format(name) for name in _LIBDEVICE.split()},
    "libdevice": "from triton.language.extra import libdevice",
    "prefetch": "leave it out: loops are pipelined by tl.range(lo, hi, step, num_stages=3)",
    "mean": "tl.sum(x, axis) / n",
    "var": "m = tl.sum(x, axis) / n, then tl.sum((x - m) * (x - m), axis) / n",
    "std": "tl.sqrt of the variance, computed with tl.sum",
    "any": "tl.max(x.to(tl.int32), axis) > 0",
    "all": "tl.min(x.to(tl.int32), axis) > 0",
    "prod": "tl.reduce(x, axis, combine) with a @triton.jit combine function",
    "relu": "tl.maximum(x, 0.0)",
    "silu": "x * tl.sigmoid(x)",
    "gelu": "0.5 * x * (1 + tl.erf(x * 0.7071067811865476))",
    "softplus": "tl.where(x > 20, x, tl.log(1 + tl.exp(x)))",
    "matmul": "tl.dot(a, b, acc)",
    "transpose": "tl.trans(x)",
    "concatenate": "tl.cat(a, b, can_reorder=True) or tl.join(a, b)",
    "stack": "tl.join(a, b)",
    "ones": "tl.full(shape, 1.0, dtype)",
    "ones_like": "tl.full(x.shape, 1, x.dtype)",
    "full_like": "tl.full(x.shape, value, x.dtype)",
    "empty": "tl.zeros(shape, dtype)",
    "scan": "tl.associative_scan(x, axis, combine)",
    "argsort": "tl.sort sorts values; indices need tl.argmax or tl.argmin",
    "square": "x * x",
    "reciprocal": "1.0 / x",
    "sum_exp": "tl.sum(tl.exp(x), axis)",
    "logsumexp": "m = tl.max(x, axis), then m + tl.log(tl.sum(tl.exp(x - m), axis))",
    "thread_id": "there are no threads: use tl.arange for the elements of a program",
    "block_id": "tl.program_id(axis)",
    "syncthreads": "tl.debug_barrier(); Triton inserts the barriers that are needed",
    "barrier": "tl.debug_barrier(); Triton inserts the barriers that are needed",
    "shared_memory": "leave it out: Triton places shared memory by itself",
    "_experimental_make_tensor_descriptor": "tl.make_tensor_descriptor(base, shape, strides, block_shape)",
    "_experimental_descriptor_load": "descriptor = tl.make_tensor_descriptor(...), then descriptor.load([i, j])",
    "_experimental_descriptor_store": "d = tl.make_tensor_descriptor(...), then d.store([i, j], value)",
    "inf": 'float("inf")',
    "pi": "3.141592653589793",
    "float": "tl.float32",
    "int": "tl.int32",
    "bool": "tl.int1",
    "half": "tl.float16",
    "bfloat": "tl.bfloat16",
}

# Keywords that a function lacks, and what to write.
WRONG_KEYWORDS = {
    **{
        (function, "dim"): f"tl.{function}(x, axis=...)"
        for function in ("sum", "max", "min", "argmax", "argmin", "cumsum", "cumprod", "reduce", "xor_sum")
    },
    **{
        (function, "keepdim"): f"tl.{function}(x, axis, keep_dims=True)"
        for function in ("sum", "max", "min", "argmax", "argmin", "xor_sum")
    },
    ("dot", "trans_a"): "tl.dot(tl.trans(a), b)",
    ("dot", "trans_b"): "tl.dot(a, tl.trans(b))",
    ("dot", "accumulator"): "tl.dot(a, b, acc)",
    ("range", "num_consumer_groups"): "tl.range(lo, hi, step, num_stages=..., warp_specialize=True)",
    ("range", "num_buffers_warp_spec"): "tl.range(lo, hi, step, num_stages=...)",
    ("range", "unroll"): "tl.range(lo, hi, step, loop_unroll_factor=...)",
    ("load", "evict_policy"): 'tl.load(pointer, mask=mask, eviction_policy="evict_first")',
    ("load", "default"): "tl.load(pointer, mask=mask, other=...)",
    ("zeros", "device"): "tl.zeros(shape, dtype)",
}
