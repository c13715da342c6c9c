"""Our maps under Quantus's metrics, and DPR as one of them.

Quantus wants an image and a class. Here a pair is one image of six channels, A's before B's, or A
alone with B held; its classes are 0, different people, and 1, the same. The class explained is the
decision.
"""

import numpy as np
import quantus
import torch

import captum_fv as fv
from captum_fv.adapters import (
    HeldPartner,
    PairClassifier,
    QuantusDPR,
    QuantusIROF,
    QuantusROAD,
    explain_func,
)
from captum_fv.attr.methods import build_methods
from captum_fv.data import patch_pairs

siamese = fv.SiameseCosine(fv.load_backbone("demo"))
threshold = siamese.backbone.threshold
patched = patch_pairs(fv.generated_pairs(16)).batch(range(6, 10))  # half of them genuine
stacked = torch.cat([patched.patched_a, patched.img_b], dim=1)
model = PairClassifier(siamese, threshold)
decisions = model(stacked).argmax(1).numpy()
pairs = {"model": model, "x_batch": stacked.numpy(), "y_batch": decisions, "channel_first": True}
held = {
    "model": HeldPartner(siamese, patched.img_b, threshold),
    "x_batch": patched.patched_a.numpy(),
    "y_batch": decisions,
    "channel_first": True,
}
in_patches = {"s_batch": patched.mask.numpy()}

quiet = {"disable_warnings": True}
flipping = quantus.PixelFlipping(features_in_step=112 * 112 // 2, **quiet)
sensitivity = quantus.MaxSensitivity(nr_samples=2, lower_bound=0.02, **quiet)
sparseness = quantus.Sparseness(**quiet)
mass = quantus.RelevanceMassAccuracy(normalise=False, **quiet)
irof = QuantusIROF(**quiet)
road = QuantusROAD(percentages=[20], **quiet)
dpr = QuantusDPR(patched.original_a, patched.genuine)

runs = {}
print("method       flipping  sensitivity  sparseness   mass   IROF   ROAD  FMR area  FNMR area")
for name, method in build_methods(["xssab", "sensitivity", "rnd"], siamese, threshold).items():
    explain = explain_func(method)
    maps = explain(model, stacked, decisions)
    map_a = maps[:, :3].mean(1, keepdims=True).clip(0)
    dpr(a_batch=maps, **pairs)
    runs[name] = dpr.result
    figures = (
        np.mean(flipping(a_batch=maps, **pairs)),  # how sure of its decision, over all steps
        np.mean(sensitivity(a_batch=maps, explain_func=explain, **pairs)),
        np.mean(sparseness(a_batch=maps, **pairs)),
        np.mean(mass(a_batch=map_a, **pairs, **in_patches)),  # the share in A's patches
        np.mean(irof(a_batch=maps[:, :3], **held)),
        road(a_batch=maps[:, :3], **held)[20],  # decisions that stand without a fifth of A
        dpr.result.fmr_auc,
        dpr.result.fnmr_auc,
    )
    row = "{:11}  {:8.3f}  {:11.2f}  {:10.2f}  {:5.2f}  {:5.2f}  {:5.2f}  {:8.2f}  {:9.2f}"
    print(row.format(name, *figures))

fv.plot_dpr(runs, "DPR, called by Quantus: lower is better").savefig("quantus_metrics.png")
