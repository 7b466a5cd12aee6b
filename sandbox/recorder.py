"""Answer a Record request: a plan for each case, with its kernels compiled to text."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from msgspec import structs
from triton.runtime.jit import JITFunction
from triton.tools.tensor_descriptor import TensorDescriptor

from tilewright.sandbox.candidate_module import load_candidate
from tilewright.sandbox.compilation import Specialisation, TextCompiler
from tilewright.sandbox.failure import Stage
from tilewright.sandbox.launches import Call, DescriptorView, to_arguments
from tilewright.sandbox.plan import Argument, Descriptor, Launch, TensorMap, View
from tilewright.sandbox.protocol import Answer, Entered, Record, Recorded
from tilewright.sandbox.targets import find_target
from tilewright.sandbox.trace import trace_case
from tilewright.sandbox.trace_buffers import address_of
from tilewright.sandbox.trace_steps import Trace


def record(request: Record, emit: Callable[[Answer], None]) -> None:
    """Record each case of a request and emit one Recorded.

    Raises:
        CandidateFault: The candidate is at fault.
    """
    target = find_target(request.target)
    emit(Entered(stage=Stage.RECORD, case=None))
    module = load_candidate(request.source, request.knobs, target)
    plans = []
    case_name: str | None = None
    compiler = TextCompiler(
        target, request.compiled, lambda kernel: emit(Entered(stage=Stage.COMPILE, case=case_name, kernel=kernel))
    )
    for case in request.cases:
        case_name = case.name
        emit(Entered(stage=Stage.RECORD, case=case_name))
        plans.append(trace_case(module, case, target, _CompilingSink(compiler)).plan)
    known = frozenset(request.known)
    texts = tuple(structs.replace(one, text="") if one.sha in known else one for one in compiler.texts)
    emit(Recorded(plans=tuple(plans), ptx=texts, knobs=module.knobs, compiled=compiler.compiled))


@dataclass(frozen=True, slots=True)
class _Address:
    """Stands for a tensor where Triton specialises: it asks for type, alignment and span."""

    dtype: torch.dtype
    address: int
    bytes: int

    def data_ptr(self) -> int:
        """Return the made-up address."""
        return self.address

    def ptr_range(self) -> int:
        """Return the bytes that may be reached (AMD's compiler uses 32-bit offsets below 2 GiB)."""
        return self.bytes


class _CompilingSink:
    """Compiles what is launched."""

    def __init__(self, compiler: TextCompiler) -> None:
        self._compiler = compiler

    def launch(self, _trace: Trace, call: Call) -> Launch:
        """Return the step of a call, its kernel compiled."""
        assert isinstance(call.kernel, JITFunction)
        arguments = {name: _specialisable(value) for name, value in call.arguments}
        return _to_step(call, self._compiler.compile(call.kernel, arguments, dict(call.options)))


def _specialisable(value: object) -> object:
    """Return what Triton's specialisation takes for a bound argument."""
    if isinstance(value, View):
        return _address(value)
    if isinstance(value, DescriptorView):
        return TensorDescriptor(
            _address(value.view), list(value.shape), list(value.strides), list(value.block_shape), **dict(value.options)
        )
    if isinstance(value, tuple):
        return tuple(_specialisable(part) for part in value)
    return value


def _address(view: View) -> _Address:
    spec = view.tensor
    return _Address(getattr(torch, spec.dtype.value), address_of(view), spec.storage_bytes)


def _to_step(call: Call, compiled: Specialisation) -> Launch:
    kernel = compiled.kernel
    maps = iter(kernel.tensor_maps)
    arguments = tuple(
        _mapped(argument, maps)
        for name, value in call.arguments
        for argument in to_arguments(name, value, compiled.signature[name])
    )
    return Launch(
        kernel=call.name,
        entry=kernel.entry,
        ptx_sha=kernel.ptx_sha,
        grid=call.grid,
        num_warps=kernel.num_warps,
        num_stages=kernel.num_stages,
        num_ctas=kernel.num_ctas,
        shared_bytes=kernel.shared_bytes,
        global_scratch_bytes=kernel.global_scratch_bytes,
        arguments=arguments,
        flags=kernel.flags,
        global_scratch_align=kernel.global_scratch_align,
        profile_scratch_bytes=kernel.profile_scratch_bytes,
        profile_scratch_align=kernel.profile_scratch_align,
    )


def _mapped(argument: Argument, maps: Iterator[TensorMap | None]) -> Argument:
    """Return an argument; a descriptor with the compiler's choices for it, which come in the same order."""
    if not isinstance(argument, Descriptor):
        return argument
    chosen = next(maps, None)
    # the option that tells these Tritons apart came with the corrected shape
    has_old_shape = chosen is not None and chosen.is_fp4_padded and argument.flags < 2
    return structs.replace(argument, tensor_map=chosen, passes_padded_shape=has_old_shape)
