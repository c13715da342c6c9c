"""Our maps under Quantus's metrics, and DPR as one of them.

Quantus wants an image and a class. Here a pair is one image of six channels, A's before B's, and
its classes are 0, different people, and 1, the same. The class explained is the decision.
"""

import numpy as np
import quantus
import torch
from torch import nn

import captum_fv as fv
from captum_fv.attr.methods import build_methods
from captum_fv.data import patch_pairs
from captum_fv.metrics import DecisionPatchReplacement


class StackedPair(nn.Module):
    """Pairs (N, 6, H, W) -> logits (N, 2), equal at the threshold."""

    def __init__(self, siamese, threshold):
        super().__init__()
        self.siamese, self.threshold = siamese, threshold

    def forward(self, stacked):
        """Logits of "different people" and of "the same"."""
        margin = self.siamese(*stacked.chunk(2, dim=1)) - self.threshold
        return torch.stack([-margin, margin], dim=1)


def towards(classes, maps):
    """Maps in which what speaks for each pair's class is positive; twice gives the maps back."""
    return np.where(classes == 1, 1, -1).astype(maps.dtype).reshape(-1, 1, 1, 1) * maps


def explainer(method):
    """Quantus's explain_func for a method for pairs, ours or Captum's."""

    def explain(model, inputs, targets, **options):
        pair = torch.as_tensor(inputs, dtype=torch.float32).chunk(2, dim=1)
        maps = torch.cat(method.attribute(pair), dim=1).detach()
        return towards(targets, maps.numpy())

    return explain


class DPR(quantus.PixelFlipping):
    """Decision-based patch replacement: A's pixels do not turn black, they go back to the original.

    A call gives the area under each pair's error curve, and `result` then has the curves.
    """

    name = "DPR"

    def __init__(self, original_a, genuine, steps=20):
        super().__init__(normalise=False, disable_warnings=True)
        self.truth = {"original_batch": original_a.numpy(), "genuine_batch": genuine}
        self.steps = steps

    def custom_preprocess(self, model, **others):
        """Begins anew; Quantus cuts what this returns into batches."""
        pairs = model.get_model()
        self.dpr = DecisionPatchReplacement(pairs.siamese, pairs.threshold, self.steps)
        return self.truth

    def evaluate_batch(self, x_batch, y_batch, a_batch, original_batch, genuine_batch, **others):
        """Adds a batch; its areas come with all the others'."""
        maps = torch.from_numpy(towards(y_batch, a_batch))
        patched_a, img_b = torch.from_numpy(x_batch).chunk(2, dim=1)
        original_a = torch.from_numpy(original_batch)
        self.dpr.update((patched_a, img_b), original_a, maps.chunk(2, dim=1)[0], genuine_batch)
        return []

    def custom_postprocess(self, **others):
        """The result over all batches."""
        self.result = self.dpr.compute()
        self.evaluation_scores = self.result.pair_auc.tolist()


siamese = fv.SiameseCosine(fv.load_backbone("demo"))
threshold = siamese.backbone.threshold
patched = patch_pairs(fv.generated_pairs(16)).batch(range(6, 10))  # half of them genuine
stacked = torch.cat([patched.patched_a, patched.img_b], dim=1)
model = StackedPair(siamese, threshold).eval()
decisions = model(stacked).argmax(1).numpy()
pairs = {"model": model, "x_batch": stacked.numpy(), "y_batch": decisions, "channel_first": True}
in_patches = {"s_batch": patched.mask.numpy()}

quiet = {"disable_warnings": True}
flipping = quantus.PixelFlipping(features_in_step=112 * 112 // 2, **quiet)
sensitivity = quantus.MaxSensitivity(nr_samples=2, lower_bound=0.02, **quiet)
sparseness = quantus.Sparseness(**quiet)
mass = quantus.RelevanceMassAccuracy(normalise=False, **quiet)
dpr = DPR(patched.original_a, patched.genuine)

runs = {}
print("method       flipping  sensitivity  sparseness  mass in patches  FMR area  FNMR area")
for name, method in build_methods(["xssab", "sensitivity", "rnd"], siamese, threshold).items():
    explain = explainer(method)
    maps = explain(model, stacked, decisions)
    map_a = maps[:, :3].mean(1, keepdims=True).clip(0)
    dpr(a_batch=maps, **pairs)
    runs[name] = dpr.result
    figures = (
        np.mean(flipping(a_batch=maps, **pairs)),  # how sure of its decision, over all steps
        np.mean(sensitivity(a_batch=maps, explain_func=explain, **pairs)),
        np.mean(sparseness(a_batch=maps, **pairs)),
        np.mean(mass(a_batch=map_a, **pairs, **in_patches)),
        dpr.result.fmr_auc,
        dpr.result.fnmr_auc,
    )
    row = "{:11}  {:8.3f}  {:11.2f}  {:10.2f}  {:15.2f}  {:8.2f}  {:9.2f}"
    print(row.format(name, *figures))

fv.plot_dpr(runs, "DPR, called by Quantus: lower is better").savefig("quantus_metrics.png")
