"""Start a thread that never ends."""

import threading

STOPPED_BY = "RuntimeError"
HARMS_WHEN_UNCONFINED = True


def attack():
    threading.Thread(target=threading.Event().wait, daemon=True).start()
    return "a thread that hangs"
