"""An answering module without torch: it executes the source of a Record request, which may call what it finds here."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import platform
import resource
import select
import signal
import socket
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Callable

from tilewright.sandbox.failure import Failure, FailureKind, Stage
from tilewright.sandbox.mode import ZygoteMode
from tilewright.sandbox.protocol import Answer, Entered, Record, Recorded, Refused, Request

# A zygote that became another user may not be able to import more: what snippets import is loaded here.
LOADED = (
    contextlib, ctypes, errno, fcntl, mmap, os, platform, resource, select, signal, socket, struct, subprocess, sys,
    threading, time,
)  # fmt: skip
ENTERED = Entered(stage=Stage.SMOKE, case="first", kernel="scale")


def warm(mode: ZygoteMode) -> tuple[int, ...]:
    platform.machine()  # imports more at its first call
    "localhost".encode("idna")  # as does resolving a name
    os.environ["WARMED"] = mode
    return ()


def answer(request: Request, emit: Callable[[Answer], None]) -> None:
    def report(text: str) -> None:
        emit(Refused(failure=Failure(kind=FailureKind.LAUNCHER_ERROR, stage=Stage.RECORD, message=text)))
        os._exit(0)

    assert isinstance(request, Record)
    emit(ENTERED)
    exec(compile(request.source, "<snippet>", "exec"), {"emit": emit, "entered": ENTERED, "report": report})
    emit(Recorded(plans=(), ptx=(), knobs=()))
