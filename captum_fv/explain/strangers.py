"""What strangers' photos show beside the pair that is explained."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from captum_fv.attr.bank import OcclusionBank
from captum_fv.attr.bank_masks import square_masks
from captum_fv.attr.pair import Pair
from captum_fv.attr.strangers import split_half_reliability, z_map
from captum_fv.core.vectors import unit_length
from captum_fv.data.faces import FaceFinder
from captum_fv.data.images import photos_in, read_image
from captum_fv.data.pairs import to_tensor
from captum_fv.explain.photos import view_photo
from captum_fv.siamese.model import SiameseCosine

AT_MOST = 200
"""So many strangers are read, spread evenly over a folder."""

MASKS = 500
_SAME_PHOTO = 0.999
_BATCH = 32


class BeyondStrangers(NamedTuple):
    """Maps of A and of B, with what stands out of strangers' maps.

    Args:
        maps: How the score goes with each pixel under masks, (H, W).
        z: How far that stands out of the same maps for strangers, (H, W), in their deviations.
        reliability: Of both maps, by split halves of the masks, up to 1.
    """

    maps: tuple[Tensor, Tensor]
    z: tuple[Tensor, Tensor]
    reliability: tuple[float, float]


def embed_photos(
    siamese: SiameseCosine,
    folder: Path,
    size: tuple[int, int],
    finder: FaceFinder | None,
    device: str | torch.device,
) -> Tensor:
    """Embeddings of the photos in a folder, (n, d); of several faces in one the largest.

    Photos of exactly the model's size are taken for aligned faces.

    Raises:
        ValueError: Fewer than three faces.

    Warns:
        UserWarning: Photos without a face are left out.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder}: no such folder; want one of other people's photos")
    photos = photos_in(folder)
    numbers = np.linspace(0, len(photos) - 1, min(len(photos), AT_MOST)).round().astype(int)
    crops, failed = [], []
    for i in numbers:
        try:
            photo, name = read_image(photos[i]), photos[i].name
            aligned = photo.shape[:2] == size
            view = view_photo(photo, size, name=name, largest=True, aligned=aligned, finder=finder)
            crops.append(view.crop)
        except ValueError as error:
            failed.append(str(error))
    if failed:
        warnings.warn(
            f"{folder}: {len(failed)} of {len(numbers)} photos are left out: {failed[0]}",
            stacklevel=2,
        )
    if len(crops) < 3:
        raise ValueError(f"{folder}: {len(crops)} faces; want 3 strangers or more, best a hundred")
    with torch.no_grad():
        batches = torch.split(to_tensor(crops).to(device), _BATCH)
        return torch.cat([siamese.embed_images(batch) for batch in batches])


def other_people(cohort: Tensor, embeddings: Tensor) -> Tensor:
    """The cohort at unit length, without the very photos of the pair, (n, d).

    Raises:
        ValueError: Embeddings that are not as long as the pair's, or fewer than three are left.
    """
    if cohort.ndim != 2 or cohort.shape[1] != embeddings.shape[1]:
        raise ValueError(
            f"strangers: got {tuple(cohort.shape)}; want embeddings of this model, "
            f"(n, {embeddings.shape[1]})"
        )
    others = unit_length(cohort.to(embeddings))
    others = others[(others @ embeddings.T).amax(1) <= _SAME_PHOTO]
    if len(others) < 3:
        raise ValueError(f"strangers: {len(others)} beside the pair itself; want 3 or more")
    return others


def beyond_strangers(
    siamese: SiameseCosine, pair: Pair, embeddings: Tensor, cohort: Tensor
) -> BeyondStrangers:
    """What of a pair's maps stands out of strangers' maps.

    Costs 2 (500 + 1) forwards.

    Args:
        siamese: The model.
        pair: A and B, (1, 3, H, W) each.
        embeddings: Of both, (2, d).
        cohort: Of strangers, (n, d).
    """
    masks = square_masks(MASKS, (pair[0].shape[-2], pair[0].shape[-1])).to(pair[0].device)
    banks = [OcclusionBank.of(siamese, image[0], masks) for image in pair]
    partners = embeddings[1], embeddings[0]
    both = [*zip(banks, partners, strict=True)]
    map_a, map_b = (bank.covariance_map(partner) for bank, partner in both)
    z_a, z_b = (z_map(bank, partner, cohort) for bank, partner in both)
    sure_a, sure_b = (split_half_reliability(bank, partner) for bank, partner in both)
    return BeyondStrangers((map_a, map_b), (z_a, z_b), (sure_a, sure_b))
