"""Move a file of the user."""

import os

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.rename(world.writable_directory + "/victim2", world.writable_directory + "/gone")
