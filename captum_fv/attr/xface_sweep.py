"""One pair of faces as a model sees it with each patch covered in turn."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import torch
from torch import Tensor

from captum_fv.attr.alternative import Decision
from captum_fv.attr.contrast import partner_vectors
from captum_fv.attr.fills import PatchFill, fill_pixels
from captum_fv.attr.pair import Pair, score_pairs
from captum_fv.attr.xface_patches import PatchGrid
from captum_fv.core.vectors import cosine
from captum_fv.siamese.scoring import embed_images, gives_embeddings

Variant = Literal[1, 2, 3]


@dataclass(frozen=True)
class Sweep:
    """A model's view of one pair, as it is and with patches covered.

    A view of images is their embeddings (n, d) if the model gives any, else their scores (n,) with
    the other face as it is.

    Args:
        forward_func: A model with `embed_images` or `embed`, or a function (img_a, img_b) -> (n,).
        faces: A and B, each (C, H, W).
        fill, noise: What covers the faces, as `fill_pixels` takes them; or an image (C, H, W).
        count: Images that go through the model at once; no more than these are ever made.
        on_images: Told how many went through.
        decision: About the pair, if its alternatives are the fill.
        other: Whom the partners are compared with, (1, d), as `partner_vectors` takes it.
    """

    forward_func: Any
    faces: Pair
    fill: PatchFill | float | Tensor
    noise: Tensor | None
    count: int
    on_images: Callable[[int], object]
    decision: Decision | None = None
    other: Tensor | None = None

    @cached_property
    def clean(self) -> Tensor:
        """The pair as it is: embeddings of both (2, d), or its score (1,)."""
        embeds = gives_embeddings(self.forward_func)
        return self._look(torch.stack(self.faces) if embeds else self.faces[0][None], 0)

    @cached_property
    def partners(self) -> Tensor:
        """What the embeddings of A and of B are compared with, (2, d)."""
        return partner_vectors(self.clean[None], self.other)[0]

    @cached_property
    def _alternatives(self) -> Tensor:
        """What A and B would be if the other decision were right, (2, C, H, W)."""
        assert self.decision is not None
        embeds = gives_embeddings(self.forward_func)
        scores = cosine(self.clean, self.partners) if embeds else self.clean
        return self.decision.alternatives(torch.stack(self.faces), scores)

    def covered(self, side: int, grid: PatchGrid) -> Tensor:
        """One of the faces with each patch covered: embeddings (n, d), or scores (n,)."""
        face, partner = self.faces[side], self.faces[1 - side]
        if self.decision is not None:
            fill = self._alternatives[side]
        elif isinstance(self.fill, Tensor):
            fill = self.fill
        else:
            fill = fill_pixels(self.fill, face, partner, grid.size, self.noise)
        covered = grid.cover(face, fill, self.count)
        return torch.cat([self._look(images, side) for images in covered])

    def falls(
        self, variant: Variant, side: int, seen: dict[int, Tensor], remove_offset: bool
    ) -> Tensor:
        """How far the score falls with each patch of one side, a_k - d0, (n,).

        Args:
            variant, remove_offset: As `OcclusionPairAttribution` takes them.
            side: Whose map.
            seen: The sides that are covered, as `covered` gives them.
        """
        covered = seen[side]
        if not gives_embeddings(self.forward_func):
            return self.clean - covered
        own, partner = self.clean[side], self.partners[side]
        if variant == 2:
            return own @ partner - covered @ partner
        if variant == 3:
            return own @ partner - cosine(covered, seen[1 - side])
        # A cosine is linear in the partner, so its mean over B's n patches is one product with the
        # mean of their embeddings: n products in place of n^2.
        partners = seen[1 - side].mean(0)
        return own @ (partners if remove_offset else partner) - covered @ partners

    def _look(self, images: Tensor, side: int) -> Tensor:
        if gives_embeddings(self.forward_func):
            seen = embed_images(self.forward_func, images)
        else:
            partner = self.faces[1 - side].expand_as(images)
            pair = (images, partner) if side == 0 else (partner, images)
            scores = score_pairs(self.forward_func, pair)
            # Half precision would lose what a small patch changes.
            seen = scores.float() if scores.itemsize < 4 else scores
        self.on_images(len(images))
        return seen
