"""Coordinate descent on the constants of a model: one constant at a time, kept only where it clearly helps.

Each constant is its shipped value times exp(theta). From theta = 0 the fit goes round the constants, tries a step up
and a step down in each, and keeps the first that makes the score larger by at least `_LEAST_GAIN`; steps are first
coarse, then fine. What a step must gain is the prior towards the shipped constants: one that the times say little about
stays where it was. Nothing is drawn: the same times give the same constants.
"""

from collections.abc import Callable

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]
Score = Callable[[Floats], float]

STEPS = (0.5, 0.25)  # in log units: factors of 1.65 and 1.28
_ROUNDS = 3  # with each step
_LEAST_GAIN = 0.003


def climb(score: Score, lower: Floats, upper: Floats) -> Floats:
    """Return the theta that coordinate descent from zero finds.

    Args:
        score: What is to become large, of theta of shape (k,).
        lower: Least theta, shape (k,), at most 0.
        upper: Largest theta, shape (k,), at least 0.
    """
    theta = numpy.zeros(len(lower))
    best = score(theta)
    for step in STEPS:
        for _ in range(_ROUNDS):
            before = best
            for place in range(len(theta)):
                for change in (step, -step):
                    tried = theta.copy()
                    tried[place] = numpy.clip(tried[place] + change, lower[place], upper[place])
                    reached = score(tried) if tried[place] != theta[place] else best
                    if reached >= best + _LEAST_GAIN:
                        theta, best = tried, reached
                        break
            if best == before:
                break
    return theta
