"""Two photos in, one explanation out: found, aligned, compared, explained, and written down."""

from captum_fv.explain.explainer import PairExplainer
from captum_fv.explain.explanation import PairExplanation
from captum_fv.explain.pair_folder import explain_list
from captum_fv.explain.run_pages import write_run_pages
from captum_fv.explain.two_photos import explain_photos

__all__ = [
    "PairExplainer",
    "PairExplanation",
    "explain_list",
    "explain_photos",
    "write_run_pages",
]
