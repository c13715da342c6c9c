"""The line on which the score, the threshold and the strangers of a pair stand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from captum_fv.core.arrays import FloatArray
from captum_fv.report.pair_document import PairDocument


@dataclass(frozen=True, eq=False)
class ScoreLine:
    """A stretch of the cosine's scale that holds all scores of a document.

    Args:
        low, high: Its ends, whole tenths.
    """

    low: float
    high: float

    def at(self, score: float) -> float:
        """Where a score stands, in percent of the line."""
        return round(100 * (score - self.low) / (self.high - self.low), 2)

    def ticks(self) -> list[float]:
        """Cosines that are written below the line: five to ten, every tenth or second tenth."""
        step = 0.1 if self.high - self.low < 1 else 0.2
        first = np.ceil(self.low / step - 1e-9) * step
        return [round(float(tick), 1) for tick in np.arange(first, self.high + 1e-9, step)]

    def strokes(self, scores: FloatArray) -> str:
        """Scores as upright strokes of an SVG of 100 by 1."""
        return "".join(f"M{self.at(float(score)):g} 0v1" for score in scores)


def score_line(document: PairDocument) -> ScoreLine:
    """The line of a document: from 0 or less, and with room on both sides of the threshold."""
    scores = [
        0.0,
        document.score,
        document.threshold - 0.1,
        document.threshold + 0.1,
        *(region.score_hidden for region in document.regions),
        *(float(score) for some in document.strangers or () for score in some),
    ]
    low, high = np.floor(10 * min(scores) - 0.2) / 10, np.ceil(10 * max(scores) + 0.2) / 10
    return ScoreLine(max(float(low), -1.0), min(float(high), 1.0))
