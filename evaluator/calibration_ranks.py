"""How well one set of numbers orders what another set measures: Kendall's tau-b and Spearman's rho, ties included."""

import math

import msgspec
import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]


class Ranks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How well estimates order measured times; None where one side orders nothing.

    Attributes:
        kendall: Kendall's tau-b, -1 to 1.
        spearman: Spearman's rho, -1 to 1.
        ratio: Median of estimate over measurement.
    """

    kendall: float | None
    spearman: float | None
    ratio: float


class GroupRanks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A group of kernels: one bench case of one task.

    Attributes:
        group: Task and bench case.
        times: Measured kernels.
        before: Estimates with the shipped constants.
        after: Estimates with the constants that are kept.
    """

    group: str
    times: int
    before: Ranks
    after: Ranks


def rank(estimates: Floats, measured: Floats) -> Ranks:
    """Return how well log estimates order log times, both of shape (n,), n at least 1."""
    return Ranks(
        kendall=kendall(estimates, measured),
        spearman=spearman(estimates, measured),
        ratio=float(numpy.exp(numpy.median(estimates - measured))),
    )


def kendall(left: Floats, right: Floats) -> float | None:
    """Return Kendall's tau-b, -1 to 1, or None where one side does not order anything.

    tau_b = (C - D) / sqrt((P - T) (P - U)) over all P pairs: C in the same order on both sides, D in opposite
    orders, T tied on the left, U tied on the right (Kendall, "The treatment of ties in ranking problems", 1945).

    Args:
        left: Numbers, shape (n,).
        right: As many.
    """
    first, second = numpy.triu_indices(len(left), k=1)
    signs = numpy.sign(left[first] - left[second]), numpy.sign(right[first] - right[second])
    weight = math.sqrt(float(numpy.count_nonzero(signs[0])) * float(numpy.count_nonzero(signs[1])))
    return float(numpy.sum(signs[0] * signs[1])) / weight if weight else None


def spearman(left: Floats, right: Floats) -> float | None:
    """Return Spearman's rho, -1 to 1: Pearson's correlation of the ranks, ties sharing their mean rank.

    None where one side does not order anything.

    Args:
        left: Numbers, shape (n,).
        right: As many.
    """
    ranks = [_ranks(left), _ranks(right)]
    centred = [one - one.mean() for one in ranks] if len(left) else ranks
    weight = math.sqrt(float(centred[0] @ centred[0]) * float(centred[1] @ centred[1]))
    return float(centred[0] @ centred[1]) / weight if weight else None


def _ranks(values: Floats) -> Floats:
    """Return ranks from 1; equal values share the mean of the ranks that they take."""
    _, places, counts = numpy.unique(values, return_inverse=True, return_counts=True)
    last = numpy.cumsum(counts)
    mean: Floats = last - (counts - 1) / 2.0
    return mean[places]
