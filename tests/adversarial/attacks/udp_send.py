"""Send a packet over UDP."""

import socket

import world

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        return sender.sendto(b"secret", ("127.0.0.1", world.udp_port))
