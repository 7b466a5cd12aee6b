"""Create a symbolic link for the trusted side to follow."""

import os

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.symlink("/etc/passwd", world.writable_directory + "/planted4")
