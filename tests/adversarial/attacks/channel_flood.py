"""Answer without end."""

import world

STOPPED_BY = "protocol"
HARMS_WHEN_UNCONFINED = False


def attack():
    while True:
        world.emit(world.entered)
