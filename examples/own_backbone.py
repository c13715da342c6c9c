"""A recogniser of your own: any nn.Module from images to embeddings, here Fisherfaces of 1997."""

import torch
import torch.nn.functional as F
from torch import nn

import captum_fv as fv
from captum_fv.data import to_tensor
from captum_fv.data.generated import photograph


class Fisherfaces(nn.Module):
    """Linear directions that tell people apart more than they tell photos of one person apart."""

    def __init__(self, photos, components=60):
        """Learn from photos of people, (people, photos of each, 3, H, W) in [-1, 1]."""
        super().__init__()
        pixels = self.shrink(photos.flatten(0, 1))
        self.centre = pixels.mean(0)
        _, _, axes = torch.pca_lowrank(pixels, components)
        faces = ((pixels - self.centre) @ axes).unflatten(0, photos.shape[:2])
        within = (faces - faces.mean(1, keepdim=True)).flatten(0, 1).T.cov()
        within += 1e-4 * torch.eye(components)
        self.directions = axes @ torch.linalg.cholesky(torch.linalg.inv(within))

    def shrink(self, images):
        """Images (N, 3, H, W) -> their pixels at 28x28, (N, 2352)."""
        return F.adaptive_avg_pool2d(images, 28).flatten(1)

    def forward(self, images):
        """Images (N, 3, H, W) -> embeddings (N, components)."""
        return (self.shrink(images) - self.centre) @ self.directions


torch.manual_seed(0)  # pca_lowrank draws
people = [to_tensor([photograph(person, k) for k in range(3)]) for person in range(60)]
backbone = Fisherfaces(torch.stack(people) * 2 - 1).eval()  # no dropout, settled statistics

# Images come in [0, 1] and enter the backbone as (image - mean) / std. If a backbone returns more
# than its embedding, `output=` picks that: an index, a key or a function.
siamese = fv.SiameseCosine(backbone, mean=0.5, std=0.5)

pairs = fv.generated_pairs(60)  # of people whom it has not seen
with torch.no_grad():
    scores = torch.cat([siamese(img_a, img_b) for img_a, img_b in pairs.batches(30)])
threshold = fv.eer_threshold(scores, pairs.genuine)
rates = fv.error_rates(scores, pairs.genuine, threshold)
print(f"threshold {threshold:.3f}: FMR {rates.fmr:.2f}, FNMR {rates.fnmr:.2f}")

img_a, img_b = pairs.tensors([0])
demo = fv.SiameseCosine(fv.load_backbone("demo"))
maps = {}
for name, model, level in (
    ("Fisherfaces", siamese, threshold),
    ("demo backbone", demo, demo.backbone.threshold),
):
    maps[name] = fv.SimilarityArgumentGradient(model, level).attribute((img_a, img_b))
fv.plot_pair(img_a, img_b, maps, scores[0], threshold).savefig("own_backbone.png")
