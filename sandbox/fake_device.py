"""A GPU that is not there: torch's fake CUDA tensors, and what launchers ask about the device."""

import contextlib
import ctypes
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import torch
from torch._subclasses import fake_tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from tilewright.sandbox.errors import SandboxError
from tilewright.sandbox.failure import FailureKind
from tilewright.sandbox.fault import fault
from tilewright.sandbox.targets import Target

_GUARD_TABLE = "_ZN3c104impl26device_guard_impl_registryE"  # c10::impl::device_guard_impl_registry
_CPU, _CUDA = 0, 1  # c10::DeviceType


class OfflineMode(FakeTensorMode):  # type: ignore[no-untyped-call]  # torch's mode hooks have no annotations
    """Fake tensors that never initialise a device, whatever `torch.cuda.is_available` answers."""

    def __init__(self) -> None:
        super().__init__()
        # A child meets most shapes once: filling torch's cache of results takes longer than the operations.
        self.cache_enabled = False

    @property
    def avoid_device_init(self) -> bool:
        """Always true: there is no device to initialise."""
        return True


class _NoDevice(contextlib.nullcontext[None]):
    """Stands for `torch.cuda.device(...)` and `torch.cuda.stream(...)`: there is one device and one stream."""

    def __init__(self, *_: object) -> None:
        super().__init__()


class _Stream(SimpleNamespace):
    """The one stream."""

    def synchronize(self) -> None:
        """Return at once: nothing runs."""


@contextlib.contextmanager
def offline_device(target: Target) -> Iterator[None]:
    """Let code that runs inside see one CUDA device, the target's, on any build of torch.

    What is replaced is put back on leaving, so that a process may do this for several targets in turn.
    """
    with contextlib.ExitStack() as stack:
        stack.enter_context(_no_op_device_guard())
        for name, value in _cuda_answers(target).items():
            stack.enter_context(replaced(torch.cuda, name, value))
        # The case's tensors replace every parameter, and trunc_normal_ reads data until it likes what it drew.
        for name in vars(torch.nn.init).copy():
            if name.endswith("_") and not name.startswith("_"):
                stack.enter_context(replaced(torch.nn.init, name, _leave_uninitialised))
        stack.enter_context(replaced(fake_tensor, "init_gpu_context", lambda _: None))
        stack.enter_context(replaced(torch.Tensor, "numpy", _refuse_numpy))
        stack.enter_context(replaced(torch.Tensor, "__array__", _refuse_numpy))
        yield


@contextlib.contextmanager
def replaced(owner: object, name: str, value: object) -> Iterator[None]:
    """Set an attribute for the time of a `with` block."""
    was_own = name in vars(owner)
    before = getattr(owner, name, None)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if was_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)


@contextlib.contextmanager
def _no_op_device_guard() -> Iterator[None]:
    """Make "switch to the CUDA device" do nothing inside torch's C++ code.

    A CPU build has no entry for CUDA in torch's table of device guards, and indexing, `contiguous` or
    `repeat` of a fake CUDA tensor would fail with "not linked with support for cuda devices". The CPU's
    entry does nothing, which is what is wanted here.
    """
    library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
    try:
        table = (ctypes.c_void_p * 2).in_dll(library, _GUARD_TABLE)
    except ValueError as error:
        raise SandboxError(f"expected the table of device guards in libc10 of torch {torch.__version__}") from error
    before = table[_CUDA]
    table[_CUDA] = table[_CPU]
    try:
        yield
    finally:
        table[_CUDA] = before


def _leave_uninitialised(tensor: torch.Tensor, *_: object, **__: object) -> torch.Tensor:
    return tensor


def _refuse_numpy(*_: object, **__: object) -> None:
    raise fault(FailureKind.HOST_READ, "expected a launcher that reads no data on the host; got Tensor.numpy()")


def _cuda_answers(target: Target) -> dict[str, object]:
    """Return what `torch.cuda` answers about the target, by attribute name."""
    properties = device_properties(target)
    stream = _Stream(cuda_stream=0, device=torch.device("cuda:0"))
    constant: dict[str, object] = {
        "is_available": True,
        "current_device": 0,
        "device_count": 1,
        "get_device_properties": properties,
        "get_device_name": target.device,
        "get_device_capability": target.capability,
        "is_bf16_supported": True,
        "current_stream": stream,
        "default_stream": stream,
        "mem_get_info": (target.memory_bytes, target.memory_bytes),
        "set_device": None,
        "synchronize": None,
        "empty_cache": None,
    }
    answers: dict[str, object] = {name: _always(value) for name, value in constant.items()}
    return answers | {"device": _NoDevice, "device_of": _NoDevice}


def device_properties(target: Target) -> SimpleNamespace:
    """Return what `torch.cuda.get_device_properties` answers for a target."""
    major, minor = target.capability
    return SimpleNamespace(
        name=target.device,
        major=major,
        minor=minor,
        multi_processor_count=target.multiprocessors,
        warp_size=target.warp_size,
        total_memory=target.memory_bytes,
        L2_cache_size=target.l2_bytes,
        regs_per_multiprocessor=target.registers_per_multiprocessor,
        max_threads_per_multi_processor=target.max_threads_per_multiprocessor,
        max_threads_per_block=target.max_threads_per_block,
        shared_memory_per_block=48 << 10,
        shared_memory_per_block_optin=target.shared_bytes_per_block,
        shared_memory_per_multiprocessor=target.shared_bytes_per_multiprocessor,
        gcnArchName=str(target.arch),
        is_integrated=False,
        is_multi_gpu_board=False,
    )


def _always(value: object) -> Callable[..., object]:
    def answer(*_: object, **__: object) -> object:
        return value

    return answer
