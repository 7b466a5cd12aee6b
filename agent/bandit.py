"""Choose an operator: the arm with the best archive gain per second, with a floor for every arm."""

import numpy

from tilewright.archive.records import ArmEvent

FLOOR = 0.05  # least probability of an arm: an operator that fails today may pay tomorrow
DECAY = 0.97  # weight of an event relative to the next newer one; half a life is 23 events
TEMPERATURE = 0.5  # of the softmax over standardised indices


def probabilities(arms: tuple[str, ...], events: tuple[ArmEvent, ...]) -> tuple[float, ...]:
    """Return the probability of each arm: a fold over recorded events, the oldest first.

    An arm's index is its decayed gain per decayed second plus `sqrt(2 ln t / n)` (UCB1, Auer et al. 2002)
    in units of the best mean; gains only, so that a bold operator is not punished for failures.

    Args:
        arms: Operators that can propose something now; at least one.
        events: Finished steps in order; those of other arms are ignored.
    """
    gain = dict.fromkeys(arms, 0.0)
    cost_s = dict.fromkeys(arms, 0.0)
    pulls = dict.fromkeys(arms, 0.0)
    for event in events:
        for arm in arms:
            gain[arm] *= DECAY
            cost_s[arm] *= DECAY
            pulls[arm] *= DECAY
        if event.arm in pulls:
            gain[event.arm] += max(event.gain, 0.0)
            cost_s[event.arm] += event.cost_s
            pulls[event.arm] += 1.0
    means = numpy.array([gain[arm] / max(cost_s[arm], 1e-3) for arm in arms])
    total = max(sum(pulls.values()), 1.0)
    doubt = numpy.array([numpy.sqrt(2.0 * numpy.log(total + 1.0) / (pulls[arm] + 1.0)) for arm in arms])
    index = means / max(float(means.max()), 1e-9) + doubt
    weights = numpy.exp((index - index.max()) / TEMPERATURE)
    shares = weights / weights.sum()
    return tuple(float(FLOOR + (1.0 - FLOOR * len(arms)) * share) for share in shares)


def choose(arms: tuple[str, ...], events: tuple[ArmEvent, ...], draws: numpy.random.Generator) -> str:
    """Draw one arm by its probability."""
    shares = numpy.array(probabilities(arms, events))
    return arms[int(draws.choice(len(arms), p=shares / shares.sum()))]
