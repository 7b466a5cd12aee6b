"""Compute for ever and ignore every signal that can be ignored."""

import contextlib
import signal

STOPPED_BY = "time_limit"
HARMS_WHEN_UNCONFINED = False


def attack():
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        with contextlib.suppress(OSError):
            signal.signal(number, signal.SIG_IGN)
    while True:
        pass
