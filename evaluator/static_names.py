"""Names that the static gate lets through, and those that it refuses wherever they stand."""

from tilewright.evaluator.triton_names import words

# Modules a candidate may import whole; `from X import Y` is checked as the dotted name X.Y below.
IMPORTABLE_MODULES = frozenset(
    {
        "__future__",
        "math",
        "torch",
        "torch.autograd",
        "torch.autograd.function",
        "torch.nn",
        "torch.nn.functional",
        "triton",
        "triton.language",
        "triton.language.extra",
        "triton.language.extra.cuda",
        "triton.language.extra.libdevice",
        "triton.language.extra.cuda.libdevice",
        "triton.language.extra.hip.libdevice",
        "triton.language.math",
        "triton.tools.tensor_descriptor",
        "typing",
    }
)

# Dotted names that launcher code may use; a name stands for everything below it too.
_TORCH_TYPES = (
    "Tensor Size dtype device memory_format contiguous_format preserve_format channels_last channels_last_3d strided "
    "layout float half bfloat16 float16 float32 float64 double int int8 int16 int32 int64 long short uint8 uint16 "
    "uint32 uint64 bool complex64 float8_e4m3fn float8_e5m2 float8_e4m3fnuz float8_e5m2fnuz finfo iinfo inf nan pi e"
)
_TORCH_ALLOCATIONS = (
    "empty empty_like empty_strided zeros zeros_like ones ones_like full full_like empty_permuted scalar_tensor"
)
_TORCH_VIEWS = (
    "as_strided broadcast_to broadcast_tensors chunk flatten movedim narrow permute ravel reshape select split squeeze "
    "t transpose swapaxes swapdims unbind unflatten unsqueeze view_as_real tensor_split"
)
# Small work around kernels; the recorder notes each as a step and decides which reductions it takes.
_TORCH_WORK = (
    "cat concat stack clone tensor arange add sub mul div neg reciprocal abs maximum minimum clamp where sum mean amax "
    "amin max min any all"
)
_TORCH_QUERIES = (
    "numel is_tensor is_floating_point is_complex promote_types result_type can_cast broadcast_shapes no_grad "
    "inference_mode get_default_dtype version.cuda version.hip version.cpp is_grad_enabled"
)
_TORCH_CUDA = (
    "get_device_properties get_device_capability get_device_name current_device device device_count is_available "
    "is_bf16_supported"
)
_TRITON = (
    "jit autotune heuristics Config cdiv next_power_of_2 set_allocator constexpr_function "
    "tools.tensor_descriptor.TensorDescriptor language"
)
# `typing` itself holds modules such as `typing.sys` and functions that evaluate strings.
_TYPING = (
    "Any Callable ClassVar Dict Final Iterable List Literal NamedTuple Optional Sequence Tuple TYPE_CHECKING Type "
    "TypeAlias Union cast Mapping Iterator"
)
_NN_HOLDERS = "Module Parameter ParameterList ParameterDict ModuleList ModuleDict Buffer"


def _below(prefix: str, names: str) -> tuple[str, ...]:
    """Return each word of `names` as a dotted name below `prefix`."""
    return tuple(f"{prefix}.{name}" for name in names.split())


LAUNCHER_NAMES = frozenset(
    (
        *_below("torch", " ".join((_TORCH_TYPES, _TORCH_ALLOCATIONS, _TORCH_VIEWS, _TORCH_WORK, _TORCH_QUERIES))),
        *_below("torch.cuda", _TORCH_CUDA),
        *_below("torch.nn", _NN_HOLDERS),
        *_below("torch.nn.parameter", "Parameter Buffer"),
        *_below("torch.autograd", "Function function.Function function.once_differentiable"),
        "torch.nn.functional.pad",
        *_below("triton", _TRITON),
        *_below("typing", _TYPING),
        "math",
        "__future__",
    )
)

# Beside them, `ModelNew.__init__` may make and fill parameters, whose values the judge replaces anyway.
CONSTRUCTOR_NAMES = frozenset(
    (
        *_below("torch", "rand randn randint rand_like randn_like normal eye linspace triu tril manual_seed outer"),
        *_below("torch", "exp log sqrt rsqrt pow sin cos tanh sigmoid round floor"),
        *_below("torch.nn", "init Linear Embedding LayerNorm RMSNorm GroupNorm BatchNorm1d BatchNorm2d BatchNorm3d"),
        *_below("torch.nn", "Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d InstanceNorm2d"),
        *_below("torch.nn", "MultiheadAttention LSTM GRU RNN Sequential Identity Dropout PReLU"),
    )
)

# Making tensors or asking CUDA while the module is executed is work outside `forward`.
IMPORT_TIME_NAMES = frozenset(
    (
        *_below("torch", f"{_TORCH_TYPES} version"),
        *_below("torch.nn", _NN_HOLDERS),
        "triton",
        "math",
        "typing",
        "torch.cuda",
    )
)
# Modules and decorators that Triton's own modules hold, and its clock and processor number, by a part of a dotted name.
FORBIDDEN_TRITON_PARTS = words(
    "core standard os sys wraps builtins inspect functools types semantic warnings globaltimer smid"
)

FORBIDDEN_BUILTINS = words(
    "getattr setattr delattr eval exec compile __import__ open globals locals vars dir input breakpoint memoryview "
    "help exit quit copyright credits license id hasattr type"
)
# Of these a file may use a name for something of its own: the builtin behind it does no harm.
HARMLESS_BUILTINS = words("input dir id help")

# Dunder methods a class may define, and dunder attributes it may call on `super()`.
ALLOWED_DUNDERS = frozenset({"__init__", "__future__"})

FORBIDDEN_ATTRIBUTES = {
    **dict.fromkeys(
        words("f_back f_locals f_globals f_builtins f_code gi_frame gi_code cr_frame tb_frame tb_next ag_frame"),
        "frames and code objects are out of reach",
    ),
    **dict.fromkeys(
        words("handle rewrite cache_key"),
        "a kernel is the same whether it is compiled or interpreted",
    ),
    **dict.fromkeys(
        words("set_ resize_ resize_as_ share_memory_ untyped_storage storage pin_memory record_stream as_subclass"),
        "a tensor's storage is the judge's",
    ),
    **dict.fromkeys(
        words(
            "register_hook register_forward_hook register_forward_pre_hook register_full_backward_hook "
            "register_state_dict_pre_hook register_load_state_dict_pre_hook register_load_state_dict_post_hook "
            "backward apply_ map_ register_module_forward_hook"
        ),
        "hooks are not recorded, and backward is run by the judge",
    ),
}

# Parts of a dotted name that lead from a library's modules to others.
REACHING_PARTS = words(
    "modules pkgutil module_from_spec sys os builtins torch warnings importlib driver knobs ir inspect functools"
)

# Methods that read a tensor's data on the host.
HOST_READS = words("item tolist numpy cpu to_list nonzero equal allclose is_nonzero unique")

# Methods of tensors that compute: the work must be in the candidate's own kernels.
COMPUTING_METHODS = words(
    "matmul mm bmm addmm addbmm baddbmm mv dot vdot inner outer einsum tensordot addmv addr ger kron cross "
    "softmax log_softmax exp exp_ exp2 expm1 log log2 log10 log1p sqrt sqrt_ rsqrt rsqrt_ sigmoid sigmoid_ "
    "tanh tanh_ relu relu_ gelu silu erf erfc sin cos tan square pow pow_ std var norm prod argmax argmin "
    "logsumexp cumsum cumprod cummax cummin median mode topk sort argsort masked_fill masked_fill_ gather "
    "scatter scatter_ scatter_add scatter_add_ index_add index_add_ index_select take_along_dim lerp lerp_ "
    "addcmul addcmul_ addcdiv addcdiv_ fmod round floor ceil trunc conv1d conv2d conv3d layer_norm rms_norm "
    "batch_norm group_norm cross_entropy linear scaled_dot_product_attention normalize cholesky inverse det "
    "svd qr triu tril bernoulli normal_ uniform_ random_ renorm dist cdist"
)

# Methods that change a container in place.
MUTATING_METHODS = words("append extend insert add update setdefault pop popitem clear remove discard sort reverse")

MAX_SOURCE_CHARS = 200_000
MAX_KNOBS = 32
MAX_KNOB_VALUES = 64
MAX_KNOB_MAGNITUDE = 2**31 - 1
