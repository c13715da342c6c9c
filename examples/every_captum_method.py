"""One pair under all methods: this package's and Captum's, which take the same model.

Of Captum's, FeaturePermutation wants more than one pair, ShapleyValues takes the factorial of the
features, and LRP is of no use on a cosine; docs/captum_methods.md has all, with layers and neurons.
"""

import importlib.util

import captum.attr as captum
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.figure import Figure

import captum_fv as fv
from captum_fv.attr import pair_feature_masks, pair_grad_cam
from captum_fv.attr.methods import METHODS, build_methods
from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.data import patch_pairs
from captum_fv.report.pictures import paint_maps, verdict

siamese = fv.SiameseCosine(fv.load_backbone("demo"))
threshold = siamese.backbone.threshold
patched = patch_pairs(fv.generated_pairs(8))
img_a, _, img_b = patched.tensors([2])  # one person twice, until A got patches of somebody else
pair = (img_a.requires_grad_(), img_b.requires_grad_())  # else Captum sets it, with a warning

# Ours. xFace's variants share one sweep, here of patches that cover all pixels equally often; the
# oracle control is told where the patches are.
xface = fv.OcclusionPairAttribution(siamese, patch_sizes=(19, 29), stride=10)
maps = {f"xface{variant}": both for variant, both in xface.attribute_variants(pair).items()}
others = [name for name in METHODS if name not in maps]
for name, method in build_methods(others, siamese, threshold).items():
    extras = {"patch_mask": patched.masks([2])} if name == "oracle" else {}
    maps[name] = method.attribute(pair, **extras)
ours = len(maps)

# Captum's gradients. The same black image on both sides would score 1, so the baseline is the photo
# out of focus.
blurred = tuple(gaussian_blur(image.detach(), kernel=31, sigma=8) for image in pair)
torch.manual_seed(0)
maps["Saliency"] = captum.Saliency(siamese).attribute(pair, abs=False)
maps["InputXGradient"] = captum.InputXGradient(siamese).attribute(pair)
maps["NoiseTunnel(xssab)"] = captum.NoiseTunnel(
    fv.SimilarityArgumentGradient(siamese, threshold)
).attribute(pair, nt_samples=8, stdevs=0.05)
maps["IntegratedGradients"] = captum.IntegratedGradients(siamese).attribute(
    pair, blurred, n_steps=16
)
maps["GradientShap"] = captum.GradientShap(siamese).attribute(pair, blurred, n_samples=16)

# Those that have rules for ReLU alone. This network has PReLU, as all of ArcFace's family has.
unfolded = fv.unfold_prelu(siamese)
maps["DeepLift"] = captum.DeepLift(unfolded).attribute(pair, blurred)
several = tuple(image + 0.05 * torch.randn(4, *image.shape[1:]) for image in blurred)
maps["DeepLiftShap"] = captum.DeepLiftShap(unfolded).attribute(pair, several)
maps["GuidedBackprop"] = captum.GuidedBackprop(unfolded).attribute(pair)
maps["Deconvolution"] = captum.Deconvolution(unfolded).attribute(pair)

# Layers. GuidedGradCam would mix up two images, so it gets one and the other's embedding.
maps["LayerGradCam"] = pair_grad_cam(siamese, siamese.backbone.body, *pair)
guided = captum.GuidedGradCam(fv.PartnerView(unfolded), unfolded.backbone.body)
embeddings = siamese.embed_images(torch.cat(pair)).detach().split(1)
maps["GuidedGradCam"] = tuple(
    guided.attribute(image, additional_forward_args=(partner,))
    for image, partner in zip(pair, embeddings[::-1], strict=True)
)

# Captum's perturbations. Features are 14x14 squares, with numbers of their own in each image.
options = {"baselines": blurred, "perturbations_per_eval": 16}
maps["Occlusion"] = captum.Occlusion(siamese).attribute(
    pair, sliding_window_shapes=((3, 16, 16),) * 2, strides=((3, 8, 8),) * 2, **options
)
squares = torch.arange(64).reshape(1, 1, 8, 8).float()
squares = F.interpolate(squares, size=img_a.shape[-2:]).long()
options["feature_mask"] = pair_feature_masks(squares)
maps["FeatureAblation"] = captum.FeatureAblation(siamese).attribute(pair, **options)
samples = {"ShapleyValueSampling": 4}
if importlib.util.find_spec("sklearn"):
    samples |= {"Lime": 256, "KernelShap": 512}
for name, count in samples.items():
    maps[name] = getattr(captum, name)(siamese).attribute(pair, n_samples=count, **options)

columns = 6
rows = -(-(len(maps) + 1) // columns)
figure = Figure(figsize=(2.6 * columns, 1.55 * rows + 0.4), layout="constrained")
panels = figure.subplots(rows, columns).flat
photos = [image[0].detach() for image in pair]
gap = np.full((112, 6, 3), 255, dtype=np.uint8)
for k, (name, both) in enumerate(maps.items(), start=1):
    painted = paint_maps(photos, [mapped[0] for mapped in both], blur=not name.startswith("xface"))
    panels[k].imshow(np.hstack([painted[0], gap, painted[1]]))
    panels[k].set_title(name, color="black" if k <= ours else "#0050a0")
panels[0].imshow(np.hstack([photos[0].permute(1, 2, 0), gap / 255, photos[1].permute(1, 2, 0)]))
panels[0].set_title("the pair")
for panel in panels:
    panel.axis("off")
score = siamese(*pair).item()
figure.suptitle(f"{verdict(score, threshold)}. Green: same, pink: different. In blue: Captum's.")
figure.savefig("every_captum_method.png")
