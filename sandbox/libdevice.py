"""The part of NVIDIA's device library that most kernels need, cut out once.

Triton links the whole library for a single `exp2`, which is 46 ms of the 160 ms that a kernel takes to compile; linking
the part takes 1 ms, and the same assembly comes out.
"""

import fcntl
import os
import tempfile
from functools import cache

from triton._C.libtriton import ir, llvm, nvidia
from triton.backends.nvidia.compiler import CUDAOptions

# Functions of one float32 that return one; a kernel that calls any other gets the whole library.
_NAMES = frozenset(
    f"__nv_{name}f"
    for name in ("exp", "exp2", "log", "log2", "log1p", "sqrt", "rsqrt", "erf", "tanh", "floor", "ceil", "fabs")
)
_SEALS = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE


@cache
def install_common_part() -> int:
    """Let Triton link the part where that is enough, from now on in this process and in its children.

    Returns:
        Descriptor of the part, which forked children have to keep. It is sealed: no child can change it.
    """
    whole = str(dict(CUDAOptions().extern_libs)["libdevice"])
    descriptor = os.memfd_create("libdevice", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    os.write(descriptor, cut_common_part(whole).encode())
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, _SEALS)
    part = f"/proc/self/fd/{descriptor}"
    link_stock = llvm.link_extern_libs

    def link(module: llvm.module, paths: list[str]) -> None:
        wanted = {function.name for function in module.get_functions() if function.name.startswith("__nv_")}
        # No confinement forbids the file, but a kernel of another make might; the candidate is not to blame for it.
        is_enough = list(paths) == [whole] and wanted <= _NAMES and os.access(part, os.R_OK)
        link_stock(module, [part] if is_enough else paths)

    llvm.link_extern_libs = link
    return descriptor


def cut_common_part(whole: str) -> str:
    """Return the common functions of a library, with what they call, as LLVM's text.

    Args:
        whole: Path of the library.
    """
    context, target = ir.context(), llvm.context()
    ir.load_dialects(context)
    nvidia.load_dialects(context)
    names = sorted(_NAMES)
    declarations = " ".join(f"llvm.func @{name}(f32) -> f32\n" for name in names)
    calls = " ".join(f"llvm.call @{name}(%x) : (f32) -> f32\n" for name in names)
    with tempfile.NamedTemporaryFile("w", suffix=".mlir", encoding="utf-8") as file:
        file.write(f"module {{ {declarations} llvm.func @caller(%x: f32) {{ {calls} llvm.return }} }}")
        file.flush()
        module = llvm.to_module(ir.parse_mlir_module(file.name, context), target)
    llvm.link_extern_libs(module, [whole])
    # Linking made them internal; to be linked from here they have to be visible.
    return str(module).replace("define internal float @__nv_", "define float @__nv_")
