"""Type a command on the terminal that Tilewright was started from."""

import fcntl

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = False


def attack():
    return fcntl.ioctl(0, 0x5412, b"x")  # TIOCSTI
