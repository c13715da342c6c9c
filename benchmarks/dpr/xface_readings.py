"""xFace's second variant read in three ways from one sweep, to see what its figures come from."""

from __future__ import annotations

import torch
from torch import Tensor
from tqdm import tqdm

from captum_fv import SiameseCosine
from captum_fv.attr import OcclusionPairAttribution
from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.core.vectors import cosine

OCCLUSION_READINGS = ("xface2", "xface2_even", "xface2_unsigned")
"""As published; divided by how often a place is covered; and that of the falls' magnitudes."""


@torch.no_grad()
def occlusion_readings(
    siamese: SiameseCosine, threshold: float, img_a: Tensor, img_b: Tensor
) -> dict[str, Tensor]:
    """Maps of A, (N, 1, H, W), for each of OCCLUSION_READINGS.

    The unsigned one says how much covering a place changes the score, whichever way, with the sign
    of the decision, as the control `sensitivity` does for small changes.
    """
    patches = OcclusionPairAttribution(siamese, variant=2).patches
    maps = []
    for face, other in zip(tqdm(img_a, desc="xface2, three readings"), img_b, strict=True):
        own, partner = siamese.embed(face[None], other[None])
        clean = cosine(own, partner)
        sign = torch.where(clean >= threshold, 1.0, -1.0)
        sizes = []
        for grid in patches.grids(face):
            covered = (torch.where(mask[:, None], siamese.black, face) for mask in grid.masks(32))
            seen = torch.cat([siamese.embed_images(images) for images in covered])
            falls = clean - seen @ partner[0]
            signed, unsigned, coverage = grid.spread(
                torch.stack([falls, sign * falls.abs(), torch.ones_like(falls)])
            )
            even = coverage.clamp(min=1)
            readings = torch.stack([signed / len(grid), signed / even, unsigned / even])
            sizes.append(gaussian_blur(readings[None])[0] / grid.size**2)
        maps.append(torch.stack(sizes).mean(0))
    return dict(zip(OCCLUSION_READINGS, torch.stack(maps, 1).unsqueeze(2), strict=True))
