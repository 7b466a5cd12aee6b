"""Change a module of the Python installation, for whoever imports it next."""

import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = False


def attack():
    with open(os.__file__, "a", encoding="utf-8") as file:
        return file.fileno()
