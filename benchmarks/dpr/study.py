"""One model, patched and clean pairs, and the maps of every method, each explained once."""

from __future__ import annotations

from functools import cached_property

import torch
from dpr.xface_readings import OCCLUSION_READINGS, occlusion_readings
from torch import Tensor
from tqdm import tqdm

from captum_fv import SiameseCosine
from captum_fv.attr.methods import METHODS
from captum_fv.data import PairSet
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.metrics import DPRResult, decision_patch_replacement

NAMES = (*METHODS, *(name for name in OCCLUSION_READINGS if name not in METHODS))
"""The methods that can be studied."""

AVERAGE = "average"
"""Not a method: the mean sensitivity of all pairs, the same map for each, with its decision."""


class MapStudy:
    """Images, decisions and maps of A of all pairs; maps are kept, 50 kB for each pair and method.

    Args:
        siamese: The model.
        patched: The pairs.
        threshold: The decision threshold of the clean pairs.
        names: The methods.
        faces: Pairs of people with three photos, for patches of two kinds.
        steps: Of every curve.
    """

    def __init__(
        self,
        siamese: SiameseCosine,
        patched: PatchedPairs,
        threshold: float,
        names: list[str],
        faces: PairSet,
        steps: int,
    ) -> None:
        self.siamese, self.threshold, self.names = siamese, threshold, names
        self.faces, self.steps = faces, steps
        self.genuine = patched.genuine
        everything = range(len(patched))
        self.patched_a, self.original_a, self.img_b = patched.tensors(everything)
        self.mask = patched.masks(everything)
        self.match = {
            patched: self.scores(images, self.img_b) >= threshold
            for patched, images in ((True, self.patched_a), (False, self.original_a))
        }
        self._maps: dict[tuple[str, bool], Tensor] = {}

    @torch.no_grad()
    def scores(self, img_a: Tensor, img_b: Tensor) -> Tensor:
        """Cosines of any pairs, (N,)."""
        batches = zip(img_a.split(64), img_b.split(64), strict=True)
        return torch.cat([self.siamese(*pair) for pair in batches])

    def maps(self, name: str, patched: bool = True) -> Tensor:
        """Maps of A of all pairs, (N, 1, H, W), explained once."""
        if name == AVERAGE:
            sign = torch.where(self.match[patched], 1.0, -1.0)[:, None, None, None]
            return sign * self.prior
        if (name, patched) not in self._maps:
            images = self.patched_a if patched else self.original_a
            found = self.explain(name, images, self.img_b, self.mask)
            self._maps |= {(other, patched): maps for other, maps in found.items()}
        return self._maps[name, patched]

    def explain(
        self, name: str, img_a: Tensor, img_b: Tensor, mask: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Maps of A of any pairs, (N, 1, H, W), by a method and those that come at no more cost.

        Only the oracle reads the mask of the patches.
        """
        if name in OCCLUSION_READINGS:
            return occlusion_readings(self.siamese, self.threshold, img_a, img_b)
        method = METHODS[name](self.siamese, self.threshold)
        found = []
        for start in tqdm(range(0, len(img_a), 32), desc=f"maps of {name}"):
            rows = slice(start, start + 32)
            extras = {}
            if "patch_mask" in method.options:
                extras["patch_mask"] = mask[rows]
            if "explain" in method.options:
                extras["explain"] = "a"
            map_a, _ = method.attribute((img_a[rows], img_b[rows]), **extras)
            found.append(map_a.mean(1, keepdim=True))
        return {name: torch.cat(found)}

    @cached_property
    def prior(self) -> Tensor:
        """Mean gradient magnitude of the patched pairs, (H, W)."""
        return self.maps("sensitivity").abs().mean((0, 1))

    def replace(self, maps: Tensor, strata: Tensor | None = None) -> DPRResult:
        """DPR of maps of the patched images."""
        pair = (self.patched_a, self.img_b)
        return decision_patch_replacement(
            self.siamese,
            pair,
            self.original_a,
            maps,
            self.threshold,
            self.genuine,
            self.steps,
            strata=strata,
            batch_size=32,
            show_progress=True,
        )
