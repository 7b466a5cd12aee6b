"""Reach a file by way of a link of /proc that starts at the root directory."""

import world

STOPPED_BY = "EACCES"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open("/proc/self/root" + world.secret_file, encoding="utf-8") as file:
        return file.read()
