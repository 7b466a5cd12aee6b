"""Empty a file of the user by its path."""

import os

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.truncate(world.writable_directory + "/bashrc", 0)
