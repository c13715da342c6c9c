"""Grad-CAM of a pair by pytorch-grad-cam, and its ROAD metric for any map of ours.

Its methods explain a model of one image: here the one that embeds A, with B's embedding in the
target.
"""

import torch
from matplotlib.figure import Figure
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.metrics.road import ROADCombined

import captum_fv as fv
from captum_fv.adapters import Embedder, SimilarityTarget
from captum_fv.attr.methods import build_methods
from captum_fv.attr.smoothing import gaussian_blur

siamese = fv.SiameseCosine(fv.load_backbone("demo"))
threshold = siamese.backbone.threshold
img_a, img_b = fv.generated_pairs(24).tensors(range(4))  # one person each, and they match
embedder = Embedder(siamese)
targets = [SimilarityTarget(partner) for partner in siamese.embed_images(img_b)]

# Backbones that `load_backbone` gives are frozen, so the images must ask for gradients. Grad-CAM
# keeps what speaks for its target, in [0, 1]; the others must too, to compare.
with GradCAM(embedder, [siamese.backbone.body]) as grad_cam:
    cams = {"Grad-CAM": grad_cam(img_a.clone().requires_grad_(), targets)}
methods = build_methods(["xssab", "sensitivity", "rnd"], siamese, threshold)
for name, method in methods.items():
    map_a, _ = method.attribute((img_a, img_b))
    cam = gaussian_blur(map_a.mean(1, keepdim=True))[:, 0].clamp(min=0)
    cams[name] = (cam / cam.amax((1, 2), keepdim=True)).numpy()

# ROAD fills in the least and the most relevant pixels from their surroundings: by how much more
# does the cosine fall without the most relevant ones? Higher is better.
torch.manual_seed(0)  # what is filled in has some noise
road = ROADCombined(percentiles=[60, 80])
scores = {name: road(img_a, cam, targets, embedder) for name, cam in cams.items()}

figure = Figure(figsize=(2.1 * (2 + len(cams)), 2.9), layout="constrained")
axes = figure.subplots(1, 2 + len(cams))
for axis, photo, title in zip(axes, (img_a[0], img_b[0]), "AB", strict=False):
    axis.imshow(photo.permute(1, 2, 0).numpy())
    axis.set_title(title)
for axis, (name, cam) in zip(axes[2:], cams.items(), strict=True):
    axis.imshow(img_a[0].mean(0).numpy(), cmap="gray")
    axis.imshow(cam[0], cmap="inferno", alpha=0.6)
    axis.set_title(f"{name}\nROAD {scores[name].mean():.3f}")
    print(f"{name:12} ROAD {scores[name].mean():.3f} over {len(img_a)} pairs")
for axis in axes:
    axis.axis("off")
figure.savefig("grad_cam_targets.png")
