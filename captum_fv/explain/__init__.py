"""Two photos in, one explanation out: found, aligned, compared, explained, and written down."""

from captum_fv.explain.explainer import PairExplainer, explain_photos
from captum_fv.explain.explanation import PairExplanation

__all__ = ["PairExplainer", "PairExplanation", "explain_photos"]
