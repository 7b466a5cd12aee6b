"""Allocate memory as an anonymous file, which no limit of address space covers."""

import os

STOPPED_BY = "EPERM"
HARMS_WHEN_UNCONFINED = True


def attack():
    descriptor = os.memfd_create("bomb")
    return os.write(descriptor, bytes(1 << 20))
