"""Seeded, counter-based randomness: a draw depends on what it is for, never on what was drawn before."""

import hashlib

import msgspec
import numpy as np


def generator(seed: int, task_id: str, number: int, purpose: str) -> np.random.Generator:
    """Return the generator of one decision.

    Philox is keyed by a hash of the arguments, so that the order in which steps finish
    changes no step's own draws and a resumed run draws what the first one would have.

    Args:
        seed: Seed of the run.
        task_id: The task.
        number: The step within the run's task.
        purpose: What is decided, such as `parent`; two purposes never share draws.
    """
    digest = hashlib.sha256(msgspec.msgpack.encode((seed, task_id, number, purpose))).digest()
    return np.random.Generator(np.random.Philox(key=int.from_bytes(digest[:16], "little")))
