"""What is known of the regions of one pair: as figures, as a table, and in words."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace

import numpy as np

from captum_fv.attr.links import Interactions

COMMON = 2.0
"""Up to so many deviations from the strangers' mean, something is no more than strangers show."""


@dataclass(frozen=True)
class RegionRow:
    """What is known of one region of the face, the same in both photos.

    Args:
        name: "nose", "left eye": left and right are the person's own.
        area: Share of the pixels, in [0, 1]; the mean of both photos where theirs differ.
        contribution: What the region adds to the score, in A and in B, in cosine.
        interval: Its 95 % interval over the draw of the masks: what other masks would have given
            for these two photos. It says nothing of other photos of the same people.
        z: How far what it adds stands out of what it adds against strangers, in their deviations;
            None without a cohort.
        same_place: What this region of A and the same of B add together, in cosine.
        score_hidden: The score with the region hidden in both photos, under a blur.
        flips: Whether that changes the decision.
        sentence: All of it in words.
    """

    name: str
    area: float
    contribution: float
    interval: tuple[float, float]
    z: float | None
    same_place: float
    score_hidden: float
    flips: bool
    sentence: str = ""

    def in_words(self, score: float, threshold: float) -> RegionRow:
        """The same row with its sentence, from one template."""
        known = "" if self.z is None else f", {_beside_strangers(self.z)}"
        sentence = (
            f"{self.name.capitalize()}: adds {_contribution(self)} to the cosine, on "
            f"{100 * self.area:.0f} % of the picture{known}; with it hidden in both photos the "
            f"cosine is {self.score_hidden:.2f} and not {score:.2f}, "
            f"{_decision_after(score, self.score_hidden, threshold)}."
        )
        return replace(self, sentence=sentence)


@dataclass(frozen=True, eq=False)
class RegionReport:
    """What each region of a face has to do with the decision on one pair.

    `print` shows it as a table.

    Args:
        rows: One for each region, in the order of the regions.
        interactions: What they were computed from, with R2 on masks that were not fitted.
        threshold: The cosine from which a pair matches.
        strangers: How many people the z are against; 0 without a cohort.
    """

    rows: tuple[RegionRow, ...]
    interactions: Interactions
    threshold: float
    strangers: int

    @property
    def score(self) -> float:
        """The cosine of the pair."""
        return self.interactions.score

    @property
    def base(self) -> float | None:
        """The cosine that is left with all regions hidden; None unless the weights add up to it."""
        return self.interactions.base if self.interactions.weights == "adds_up" else None

    def sentences(self) -> tuple[str, ...]:
        """Every region in words, in the order of the rows."""
        return tuple(row.sentence for row in self.rows)

    def to_json(self) -> str:
        """All figures as JSON; what is not known is null."""
        found = self.interactions
        document = {
            "score": self.score,
            "threshold": self.threshold,
            "base": self.base,
            "weights": found.weights,
            "keep": found.keep,
            "r2": found.r2 if np.isfinite(found.r2) else None,
            "strangers": self.strangers,
            "regions": [asdict(row) for row in self.rows],
        }
        return json.dumps(document, indent=1, allow_nan=False)

    def __str__(self) -> str:
        width = max(len(row.name) for row in self.rows)
        middle = max(len(_z_cell(row.z)) for row in self.rows)
        left = "" if self.base is None else f"; {self.base:.2f} is left with all hidden"
        lines = [f"{self.interactions}{left}"]
        for row in self.rows:
            after = _decision_after(self.score, row.score_hidden, self.threshold)
            lines.append(
                f"{row.name.capitalize():{width}}  {_contribution(row)}  "
                f"{_z_cell(row.z):{middle}}  hiding it: {self.score:.2f} -> "
                f"{row.score_hidden:.2f} ({after})"
            )
        return "\n".join(lines)


def _contribution(row: RegionRow) -> str:
    """What a region adds, with its interval; no zero has a minus."""
    value, low, high = (f"{round(x, 2) + 0.0:+.2f}" for x in (row.contribution, *row.interval))
    return f"{value} [{low}, {high}]"


def _beside_strangers(z: float) -> str:
    if abs(z) < COMMON:
        return f"no more than a stranger's would (z {z:.1f})"
    return f"{'more' if z > 0 else 'less'} than strangers' do (z {z:.1f})"


def _z_cell(z: float | None) -> str:
    if z is None:
        return ""
    return f"z {z:.1f}" if abs(z) >= COMMON else "no more than a stranger's would"


def _decision_after(score: float, hidden: float, threshold: float) -> str:
    before, after = score >= threshold, hidden >= threshold
    if before:
        return "still a match" if after else "no longer a match"
    return "now a match" if after else "still no match"
