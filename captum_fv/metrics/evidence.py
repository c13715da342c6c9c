"""How strong one score is as evidence: a likelihood ratio, and how it is said."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Evidence:
    """How strong one score is as evidence.

    Args:
        log10_lr: Base-10 logarithm of the likelihood ratio: above 0 it speaks for one person.
        interval: Its 95 % interval over people, within what the data can carry.
        capped: Whether the data carry no more than this.
        sentence: The same in words, with the data it was set on.
    """

    log10_lr: float
    interval: tuple[float, float]
    capped: bool
    sentence: str


def in_words(
    score: float, log10_lr: float, interval: tuple[float, float], capped: bool, over: str
) -> str:
    """A likelihood ratio as a sentence without its end: how many times more probable, and if what.

    Args:
        score: The cosine.
        log10_lr, interval, capped: As `Evidence` has them.
        over: What the interval is over, "people" or "pairs".

    >>> in_words(0.5, 2.0, (1.5, 2.3), False, "people")
    'A cosine of 0.50 is about 100 times more probable if the photos show one person than if ...
    """
    sign = 1 if log10_lr >= 0 else -1
    ratio, low, high = (_times(10 ** (sign * value)) for value in (log10_lr, *interval[::sign]))
    shown, other = ("one person", "two people")[::sign]
    span = f"95 % interval over {over}: {low} to {high}"
    if capped:
        span = "the most that so many pairs can show" + f"; {span}" * (low != high)
    return (
        f"A cosine of {score:.2f} is {'at least' if low == high else 'about'} {ratio} times more "
        f"probable if the photos show {shown} than if they show {other} ({span})"
    )


def _times(ratio: float) -> str:
    """Two digits that count: 1.3, 47, 1,900."""
    rounded = float(f"{ratio:.2g}")
    return f"{rounded:,.0f}" if rounded >= 10 else f"{rounded:g}"
