"""Names of the ATen operations that may stand in a plan; apart from torch, so that a plan can be checked without it."""

# Fills, casts, copies and plain arithmetic: what launchers do between kernels. Anything that stands for a
# kernel of its own (products, norms, softmax, exponentials, sorting) is left out on purpose.
WORK = frozenset({
    *("zeros", "zeros_like", "new_zeros", "ones", "ones_like", "new_ones", "full", "full_like", "new_full"),
    *("fill", "zero", "arange", "scalar_tensor"),
    *("_to_copy", "copy", "clone", "cat", "stack", "constant_pad_nd", "repeat", "slice_scatter", "select_scatter"),
    *("add", "sub", "rsub", "mul", "div", "neg", "reciprocal", "abs", "maximum", "minimum", "clamp", "where"),
    *("eq", "ne", "lt", "le", "gt", "ge", "logical_not", "logical_and", "logical_or"),
    *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not", "floor_divide", "remainder"),
})  # fmt: skip
REDUCTIONS = frozenset({"sum", "mean", "amax", "amin", "max", "min", "any", "all"})


def is_listed(operation: str) -> bool:
    """Return whether a qualified overload such as `aten.copy_.default` may stand in a plan."""
    namespace, _, rest = operation.partition(".")
    name, _, overload = rest.partition(".")
    return namespace == "aten" and overload.isidentifier() and name.removesuffix("_") in WORK | REDUCTIONS
