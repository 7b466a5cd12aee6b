"""Start threads without end."""

import threading

STOPPED_BY = "RuntimeError"
HARMS_WHEN_UNCONFINED = True


def attack():
    for _ in range(20):
        threading.Thread(target=int).start()
    return "20 threads"
