"""What a benchmark measures, and how."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np

from captum_fv.core.arrays import IntArray
from captum_fv.core.checks import check_choice

STRATA = 64
"""Strata of equal mean sensitivity; with so many, one map for all pairs is at chance."""

LuFill = Literal["black", "blur", "road", "alternative"]
"""What removed places may show in the curves of Lu et al."""

PAIRS = 32
"""Explained together, where nothing says otherwise."""

LEAST = {
    "batch_size": 1,
    "audit_pairs": 0,
    "sanity_pairs": 1,
    "latency_pairs": 0,
    "latency_seconds": 0,
}
"""The smallest values of settings."""


@dataclass(frozen=True)
class BenchmarkSettings:
    """What a benchmark measures, and how.

    Args:
        subset: Method's name -> how many pairs it is measured on, spread evenly over the set; for
            slow ones. All pairs if it is not named.
        batch_size: Pairs explained together, and lost if the run is killed. None: as many as the
            run that is gone on with, else 32; on one GPU no more than half the images that a trial
            finds to be fastest.
        seed: Of random maps.
        stratified: Also DPR within strata of equal mean sensitivity, which takes a gradient of
            every pair.
        audit_pairs: On how many pairs every method's deletion and insertion curves are measured,
            and on some of them its sanity; 0 leaves both out.
        sanity_pairs: On how many of them; each is explained some seven times.
        lu_fills: What removed places show in the curves of Lu et al.: "black" as published, "blur",
            "alternative", or "road", which takes seconds for a pair.
        latency_pairs: On how many pairs methods are timed; 0 leaves Table 3 out.
        latency_seconds: After so many seconds no further pair of a method is timed.
        threshold: From which cosine on a pair matches: a number, or "model" for that which each
            backbone brings. None: set on the clean pairs, by `fmr` or at the EER.
        fmr: The lowest threshold that keeps the FMR of the clean pairs at or below this, in (0, 1).
    """

    subset: Mapping[str, int] = field(default_factory=dict)
    batch_size: int | None = None
    seed: int = 0
    stratified: bool = True
    audit_pairs: int = 0
    sanity_pairs: int = 10
    lu_fills: Sequence[LuFill] = ("black",)
    latency_pairs: int = 100
    latency_seconds: float = 60.0
    threshold: float | Literal["model"] | None = None
    fmr: float | None = None

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) is not None and getattr(self, name) < least:
                raise ValueError(f"{name}: got {getattr(self, name)}; want {least} or more")
        for method, count in self.subset.items():
            if count < 1:
                raise ValueError(f"subset: got {count} pairs for {method}; want 1 or more")

        for fill in self.lu_fills:
            check_choice("lu_fills", fill, get_args(LuFill))
        if self.threshold is not None and self.fmr is not None:
            raise ValueError("threshold and fmr: got both; want one of them, which sets the other")
        if self.fmr is not None and not 0 < self.fmr < 1:
            raise ValueError(f"fmr: got {self.fmr}; want a share above 0 and below 1, as 0.001")
        if self.threshold not in (None, "model") and not -1 <= float(self.threshold) <= 1:
            raise ValueError(
                f'threshold: got {self.threshold}; want a cosine in [-1, 1], or "model"'
            )

    def config(self) -> dict[str, Any]:
        """What config.json says of them: whatever changes a figure."""
        return {
            "subset": dict(self.subset),
            "batch_size": self.batch_size,
            "seed": self.seed,
            "strata": STRATA if self.stratified else 0,
            "audit_pairs": self.audit_pairs,
            "sanity_pairs": self.sanity_pairs,
            "lu_fills": list(self.lu_fills),
            "latency": [self.latency_pairs, self.latency_seconds],
            "fmr": self.fmr,
        }

    @property
    def pairs_at_once(self) -> int:
        """The batch size that was said, else 32."""
        return PAIRS if self.batch_size is None else self.batch_size

    def measured(self, method: str, count: int) -> IntArray:
        """Numbers of the pairs, of `count`, that a method is measured on."""
        return evenly(count, self.subset.get(method, count))


def evenly(count: int, wanted: int) -> IntArray:
    """So many of `count` numbers from 0, spread evenly, ascending; all if there are no more."""
    return np.linspace(0, count - 1, min(count, wanted)).round().astype(np.int64)
