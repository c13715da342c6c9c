"""How fast a run goes, and when its maps will be measured; what follows is short."""

from __future__ import annotations

import sys
import time
from collections import defaultdict

EVERY = 10.0
"""Seconds between two lines."""


class Forecast:
    """What a process has still to do, and how long it will take, from what it has done.

    Work is counted in pairs of a kind: a model's scores, or the maps of one method. A kind takes as
    long for a pair of the next model as it took for those measured.

    Args:
        label: Put before every line.
        show: Whether to print lines at all.
    """

    def __init__(self, label: str = "", show: bool = True) -> None:
        self._label, self._show = label, show
        self._left: dict[str, int] = defaultdict(int)
        self._done: dict[str, int] = defaultdict(int)
        self._seconds: dict[str, float] = defaultdict(float)
        self._printed = time.monotonic()

    def plan(self, kind: str, pairs: int) -> None:
        """Add work; negative for work that turned out to be done already."""
        self._left[kind] += pairs

    def done(self, kind: str, pairs: int, seconds: float) -> None:
        """Count work as done."""
        self._left[kind] -= pairs
        self._done[kind] += pairs
        self._seconds[kind] += seconds

    def rest(self) -> str:
        """The time to the end of the maps in words; nothing while nothing is known of what is left.

        >>> forecast = Forecast()
        >>> for kind in ("quick", "slow"):
        ...     forecast.plan(kind, 100)
        >>> forecast.done("quick", 20, seconds=1.0)
        >>> forecast.rest()
        ', more than 4 s to the end of the maps'
        """
        left = {kind: pairs for kind, pairs in self._left.items() if pairs > 0}
        known = [kind for kind in left if self._done[kind]]
        if not known:
            return ""
        seconds = sum(left[kind] * self._seconds[kind] / self._done[kind] for kind in known)
        bound = "about" if len(known) == len(left) else "more than"
        return f", {bound} {duration(seconds)} to the end of the maps"

    def tell(self, progress: str, at_once: bool = False) -> None:
        """Print a line on stderr, if the last one is some time ago or it must be `at_once`."""
        now = time.monotonic()
        if self._show and (at_once or now - self._printed >= EVERY):
            self._printed = now
            print(f"{self._label}{progress}{self.rest()}", file=sys.stderr, flush=True)


def duration(seconds: float) -> str:
    """Seconds in words.

    >>> duration(42), duration(600), duration(7380)
    ('42 s', '10 min', '2 h 3 min')
    """
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
