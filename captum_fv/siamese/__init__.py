"""The one model that everything explains: two photos in, their cosine out."""

from captum_fv.siamese.inference import optimise_for_inference
from captum_fv.siamese.model import PartnerView, SiameseCosine
from captum_fv.siamese.prelu import unfold_prelu

__all__ = ["PartnerView", "SiameseCosine", "optimise_for_inference", "unfold_prelu"]
