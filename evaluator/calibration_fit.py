"""Bounded least squares on log ratios, with a pull towards where it starts: a few Gauss-Newton steps in numpy.

Each constant is its shipped value times exp(theta). With r_i = log(estimate_i / measured_i) the fit makes

    sum_i w_i rho(r_i) + stiffness * sum_k theta_k^2

small, where rho is Huber's loss (quadratic up to `_HUBER`, then linear, so that a kernel that the model does not
understand does not bend it), w_i gives every group of kernels the same say, and the second term keeps a constant that
the times say little about where it was. Nothing is drawn: the same times give the same constants.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]
Model = Callable[[Floats], Floats]

_HUBER = 0.2  # log ratio beyond which a kernel counts as not understood
_STEP = 0.02  # of the numerical derivative, in log units
_ROUNDS = 8
_ENOUGH = 1e-3  # a round that moves no constant by more ends the fit
_DAMPING = (1.0, 0.3, 0.1)  # shares of a Gauss-Newton step that are tried


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is fitted.

    Attributes:
        model: Returns log estimates, shape (n,), of theta, shape (k,).
        measured: Logs of the measured times, shape (n,).
        weights: Weight of each time, shape (n,).
        lower: Least theta, shape (k,).
        upper: Largest theta, shape (k,).
        stiffness: Pull of the prior.
    """

    model: Model
    measured: Floats
    weights: Floats
    lower: Floats
    upper: Floats
    stiffness: float

    def loss(self, theta: Floats) -> float:
        """Return what the fit makes small."""
        off = numpy.abs(self.model(theta) - self.measured)
        rho = numpy.where(off <= _HUBER, off**2, 2 * _HUBER * off - _HUBER**2)
        return float(self.weights @ rho + self.stiffness * theta @ theta)


def fit(problem: Problem) -> Floats:
    """Return the theta of the least loss that a few Gauss-Newton steps from zero find, within the bounds."""
    theta = numpy.zeros(len(problem.lower))
    loss = problem.loss(theta)
    for _ in range(_ROUNDS):
        step = _step(problem, theta)
        for share in _DAMPING:
            tried = numpy.clip(theta + share * step, problem.lower, problem.upper)
            reached = problem.loss(tried)
            if reached < loss:
                break
        else:
            return theta
        moved = float(numpy.max(numpy.abs(tried - theta)))
        theta, loss = tried, reached
        if moved < _ENOUGH:
            return theta
    return theta


def _step(problem: Problem, theta: Floats) -> Floats:
    """Return the Gauss-Newton step of the reweighted problem; constants at a bound may leave it inwards only."""
    now = problem.model(theta)
    slopes = numpy.stack([_slope(problem, theta, now, place) for place in range(len(theta))], axis=1)
    residual = now - problem.measured
    weights = problem.weights * numpy.minimum(1.0, _HUBER / numpy.maximum(numpy.abs(residual), 1e-12))
    gradient = slopes.T @ (weights * residual) + problem.stiffness * theta
    is_held = ((theta <= problem.lower) & (gradient > 0)) | ((theta >= problem.upper) & (gradient < 0))
    free = numpy.flatnonzero(~is_held)
    curvature = (slopes.T * weights) @ slopes + problem.stiffness * numpy.eye(len(theta))
    step = numpy.zeros(len(theta))
    step[free] = -numpy.linalg.solve(curvature[numpy.ix_(free, free)], gradient[free])
    return step


def _slope(problem: Problem, theta: Floats, now: Floats, place: int) -> Floats:
    """Return how the log estimates move with one constant, from one more evaluation inside the bounds."""
    step = _STEP if theta[place] + _STEP <= problem.upper[place] else -_STEP
    moved = theta.copy()
    moved[place] += step
    slope: Floats = (problem.model(moved) - now) / step
    return slope
