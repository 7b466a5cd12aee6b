"""Change the times of a file of the user."""

import os

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.utime(world.writable_directory + "/bashrc", (0, 0))
