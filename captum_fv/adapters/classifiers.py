"""The decision on a pair as a classifier, for toolkits that explain one image and its class."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from captum_fv.core.checks import as_number
from captum_fv.siamese.model import PartnerView, SiameseCosine

Array = npt.NDArray[Any]


class PairClassifier(nn.Module):
    """Pairs as images of twice the channels, A's before B's -> logits of "different" and "same".

    The logits are (threshold - score, score - threshold), so the larger one is the decision.

    Args:
        siamese: The model.
        threshold: The cosine from which a pair matches.

    >>> backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> classifier = PairClassifier(SiameseCosine(backbone), 0.3)
    >>> img_a, img_b = torch.rand(2, 5, 3, 2, 2)
    >>> classifier(torch.cat([img_a, img_b], 1)).shape
    torch.Size([5, 2])
    """

    def __init__(self, siamese: nn.Module, threshold: float) -> None:
        super().__init__()
        self.siamese = siamese
        self.threshold = as_number("threshold", threshold)
        self.training = siamese.training

    def forward(self, stacked: Tensor) -> Tensor:
        """Logits (N, 2) of stacked pairs (N, 2C, H, W)."""
        return _logits(self.siamese(*stacked.chunk(2, dim=1)), self.threshold)


class HeldPartner(nn.Module):
    """Images A -> logits of "different" and "same", with their images B held.

    For what wants an image of three channels, as superpixels do, and for maps of A alone.

    Args:
        siamese: The model.
        img_b: One image B for all images A, (1, C, H, W), or one for each, (N, C, H, W).
        threshold: The cosine from which a pair matches.

    Raises:
        TypeError: The model is no SiameseCosine.

    >>> backbone = nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).eval()
    >>> img_a, img_b = torch.rand(2, 5, 3, 2, 2)
    >>> HeldPartner(SiameseCosine(backbone), img_b, 0.3)(img_a).shape
    torch.Size([5, 2])
    """

    partners: Tensor

    def __init__(self, siamese: SiameseCosine, img_b: Tensor, threshold: float) -> None:
        super().__init__()
        self.view = PartnerView(siamese)
        self.threshold = as_number("threshold", threshold)
        self.training = siamese.training
        with torch.no_grad():
            self.register_buffer("partners", siamese.embed_images(img_b), persistent=False)

    def forward(self, img_a: Tensor) -> Tensor:
        """Logits (N, 2) of images (N, C, H, W).

        Raises:
            ValueError: As many images as there are no partners for.
        """
        return _logits(self.view(img_a, _one_for_each(self.partners, img_a)), self.threshold)


def _one_for_each(partners: Tensor, images: Tensor) -> Tensor:
    """Partners, or the one there is, for as many images."""
    if len(partners) not in (1, len(images)):
        raise ValueError(
            f"got {len(images)} images and {len(partners)} partners; want one partner, or one "
            f"for each image. In Quantus: batch_size={len(partners)} or more"
        )
    return partners.expand(len(images), *partners.shape[1:])


def _logits(scores: Tensor, threshold: float) -> Tensor:
    margin = scores - threshold
    return torch.stack([-margin, margin], dim=1)


def towards(classes: Array, maps: Array) -> Array:
    """Maps in which what speaks for each pair's class is positive; twice gives the maps back.

    Args:
        classes: (N,), 0 for different people and 1 for the same.
        maps: (N, C, H, W), in which what speaks for the same person is positive.
    """
    signs = np.where(np.asarray(classes) == 1, 1, -1).astype(maps.dtype)
    return np.asarray(signs.reshape(-1, 1, 1, 1) * maps)


def explain_func(method: Any, img_b: Tensor | None = None) -> Callable[..., Array]:
    """What Quantus calls to explain a PairClassifier or, with `img_b`, a HeldPartner.

    Args:
        method: One for pairs, ours or Captum's on a SiameseCosine.
        img_b: The images that HeldPartner holds; then images are A's, and maps are of A.

    Returns:
        (model, inputs, targets, ...) -> maps shaped like the inputs, in which what speaks for the
        class asked for is positive.
    """

    def explain(model: Any, inputs: Array, targets: Array, **options: Any) -> Array:
        device = options.get("device")  # Quantus hands on where its own caller wants the model
        images = torch.as_tensor(np.asarray(inputs), dtype=torch.float32, device=device)
        if img_b is None:
            maps = torch.cat(method.attribute(tuple(images.chunk(2, dim=1))), dim=1)
        else:
            maps = method.attribute((images, _one_for_each(img_b, images)))[0]
        return towards(targets, maps.detach().cpu().numpy())

    return explain


def image_function(
    siamese: SiameseCosine, img_b: Tensor, threshold: float
) -> Callable[[Array], Array]:
    """The decision with B held, as LIME and SHAP ask for it: photos as arrays -> probabilities.

    Args:
        siamese: The model.
        img_b: The image that is held, (1, C, H, W).
        threshold: The cosine from which a pair matches.

    Returns:
        (N, H, W, C) in [0, 1] -> (N, 2): "different" and "same", the softmax of the logits.
    """
    model = HeldPartner(siamese, img_b, threshold)

    @torch.no_grad()
    def probabilities(photos: Array) -> Array:
        images = torch.as_tensor(np.asarray(photos), dtype=img_b.dtype, device=img_b.device)
        if images.ndim != 4:
            raise ValueError(f"photos: got shape {tuple(images.shape)}; want (N, H, W, C)")
        logits = model(images.permute(0, 3, 1, 2).contiguous())
        return np.asarray(logits.softmax(1).cpu().numpy())

    return probabilities
