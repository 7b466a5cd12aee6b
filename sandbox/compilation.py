"""Triton's compiler stopped before any binary: PTX (or AMD GCN) text and what it says of the launch."""

import contextlib
import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import triton
from triton._C.libtriton import ir
from triton.compiler.compiler import ASTSource, make_backend
from triton.compiler.errors import CompilationError
from triton.runtime.jit import JITFunction, compute_cache_key

from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.fault import CandidateFault, one_line
from tilewright.sandbox.offline_driver import gpu_target
from tilewright.sandbox.plan import TensorMap
from tilewright.sandbox.protocol import CompiledKernel, Ptx
from tilewright.sandbox.targets import Target

# The last stage that needs neither a writable path nor another program.
_TEXT_STAGE = {"cuda": "ptx", "hip": "amdgcn"}
_FLAGS = {"launch_cooperative_grid": "cooperative", "launch_pdl": "pdl"}
_DETAIL_CHARACTERS = 4000


@dataclass(frozen=True, slots=True, kw_only=True)
class Specialisation:
    """A compiled kernel and Triton's type of each of its parameters; `constexpr` for what is not passed."""

    kernel: CompiledKernel
    signature: Mapping[str, object]


class TextCompiler:
    """Compiles kernels for one target, each specialisation once.

    Args:
        target: The GPU.
        compiled: Specialisations that need not be compiled.
        announce: Called with a kernel's name before the compiler, which may crash, starts on it.
    """

    def __init__(self, target: Target, compiled: tuple[CompiledKernel, ...], announce: Callable[[str], None]) -> None:
        self._announce = announce
        self._target = gpu_target(target)
        self._last_stage = _TEXT_STAGE[target.backend]
        self._backend = make_backend(self._target)
        self._known = {one.key: one for one in compiled}
        self._used: dict[str, CompiledKernel] = {}
        self._texts: dict[str, Ptx] = {}

    def compile(self, kernel: JITFunction, arguments: dict[str, object], options: dict[str, object]) -> Specialisation:
        """Compile a kernel for these arguments.

        Args:
            kernel: What to compile.
            arguments: Every parameter; what stands for a tensor has `dtype` and `data_ptr`.
            options: Launch options such as `num_warps`.

        Raises:
            CandidateFault: COMPILE_ERROR.
        """
        try:
            with _without_line_numbers():
                return self._compile(kernel, arguments, options)
        except MemoryError:
            raise
        except Exception as error:
            raise _compile_fault(error, str(kernel.fn.__name__)) from None

    @property
    def compiled(self) -> tuple[CompiledKernel, ...]:
        """Every specialisation that was asked for."""
        return tuple(self._used.values())

    @property
    def texts(self) -> tuple[Ptx, ...]:
        """Each distinct text; empty where a specialisation was known beforehand."""
        return tuple(self._texts.values())

    def _compile(self, kernel: JITFunction, arguments: dict[str, object], options: dict[str, object]) -> Specialisation:
        debug = options.get("debug", kernel.debug) or False
        given = {**options, "debug": debug, "instrumentation_mode": ""}
        binder = kernel.device_caches[0][4]
        bound, specialization, _ = binder(**arguments, **given)
        parsed, signature, constants, attributes = kernel._pack_args(self._backend, given, bound, specialization, None)
        key = f"{kernel.cache_key} {compute_cache_key({}, specialization, parsed)} {self._target}"
        digest = hashlib.sha256(key.encode()).hexdigest()
        if digest not in self._known:
            self._announce(str(kernel.fn.__name__))
            text, metadata = self._lower(ASTSource(kernel, signature, constants, attributes), parsed)
            self._known[digest] = _to_kernel(digest, text, metadata)
            self._keep(self._known[digest], text)
        self._used[digest] = self._known[digest]
        self._keep(self._known[digest], "")
        return Specialisation(kernel=self._known[digest], signature=signature)

    def _keep(self, kernel: CompiledKernel, text: str) -> None:
        self._texts.setdefault(kernel.ptx_sha, Ptx(sha=kernel.ptx_sha, entry=kernel.entry, text=text))

    def _lower(self, source: ASTSource, options: object) -> tuple[str, dict[str, object]]:
        """Run Triton's own stages, as `triton.compile` does, up to text; return text and metadata."""
        backend = self._backend
        metadata: dict[str, object] = {**vars(options), "target": self._target}
        stages: dict[str, object] = {}
        backend.add_stages(stages, options, source.language)
        context = ir.context()
        ir.load_dialects(context)
        backend.load_dialects(context)
        module = source.make_ir(
            self._target, options, backend.get_codegen_implementation(options), backend.get_module_map(), context
        )
        for name, stage in stages.items():
            module = stage(module, metadata)  # type: ignore[operator]  # triton's stages have no type
            if name == self._last_stage:
                break
        return _normalise(str(module)), metadata


def assembler_versions() -> tuple[str, ...]:
    """Return the versions of Triton's assemblers, on which the PTX depends; the first call runs each of them."""
    tools = triton.knobs.nvidia
    return tools.ptxas.version, tools.ptxas_blackwell.version


def _to_kernel(key: str, text: str, metadata: dict[str, object]) -> CompiledKernel:
    def number(name: str) -> int:
        value = metadata.get(name)
        return value if isinstance(value, int) else 0

    return CompiledKernel(
        key=key,
        ptx_sha=hashlib.sha256(text.encode()).hexdigest(),
        entry=str(metadata["name"]),
        num_warps=number("num_warps"),
        num_stages=number("num_stages"),
        num_ctas=number("num_ctas"),
        shared_bytes=number("shared"),
        global_scratch_bytes=number("global_scratch_size"),
        flags=tuple(flag for option, flag in _FLAGS.items() if metadata.get(option)),
        global_scratch_align=max(1, number("global_scratch_align")),
        profile_scratch_bytes=number("profile_scratch_size"),
        profile_scratch_align=max(1, number("profile_scratch_align")),
        tensor_maps=_tensor_maps(metadata.get("tensordesc_meta")),
    )


def _tensor_maps(found: object) -> tuple[TensorMap | None, ...]:
    """Return how each tensor descriptor is passed, as the compiler's metadata say it."""
    if not isinstance(found, list | tuple):
        return ()
    return tuple(_tensor_map(one) if isinstance(one, dict) and "swizzle" in one else None for one in found)


def _tensor_map(meta: dict[str, object]) -> TensorMap:
    sizes = meta["block_size"]
    assert isinstance(sizes, list | tuple)
    return TensorMap(
        swizzle=int(str(meta["swizzle"])),
        element_bytes=int(str(meta["elem_size"])),
        element_type=int(str(meta["elem_type"])),
        block_shape=tuple(int(size) for size in sizes),
        is_fp4_padded=bool(meta["fp4_padded"]),
    )


def _normalise(text: str) -> str:
    """Return assembly without what depends on where the source lay: names of files and line numbers."""
    kept = (line.rstrip() for line in text.splitlines() if not re.match(r"\s*\.(loc|file)\b", line))
    return "\n".join(line for line in kept if line) + "\n"


@contextlib.contextmanager
def _without_line_numbers() -> Iterator[None]:
    """Leave line information out: it would carry names of files into the assembly."""
    with triton.knobs.compilation.scope():
        triton.knobs.compilation.disable_line_info = True
        yield


def _compile_fault(error: Exception, kernel: str) -> CandidateFault:
    if isinstance(error, CompilationError) and error.error_message:
        message = f"{kernel}, line {getattr(error.node, 'lineno', 0)} of the kernel: {error.error_message}"
    else:
        cause = error.__cause__ or error
        message = f"{kernel}: {type(cause).__name__}: {cause}"
    detail = f"{error}" if error.__cause__ is None else f"{error}\n{type(error.__cause__).__name__}: {error.__cause__}"
    return CandidateFault(
        Failure(
            kind=FailureKind.COMPILE_ERROR,
            stage=Stage.COMPILE,
            message=one_line(message),
            detail=detail[:_DETAIL_CHARACTERS],
        )
    )
