"""Read a key of the user from the environment."""

import os

STOPPED_BY = "KeyError"
HARMS_WHEN_UNCONFINED = True


def attack():
    return os.environ["ANTHROPIC_API_KEY"]
