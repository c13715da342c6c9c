"""The occlusion bank: what a model sees of ONE face under masks, kept for any partner."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from captum_fv.attr.fills import fill_pixels, resolve_fill
from captum_fv.core.checks import (
    check_choice,
    check_images,
    check_tensor,
    check_values,
)
from captum_fv.core.waiting import sent
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.scoring import embed_images, gives_embeddings

BankFill = Literal["black", "mean", "blur"]

BLUR_SIZE = 16 / 112
"""Twice the standard deviation of the fill "blur", as a share of the height: 8 pixels of 112."""

SCORE_NOISE = 1e-6
"""Cosines no further apart than this are the same in single precision."""

_CHUNK = 64
"""Masks that are numbers of floating point at once."""


@dataclass(frozen=True, eq=False)
class OcclusionBank:
    r"""Embeddings of one image under a set of masks.

    They say nothing of a partner. So a bank is made once for an image, and a score under all masks
    is one product with the partner's embedding, for any number of partners: a pair, a list of
    candidates, a cohort of strangers, or a difference of two people's embeddings.

    .. math:: s_k = \langle u(A_k), w \rangle, \qquad A_k = A + h_k (fill - A)

    Args:
        hidden: What the masks hide, (M, H, W): bool, or uint8 from 0 (kept) to 255 (hidden).
        embeddings: Of the image under each mask, (M, d), of unit length.
        clean: Of the image itself, (d,), of unit length.

    >>> from captum_fv.attr.bank_masks import square_masks
    >>> from captum_fv.siamese import SiameseCosine
    >>> siamese = SiameseCosine(torch.nn.Flatten().eval())
    >>> masks = square_masks(7, (8, 8))
    >>> bank = OcclusionBank.of(siamese, torch.rand(3, 8, 8), masks, fill=0.5)
    >>> bank.scores(torch.rand(20, 3 * 8 * 8)).shape
    torch.Size([20, 7])
    """

    hidden: Tensor
    embeddings: Tensor
    clean: Tensor

    @classmethod
    def of(
        cls,
        siamese: Any,
        image: Tensor,
        hidden: Tensor,
        fill: BankFill | float | Tensor = "black",
        *,
        perturbations_per_eval: int | None = None,
        show_progress: bool = False,
    ) -> OcclusionBank:
        """Make the bank of one image, with `num_forwards(hidden)` forwards and no gradients.

        No more than `perturbations_per_eval` masked images exist at a time; the masks take a byte a
        pixel, M * H * W in all.

        Args:
            siamese: Gives embeddings.
            image: The photo, (C, H, W).
            hidden: The masks, as above; `bank_masks` makes some.
            fill: What shows where the image is hidden: "black" (the model must know its value),
                "mean" of each channel, "blur" with sigma 8 H / 112, a number, or an image
                (C, H, W). For the alternative to a decision write
                `Alternative(reference).images(img_a, img_b, match)[0]`.
            perturbations_per_eval: How many masked images go through the model at once. None: 16,
                and on CUDA what a trial finds to be fastest.
            show_progress: Show a bar that counts down the forwards, with the time left.

        Raises:
            TypeError: A model without embeddings, masks that are neither bool nor uint8.
            ValueError: No photo, masks or fill of another size, an unknown fill.
        """
        require_images(siamese)
        check_photo(image)
        check_hidden(hidden, image)
        count = images_at_once(siamese, image[None], perturbations_per_eval=perturbations_per_eval)
        pixels = bank_fill(fill, image, getattr(siamese, "black", None))
        bar = tqdm(
            total=num_forwards(hidden),
            desc="Occlusion bank",
            unit="image",
            disable=not show_progress,
        )
        with torch.no_grad(), bar:
            clean = embed_images(siamese, image[None])[0]
            bar.update(1)
            embeddings = embed_masked(siamese, image, hidden, pixels, count, bar.update)
        return cls(hidden, embeddings, clean)

    def __len__(self) -> int:
        return len(self.hidden)

    def scores(self, partners: Tensor) -> Tensor:
        """Scores under each mask: (M,) for one partner vector (d,), (P, M) for several (P, d).

        The vectors need no unit length.
        """
        return torch.inner(as_partners(partners, self.clean), self.embeddings)

    def clean_scores(self, partners: Tensor) -> Tensor:
        """Scores of the image itself: () for one partner vector (d,), (P,) for several (P, d)."""
        return as_partners(partners, self.clean) @ self.clean

    def covariance_map(self, partners: Tensor) -> Tensor:
        """Covariance over the masks of the score with what is kept at each pixel.

        Linear in the partner. Positive where the score is higher when the pixel is seen; 0 where no
        mask hides anything.

        Args:
            partners: Vectors (d,) or (P, d).

        Returns:
            (H, W), or (P, H, W).
        """
        scores = self.scores(partners)
        # Weights that sum to 0 make the masks' own mean irrelevant.
        centred = scores - scores.mean(-1, keepdim=True)
        maps = -spread(centred.reshape(-1, len(self)), self.hidden) / len(self)
        return maps.reshape(*scores.shape[:-1], *self.hidden.shape[1:])

    def half(self, which: int) -> OcclusionBank:
        """The bank of every other mask, from the first (0) or the second (1)."""
        check_choice("which", which, (0, 1))
        return OcclusionBank(self.hidden[which::2], self.embeddings[which::2], self.clean)


def num_forwards(hidden: Tensor) -> int:
    """How many images go through the model to make a bank: one for each mask, and the clean one."""
    return len(hidden) + 1


def embed_masked(
    siamese: Any,
    image: Tensor,
    hidden: Tensor,
    fill: Tensor,
    count: int,
    on_images: Callable[[int], object],
) -> Tensor:
    """Embeddings (M, d) of an image (C, H, W) under each mask, `count` at a time."""
    seen = []
    for masks in torch.split(hidden, count):
        share = hidden_share(sent(masks, image.device), image.dtype)[:, None]
        seen.append(embed_images(siamese, torch.lerp(image, fill.expand_as(image), share)))
        on_images(len(masks))
    embeddings = torch.cat(seen)
    check_values("embeddings under the masks", embeddings)
    return embeddings


def hidden_share(hidden: Tensor, dtype: torch.dtype) -> Tensor:
    """Masks as numbers in [0, 1], 1 where the image is hidden wholly; numbers stay as they are."""
    return hidden.to(dtype) / 255 if hidden.dtype == torch.uint8 else hidden.to(dtype)


def spread(weights: Tensor, hidden: Tensor) -> Tensor:
    """Sum over masks of weight times hidden share: (P, M) -> (P, H, W)."""
    total = weights.new_zeros(len(weights), hidden[0].numel())
    parts = torch.split(weights, _CHUNK, dim=1)
    for part, masks in zip(parts, torch.split(hidden, _CHUNK), strict=True):
        total += part @ hidden_share(masks.to(weights.device), weights.dtype).flatten(1)
    return total.reshape(-1, *hidden.shape[1:])


def bank_fill(fill: BankFill | float | Tensor, image: Tensor, black: float | None) -> Tensor:
    """The picture that shows where an image (C, H, W) is hidden, broadcastable to it."""
    if isinstance(fill, Tensor) and fill.ndim:
        check_values("fill", fill)
        if fill.shape != image.shape:
            raise ValueError(
                f"fill: got an image {tuple(fill.shape)} for one of {tuple(image.shape)}; want "
                "equal shapes"
            )
        return fill.detach().to(image)
    if isinstance(fill, Tensor):
        fill = float(fill)
    if isinstance(fill, str):
        if fill in ("partner", "noise", "alternative"):
            raise ValueError(
                f"fill: got {fill!r}, and a bank knows of no partner; hand over the image (C, H, W)"
            )
        check_choice("fill", fill, ("black", "mean", "blur"))
    value = resolve_fill(fill, black, None)
    size = max(1, round(BLUR_SIZE * image.shape[-2]))
    return fill_pixels(value, image, image, size, None)


def check_photo(image: Any) -> None:
    """Raise for what is no single photo (C, H, W)."""
    check_tensor("image", image, "one photo (C, H, W)")
    if image.ndim != 3:
        raise ValueError(f"image: got shape {tuple(image.shape)}; want one photo (C, H, W)")
    check_images(image=image[None])


def check_hidden(hidden: Any, image: Tensor) -> None:
    """Raise for what is no set of masks for images (..., H, W)."""
    check_tensor("hidden", hidden, "masks (M, H, W)")
    if hidden.dtype not in (torch.bool, torch.uint8):
        raise TypeError(
            f"hidden: got {hidden.dtype}; want torch.bool, or torch.uint8 in which 255 hides "
            "wholly, as in (255 * share).round().byte()"
        )
    if hidden.ndim != 3 or not len(hidden) or hidden.shape[1:] != image.shape[-2:]:
        raise ValueError(
            f"hidden: got {tuple(hidden.shape)} for an image {tuple(image.shape[-2:])}; want masks "
            "(M, H, W)"
        )
    if hidden.dtype == torch.uint8 and 0 < int(hidden.max()) <= 1:
        raise ValueError(
            "hidden: got torch.uint8 up to 1, where 255 hides wholly; write hidden.bool()"
        )


def require_images(siamese: Any) -> None:
    """Raise a TypeError for a model that gives scores alone."""
    if not gives_embeddings(siamese):
        raise TypeError(
            f"a bank keeps embeddings, which {type(siamese).__name__} does not give, and scores "
            "alone depend on the partner; write SiameseCosine(backbone)"
        )


def as_partners(partners: Tensor, clean: Tensor) -> Tensor:
    """Partner vectors (..., d), checked, as embeddings are held."""
    check_tensor("partners", partners, "embeddings (d,) or (P, d)")
    check_values("partners", partners)
    if partners.ndim not in (1, 2) or partners.shape[-1] != len(clean):
        raise ValueError(
            f"partners: got {tuple(partners.shape)} for embeddings of {len(clean)}; want "
            f"({len(clean)},) or (P, {len(clean)})"
        )
    return partners.detach().to(clean)
