"""Raise what ordinary handlers do not catch."""

STOPPED_BY = "protocol"
HARMS_WHEN_UNCONFINED = False


def attack():
    raise SystemExit
