"""Bootstrap intervals over pairs, and over the people in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from captum_fv.core.arrays import FloatArray
from captum_fv.core.checks import as_number


class Interval(NamedTuple):
    """A figure and its bootstrap interval, or NaN for both ends where errors are too few for one.

    >>> print(Interval(2.571, 2.4, 2.719))
    2.57 [2.40, 2.72]
    >>> print(Interval(0.0, np.nan, np.nan))
    0.00 (too few errors)
    """

    value: float
    low: float
    high: float

    @property
    def figure(self) -> str:
        """The figure with two decimals."""
        return f"{self.value:.2f}"

    @property
    def span(self) -> str:
        """The interval in brackets, or why there is none."""
        if np.isnan(self.low):
            return "(too few errors)"
        return f"[{self.low:.2f}, {self.high:.2f}]"

    def __str__(self) -> str:
        return f"{self.figure} {self.span}"


def resampled_means(values: FloatArray, resamples: int = 2000, seed: int = 0) -> FloatArray:
    """Means over resampled pairs, one pair drawn as often for every row.

    Args:
        values: (..., N), one figure for each pair; rows are methods on the same pairs.
        resamples: How many times N pairs are drawn with replacement.
        seed: Of the draws: equal seeds and N draw the same pairs.

    Returns:
        (resamples, ...).
    """
    return np.moveaxis(values @ resampled_shares(values.shape[-1], resamples, seed).T, -1, 0)


@lru_cache(maxsize=4)  # a table of methods asks for the same few draws again and again
def resampled_shares(count: int, resamples: int = 2000, seed: int = 0) -> FloatArray:
    """How often each of N pairs is drawn, as a share of N: (resamples, N), rows that sum to 1."""
    # N draws with replacement matter only by how often each pair came, which is multinomial: one
    # matrix of shares, and all resampled means are a product with it. A seed fixes the matrix, so
    # methods on the same pairs are resampled together and their differences are paired.
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), resamples)
    return np.asarray(draws / count)


def percentile_interval(value: float, resampled: FloatArray, confidence: float = 0.95) -> Interval:
    """The central `confidence` share of the resampled figures (Efron's percentile interval)."""
    if not 0 < as_number("confidence", confidence) < 1:
        raise ValueError(f"confidence: got {confidence}; want a share between 0 and 1")
    low, high = np.quantile(resampled, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(value, float(low), float(high))


def mean_interval(values: FloatArray, confidence: float = 0.95) -> Interval:
    """The mean of (N,) figures, one for each pair, with its interval over pairs."""
    return percentile_interval(float(values.mean()), resampled_means(values), confidence)


def person_draws(
    people: Sequence[str] | None, count: int, resamples: int, seed: int = 0
) -> Iterator[FloatArray]:
    """How often each of N pairs counts when people are drawn with replacement, (N,) at a time.

    A genuine pair counts as often as its person is drawn, an impostor pair as often as both of its
    people together: pairs that share a person are not independent.

    Args:
        people: Who is in each photo, 2N names; None: nobody knows, and pairs are drawn instead.
        count: N.
        resamples: How many draws.
        seed: Of the draws.
    """
    names = np.repeat(np.arange(count), 2) if people is None else np.asarray(people)
    if names.shape != (2 * count,):
        raise ValueError(f"persons: got {len(names)} names for {count} pairs; want two for each")
    numbers = np.unique(names, return_inverse=True)[1]
    rng, size = np.random.default_rng(seed), int(numbers.max()) + 1
    for _ in range(resamples):
        drawn = rng.multinomial(size, np.full(size, 1 / size)).astype(np.float64)
        first, second = drawn[numbers[0::2]], drawn[numbers[1::2]]
        yield np.where(numbers[0::2] == numbers[1::2], first, first * second)
