"""What a process that forks children needs: load their work, watch one until it ends, tell the other side."""

import contextlib
import importlib
import importlib.util
import os
import select
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType

import msgspec

from tilewright.sandbox import control


def load_module(name: str) -> ModuleType:
    """Import a module by name, or by path if it ends in `.py`.

    Raises:
        ImportError: There is no such module.
    """
    if not name.endswith(".py"):
        return importlib.import_module(name)
    spec = importlib.util.spec_from_file_location(Path(name).stem, name)
    if spec is None or spec.loader is None:
        raise ImportError(f"expected a Python file, got {name}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def prefer_for_out_of_memory() -> None:
    """Make the kernel choose this process and its children before the trusted side, should memory run out."""
    with contextlib.suppress(OSError):  # a courtesy to the trusted side, not a protection
        Path("/proc/self/oom_score_adj").write_text("500", encoding="ascii")


def tell(orders: socket.socket, notice: control.Notice) -> None:
    """Send a notice to whoever gives the orders."""
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # it is gone; the loop will see it
        orders.send(msgspec.msgpack.encode(notice))


def watch(pid: int, orders: socket.socket) -> control.Exited:
    """Wait for the end of a child; kill it on order, or when nobody gives orders any more: then end, too."""
    child = os.pidfd_open(pid)
    poll = select.poll()
    poll.register(child, select.POLLIN)
    poll.register(orders, select.POLLIN)
    while all(descriptor != child for descriptor, _ in poll.poll()):
        is_gone = not orders.recv(control.MESSAGE_BYTES)
        with contextlib.suppress(ProcessLookupError):  # its group does not exist before it made its own
            os.killpg(pid, signal.SIGKILL)
        os.kill(pid, signal.SIGKILL)  # not yet waited for, so the number is still its own
        if is_gone:
            sys.exit(0)
    os.close(child)
    _, status, usage = os.wait4(pid, 0)
    return control.Exited(
        code=os.waitstatus_to_exitcode(status),
        cpu_s=usage.ru_utime + usage.ru_stime,
        peak_bytes=usage.ru_maxrss * 1024,
    )
