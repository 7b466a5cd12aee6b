"""Wait for orders on a TCP port."""

import socket

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()
