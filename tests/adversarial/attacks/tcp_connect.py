"""Connect to a service on loopback over TCP."""

import socket

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with socket.create_connection(("127.0.0.1", world.tcp_port)) as connection:
        return connection.getpeername()
