"""CUDA's libdevice functions on numpy arrays, by symbol, so that kernels that call them can be interpreted."""

from collections.abc import Callable

import numpy as np
import torch

from tilewright.sandbox.shims_numeric import UnsupportedError, Values

Function = Callable[..., Values]


def find_symbol(symbol: str) -> Function:
    """Return the numpy function of a libdevice symbol such as `__nv_tanhf`.

    Raises:
        UnsupportedError: The function has no counterpart here.
    """
    name = symbol.removeprefix("__nv_")
    table = _table()
    for spelling in (name, name.removesuffix("f"), name.removesuffix("d"), name.removesuffix("ll")):
        plain = spelling.removeprefix("fast_")
        if plain in table:
            return table[plain]
    conversion = _conversion(name)
    if conversion is None:
        raise UnsupportedError(f"libdevice function {symbol}")
    return conversion


def _torch(function: Callable[..., torch.Tensor]) -> Function:
    """Return a numpy function made of a torch one."""

    def call(*arguments: Values) -> Values:
        result: Values = function(*(torch.from_numpy(np.array(one)) for one in arguments)).numpy()
        return result

    return call


def _table() -> dict[str, Function]:
    return {**_elementary(), **_special(), **_pairs(), **_tests(), **_integers(), **_rounded()}


def _elementary() -> dict[str, Function]:
    return {
        "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin, "acos": np.arccos, "atan": np.arctan,
        "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh, "asinh": np.arcsinh, "acosh": np.arccosh,
        "atanh": np.arctanh, "exp": np.exp, "exp2": np.exp2, "exp10": lambda x: np.power(x.dtype.type(10), x),
        "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10, "log1p": np.log1p,
        "logb": lambda x: np.floor(np.log2(np.abs(x))), "sqrt": np.sqrt, "rsqrt": lambda x: 1 / np.sqrt(x),
        "cbrt": np.cbrt, "rcbrt": lambda x: 1 / np.cbrt(x), "abs": np.abs, "fabs": np.abs, "llabs": np.abs,
        "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc, "rint": np.rint, "nearbyint": np.rint,
        "round": lambda x: np.copysign(np.floor(np.abs(x) + x.dtype.type(0.5)), x),
        "saturate": lambda x: np.clip(np.nan_to_num(x), 0, 1),
        "sinpi": lambda x: np.sin(np.pi * x).astype(x.dtype), "cospi": lambda x: np.cos(np.pi * x).astype(x.dtype),
        "rcp64h": lambda x: 1 / x,
    }  # fmt: skip


def _special() -> dict[str, Function]:
    normal = torch.special.ndtr
    return {
        "erf": _torch(torch.erf), "erfc": _torch(torch.erfc), "erfinv": _torch(torch.erfinv),
        "erfcinv": _torch(lambda x: torch.erfinv(1 - x)), "erfcx": _torch(torch.special.erfcx),
        "lgamma": _torch(torch.lgamma), "tgamma": _torch(lambda x: torch.exp(torch.lgamma(x))),
        "normcdf": _torch(normal), "normcdfinv": _torch(torch.special.ndtri),
        "cyl_bessel_i0": _torch(torch.special.i0), "cyl_bessel_i1": _torch(torch.special.i1),
        "j0": _torch(torch.special.bessel_j0), "j1": _torch(torch.special.bessel_j1),
        "y0": _torch(torch.special.bessel_y0), "y1": _torch(torch.special.bessel_y1),
    }  # fmt: skip


def _pairs() -> dict[str, Function]:
    return {
        "pow": np.power, "powi": lambda x, n: np.power(x, n.astype(x.dtype)), "atan2": np.arctan2, "fmod": np.fmod,
        "remainder": lambda x, y: x - y * np.rint(x / y), "copysign": np.copysign, "hypot": np.hypot,
        "rhypot": lambda x, y: 1 / np.hypot(x, y), "fdim": lambda x, y: np.maximum(x - y, x.dtype.type(0)),
        "nextafter": np.nextafter, "fdividef": np.divide, "fdivide": np.divide,
        "ldexp": np.ldexp, "scalbn": np.ldexp, "fma": fused_multiply_add,
        "norm3d": lambda x, y, z: np.sqrt(x * x + y * y + z * z),
        "rnorm3d": lambda x, y, z: 1 / np.sqrt(x * x + y * y + z * z),
        "norm4d": lambda x, y, z, w: np.sqrt(x * x + y * y + z * z + w * w),
        "rnorm4d": lambda x, y, z, w: 1 / np.sqrt(x * x + y * y + z * z + w * w),
    }  # fmt: skip


def _tests() -> dict[str, Function]:
    return {
        "isnan": np.isnan, "isinf": np.isinf, "finite": np.isfinite, "isfinite": np.isfinite, "signbit": np.signbit,
        "ilogb": lambda x: np.frexp(x)[1] - 1,
        "float_as_int": lambda x: x.view(np.int32), "float_as_uint": lambda x: x.view(np.uint32),
        "int_as_float": lambda x: x.view(np.float32), "uint_as_float": lambda x: x.view(np.float32),
        "double_as_longlong": lambda x: x.view(np.int64), "longlong_as_double": lambda x: x.view(np.float64),
    }  # fmt: skip


def _integers() -> dict[str, Function]:
    return {
        "popc": _count_bits, "clz": lambda x: x.dtype.itemsize * 8 - _bit_length(x),
        "ffs": lambda x: _bit_length(x & -x),
        "mulhi": _high_product, "umulhi": _high_product, "hadd": lambda x, y: (x & y) + ((x ^ y) >> 1),
        "rhadd": lambda x, y: (x | y) - ((x ^ y) >> 1), "sad": lambda x, y, z: np.abs(x - y) + z,
        "mul24": lambda x, y: (x & 0xFFFFFF) * (y & 0xFFFFFF),
    }  # fmt: skip


def _rounded() -> dict[str, Function]:
    """Return arithmetic with an explicit rounding mode; only round to nearest even exists on the CPU."""
    operations = {"add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide, "sqrt": np.sqrt}
    table: dict[str, Function] = {f"{kind}{name}_rn": f for name, f in operations.items() for kind in "fd"}
    table |= {f"{kind}rcp_rn": lambda x: 1 / x for kind in "fd"}
    return {**table, "frsqrt_rn": lambda x: 1 / np.sqrt(x), "fma_rn": fused_multiply_add, "fmaf_rn": fused_multiply_add}


def _conversion(name: str) -> Function | None:
    """Return `float2int_rn` and its kin, `llrint` and `llround`; None for anything else."""
    rounding: dict[str, Function] = {"rn": np.rint, "rd": np.floor, "ru": np.ceil, "rz": np.trunc}
    _, found, mode = name.partition("_")
    if "2" in name and found and mode in rounding:
        to_integer = any(kind in name.partition("2")[2] for kind in ("int", "ll"))
        # The caller casts to the declared result type; only the direction of rounding is decided here.
        return rounding[mode] if to_integer else (lambda x: x)
    nearest: dict[str, Function] = {"llrint": np.rint, "llround": np.round}
    return nearest.get(name.removesuffix("f"))


def fused_multiply_add(x: Values, y: Values, z: Values) -> Values:
    """Return `x * y + z` rounded once (fp16 and fp32; fp64 is rounded twice)."""
    wide = np.float64 if x.dtype == np.float32 else np.float32 if x.dtype == np.float16 else x.dtype
    rounded: Values = (x.astype(wide) * y.astype(wide) + z.astype(wide)).astype(x.dtype)
    return rounded


def _unsigned(x: Values) -> Values:
    bits: Values = x.view(f"u{x.dtype.itemsize}")
    return bits


def _bit_length(x: Values) -> Values:
    return _each(lambda one: one.bit_length(), _unsigned(x))


def _count_bits(x: Values) -> Values:
    return _each(lambda one: one.bit_count(), _unsigned(x))


def _each(function: Callable[[int], int], x: Values) -> Values:
    results: Values = np.array([function(int(one)) for one in x.ravel()]).reshape(x.shape)
    return results


def _high_product(x: Values, y: Values) -> Values:
    bits = x.dtype.itemsize * 8
    products = [(int(a) * int(b)) >> bits for a, b in zip(x.ravel(), y.ravel(), strict=True)]
    return np.array(products, dtype=x.dtype).reshape(x.shape)
