"""Create a directory."""

import os

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.mkdir(world.writable_directory + "/planted3")
