"""Lift the own limit of CPU seconds."""

import resource

STOPPED_BY = "ValueError"
HARMS_WHEN_UNCONFINED = False


def attack():
    resource.setrlimit(resource.RLIMIT_CPU, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    return "no limit"
