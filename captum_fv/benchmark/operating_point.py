"""Where a model's decisions are made: a threshold as given, one for an FMR, or that of the EER."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.core.arrays import BoolArray, FloatArray
from captum_fv.core.checks import as_number
from captum_fv.metrics.dpr_result import ThresholdRule
from captum_fv.metrics.rates import eer_threshold, fmr_threshold
from captum_fv.siamese.backbone import contract
from captum_fv.siamese.model import SiameseCosine


@dataclass(frozen=True)
class OperatingPoint:
    """How one model's threshold is set: as given, else for an FMR, else that of the EER.

    Args:
        threshold: A cosine; a pair matches from there on.
        fmr: The highest FMR of the clean pairs, in (0, 1).
    """

    threshold: float | None = None
    fmr: float | None = None

    @classmethod
    def in_config(cls, config: Mapping[str, Any], model: str) -> OperatingPoint:
        """That of a model of a run, by the run's config."""
        return cls((config.get("thresholds") or {}).get(model), config.get("fmr"))

    def threshold_on(self, scores: FloatArray, genuine: BoolArray) -> float:
        """The threshold, given a model's clean scores (N,) and which pairs are genuine, (N,)."""
        if self.threshold is not None:
            return self.threshold
        if self.fmr is not None:
            return fmr_threshold(scores, genuine, self.fmr)
        return eer_threshold(scores, genuine)

    @property
    def rule(self) -> ThresholdRule | None:
        """How the pairs themselves set the threshold; None if it is given, whatever they are."""
        return self.threshold_on if self.threshold is None else None

    def __str__(self) -> str:
        if self.threshold is not None:
            return "as given"
        return "EER" if self.fmr is None else f"FMR at most {self.fmr:g}"


def given_thresholds(
    models: Mapping[str, SiameseCosine], settings: BenchmarkSettings
) -> dict[str, float] | None:
    """Model's name -> the threshold that the settings give it; None if they give none.

    Raises:
        ValueError: The models' own are asked for, and one has none.
    """
    if settings.threshold is None:
        return None
    if settings.threshold != "model":
        return dict.fromkeys(models, as_number("threshold", settings.threshold))
    own = {name: contract(model.backbone).threshold for name, model in models.items()}
    for name, threshold in own.items():
        if threshold is None:
            raise ValueError(f"threshold: {name} brings none of its own; want a number, or an FMR")
    return {name: as_number(name, threshold) for name, threshold in own.items()}
