"""List a directory of the user."""

import os

import world

STOPPED_BY = "EACCES"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.listdir(os.path.dirname(world.secret_file))
