"""Start a shell."""

import subprocess

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return subprocess.run(["/bin/sh", "-c", "exit 7"], check=False).returncode
