"""One pair under every method: this package's and Captum's, which take the same model.

Left out are DeepLift, GuidedBackprop, Deconvolution and LRP, which want ReLU: this network, as all
of ArcFace's family, has PReLU.
"""

import captum.attr as captum
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

import captum_fv as fv
from captum_fv.attr.methods import METHODS, build_methods
from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.data import patch_pairs
from captum_fv.viz import SIMILARITY_COLOURS, verdict

siamese = fv.SiameseCosine(fv.load_backbone("demo"))
threshold = siamese.backbone.threshold
patched = patch_pairs(fv.generated_pairs(8))
img_a, _, img_b = patched.tensors([2])  # one person twice, until A got patches of somebody else
pair = (img_a.requires_grad_(), img_b.requires_grad_())  # else Captum sets it, with a warning

# Ours. xFace's variants share one sweep; the oracle control is told where the patches are.
xface = fv.OcclusionPairAttribution(siamese, patch_sizes=(14, 28), stride=10)
maps = {f"xface{variant}": both for variant, both in xface.attribute_variants(pair).items()}
others = [name for name in METHODS if name not in maps]
for name, method in build_methods(others, siamese, threshold).items():
    extras = {"patch_mask": patched.masks([2])} if name == "oracle" else {}
    maps[name] = method.attribute(pair, **extras)

# Captum's gradients. The same black image on both sides would score 1, so the baseline is the photo
# out of focus.
blurred = tuple(gaussian_blur(image, kernel=31, sigma=8) for image in pair)
maps["Saliency"] = captum.Saliency(siamese).attribute(pair, abs=False)
maps["InputXGradient"] = captum.InputXGradient(siamese).attribute(pair)
maps["NoiseTunnel(xssab)"] = captum.NoiseTunnel(
    fv.SimilarityArgumentGradient(siamese, threshold)
).attribute(pair, nt_samples=8, stdevs=0.05)
maps["IntegratedGradients"] = captum.IntegratedGradients(siamese).attribute(
    pair, blurred, n_steps=16
)
torch.manual_seed(0)
maps["GradientShap"] = captum.GradientShap(siamese).attribute(pair, blurred, n_samples=16)

# Captum's perturbations. Features are 14x14 squares, with numbers of their own in each image.
squares = torch.arange(64).reshape(1, 1, 8, 8).float()
squares = F.interpolate(squares, size=img_a.shape[-2:]).long()
options = {"baselines": blurred, "perturbations_per_eval": 16}
maps["Occlusion"] = captum.Occlusion(siamese).attribute(
    pair, sliding_window_shapes=((3, 16, 16),) * 2, strides=((3, 12, 12),) * 2, **options
)
options["feature_mask"] = (squares, squares + 64)
maps["FeatureAblation"] = captum.FeatureAblation(siamese).attribute(pair, **options)
maps["ShapleyValueSampling"] = captum.ShapleyValueSampling(siamese).attribute(
    pair, n_samples=2, **options
)

# Captum's layers. Activations hold both images in turn: `unflatten` gives A's and B's.
grid = captum.LayerGradCam(siamese, siamese.backbone.body).attribute(pair)
cams = F.interpolate(grid, size=img_a.shape[-2:], mode="bilinear").unflatten(0, (-1, 2))
maps["LayerGradCam"] = cams.unbind(1)

columns = 5
rows = -(-(len(maps) + 1) // columns)
figure = Figure(figsize=(3.2 * columns, 1.85 * rows + 0.5), layout="constrained")
first, *panels = figure.subplots(rows, columns).flat
first.imshow(torch.cat(pair, 3)[0].detach().permute(1, 2, 0))
first.set_title("the pair")
for panel, (name, both) in zip(panels, maps.items(), strict=False):
    values = gaussian_blur(torch.cat(both, 3).detach().mean(1, keepdim=True))[0, 0].numpy()
    limit = np.quantile(np.abs(values), 0.995)
    panel.imshow(values, cmap=SIMILARITY_COLOURS, vmin=-limit, vmax=limit)
    panel.set_title(name)
for panel in (first, *panels):
    panel.axis("off")
score = siamese(*pair).item()
figure.suptitle(f"{verdict(score, threshold)}. Green: same person; pink: different.")
figure.savefig("every_captum_method.png")
