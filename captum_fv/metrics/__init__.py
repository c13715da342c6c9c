"""What a map is worth, and what a recogniser's scores are worth."""

from captum_fv.metrics.bootstrap import Interval
from captum_fv.metrics.controls import CONTROLS, deal_to_others, unbeaten_controls
from captum_fv.metrics.cost import cllr, cllr_min
from captum_fv.metrics.deletion import deletion_insertion
from captum_fv.metrics.deletion_result import DeletionInsertionResult
from captum_fv.metrics.dpr import DecisionPatchReplacement, decision_patch_replacement
from captum_fv.metrics.dpr_result import DPRResult
from captum_fv.metrics.evidence import Evidence
from captum_fv.metrics.flip import LeastReplacement, least_replacement
from captum_fv.metrics.histogram_confidence import HistogramConfidence, xface_confidence
from captum_fv.metrics.interactions import HiddenCells, InteractionShare, interaction_share
from captum_fv.metrics.likelihood import Calibration
from captum_fv.metrics.localisation import PatchLocalisation, patch_localisation, patch_polarity
from captum_fv.metrics.lu import LuFigures, lu_deletion_insertion
from captum_fv.metrics.randomisation import (
    RandomisationResult,
    model_randomisation,
    randomised_copy,
)
from captum_fv.metrics.rates import (
    DetCurve,
    ErrorRates,
    det_curve,
    eer_threshold,
    equal_error_rate,
    error_rates,
    fmr,
    fnmr,
)
from captum_fv.metrics.sanity import SanityResult, sanity_suite, swap_error
from captum_fv.metrics.strata import equal_strata, face_rings, sensitivity_strata
from captum_fv.metrics.swap import SwapGameResult, can_be_told, swap_game

__all__ = [
    "CONTROLS",
    "Calibration",
    "DPRResult",
    "DecisionPatchReplacement",
    "DeletionInsertionResult",
    "DetCurve",
    "ErrorRates",
    "Evidence",
    "HiddenCells",
    "HistogramConfidence",
    "InteractionShare",
    "Interval",
    "LeastReplacement",
    "LuFigures",
    "PatchLocalisation",
    "RandomisationResult",
    "SanityResult",
    "SwapGameResult",
    "can_be_told",
    "cllr",
    "cllr_min",
    "deal_to_others",
    "decision_patch_replacement",
    "deletion_insertion",
    "det_curve",
    "eer_threshold",
    "equal_error_rate",
    "equal_strata",
    "error_rates",
    "face_rings",
    "fmr",
    "fnmr",
    "interaction_share",
    "least_replacement",
    "lu_deletion_insertion",
    "model_randomisation",
    "patch_localisation",
    "patch_polarity",
    "randomised_copy",
    "sanity_suite",
    "sensitivity_strata",
    "swap_error",
    "swap_game",
    "unbeaten_controls",
    "xface_confidence",
]
