"""Connect to a Unix socket by its path, such as that of a container service."""

import socket

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(world.socket_path)
        return connection.getpeername()
