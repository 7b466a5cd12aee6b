"""Connect to a Unix socket in the abstract name space, which no file mode protects."""

import socket

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect("\0" + world.abstract_name)
        return connection.getpeername()
