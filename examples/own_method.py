"""A method of your own: one class, measured beside the others on the same pairs."""

import torch
from captum.attr import GradientAttribution

import captum_fv as fv
from captum_fv.attr.methods import build_methods
from captum_fv.attr.pair import PairMethod, input_gradients, score_pairs
from captum_fv.data import patch_pairs


class GradientTimesInput(PairMethod, GradientAttribution):
    """Gradient of the score times the image, A * ds/dA; positive speaks for "same person"."""

    def _maps(self, pair, threshold, extra):
        """Maps of A and of B, each shaped like its image; PairMethod has checked the pair."""
        with input_gradients(pair) as leaves:
            scores = score_pairs(self.forward_func, leaves, extra)
            grad_a, grad_b = torch.autograd.grad(scores.sum(), leaves)
        return pair[0] * grad_a, pair[1] * grad_b


siamese = fv.SiameseCosine(fv.load_backbone("demo"))
threshold = siamese.backbone.threshold
patched = patch_pairs(fv.generated_pairs(20))  # image A of each pair got patches of another face
patched_a, original_a, img_b = patched.tensors(range(len(patched)))

methods = build_methods(["rnd", "xssab", "centre"], siamese, threshold)
methods["gradient x input"] = GradientTimesInput(siamese)
runs = {}
for name, method in methods.items():
    map_a, _ = method.attribute((patched_a, img_b))
    runs[name] = fv.decision_patch_replacement(
        siamese, (patched_a, img_b), original_a, map_a, threshold, patched.genuine, steps=10
    )
    print(f"{name:18} FMR area {runs[name].fmr_auc:.2f}, FNMR area {runs[name].fnmr_auc:.2f}")

title = "The errors left when pixels go back where a map says: lower is better"
fv.plot_dpr(runs, title).savefig("own_method.png")
