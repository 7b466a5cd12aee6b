"""Delete a file of the user."""

import os

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.unlink(world.writable_directory + "/victim")
