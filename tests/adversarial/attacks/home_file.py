"""Read a file of the user that file modes would allow to read."""

import world

STOPPED_BY = "EACCES"
HARMS_WHEN_UNCONFINED = True


def attack():
    with open(world.secret_file, encoding="utf-8") as file:
        return file.read()
