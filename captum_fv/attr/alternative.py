"""The alternative to a decision, as an image: somebody else after a match, else the partner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from captum_fv.attr.pair import Pair, PairMethod, as_threshold
from captum_fv.attr.smoothing import smooth
from captum_fv.core.checks import check_values

STAND_IN_BLUR = 16 / 112
"""Standard deviation, as a share of the height, of the blur in which nobody is recognised."""


@dataclass(frozen=True, eq=False)
class Alternative:
    r"""What an image would be if the other decision had been right.

    A map explains a decision, so it is asked against the other decision, not against no face at
    all. After a match that is *somebody else*: a reference face, the mean of many people's aligned
    faces. After a non-match it is *the same person*: the partner, in this image's place.

    .. math:: alt(A) = m \text{ if } s(A, B) \ge th, \qquad alt(A) = B \text{ otherwise}

    Args:
        reference: m, as the images are, (C, H, W) or (1 or N, C, H, W); `reference_face` makes one
            of aligned photos. None: the image itself under a blur of a seventh of its height, which
            shows a face and nobody's. On real faces it serves nearly as well
            (`benchmarks/iag/OWN_METHOD.md`).

    >>> images, partners = torch.zeros(2, 3, 4, 4), torch.ones(2, 3, 4, 4)
    >>> somebody = torch.full((3, 4, 4), 0.5)
    >>> match = torch.tensor([True, False])
    >>> Alternative(somebody).images(images, partners, match)[:, 0, 0, 0].tolist()
    [0.5, 1.0]
    """

    reference: Tensor | None = None

    def images(
        self, images: Tensor, partners: Tensor, match: Tensor, reference: Tensor | None = None
    ) -> Tensor:
        """The alternative to each of the images, (N, C, H, W).

        Args:
            images, partners: The images and those that they are compared with, (N, C, H, W).
            match: The decision on each pair, (N,) bool.
            reference: For this call, in place of the constructor's.

        Raises:
            TypeError: A reference that is no tensor of floating point.
            ValueError: A reference that does not fit the images, or with NaN.
        """
        somebody = fit_reference(self.reference if reference is None else reference, images)
        if somebody is None:
            somebody = smooth(images, STAND_IN_BLUR * images.shape[-2])
        return torch.where(match.reshape(-1, 1, 1, 1), somebody, partners)


@dataclass(frozen=True, eq=False)
class Decision:
    """What decides about one pair, and who somebody else is.

    Args:
        threshold: A number, ().
        reference: Somebody else's face, (C, H, W), as `Alternative` takes it.
    """

    threshold: Tensor
    reference: Tensor | None

    def alternatives(self, faces: Tensor, scores: Tensor) -> Tensor:
        """The alternatives to A and B, (2, C, H, W).

        Args:
            faces: A and B.
            scores: Their score, (1,); or what is decided on for either, (2,).
        """
        match = (scores >= self.threshold).expand(2)
        return Alternative(self.reference).images(faces, faces.flip(0), match)


class AlternativeFill(PairMethod):
    """A method that hides parts of a face, and may show the alternative there.

    Its constructor calls `_take_fill`, and its `attribute` asks `_decisions`.
    """

    reference: Tensor | None

    def _take_fill(
        self, alternative: bool, threshold: float | Tensor | None, reference: Tensor | None
    ) -> None:
        """The decision is asked for where the fill is the alternative, and only there.

        Raises:
            ValueError: No threshold.
        """
        self.reference = reference
        if not alternative:
            return
        if threshold is None:
            raise ValueError(
                "fill='alternative': it depends on the decision; give the threshold too, as in "
                "threshold=0.3"
            )
        self.threshold = threshold
        self.options = self.options | {"reference"}

    def _decisions(self, pair: Pair, level: Any, reference: Tensor | None) -> list[Decision | None]:
        """For each pair its decision, or None if the fill is another.

        Args:
            pair, level: As `_checked` gives them.
            reference: Of the call, in place of the constructor's.
        """
        somebody = fit_reference(self.reference if reference is None else reference, pair[0])
        if not hasattr(self, "threshold"):  # which is asked for with the alternative alone
            return [None] * len(pair[0])
        values = pair[0][:, 0, 0, 0]
        # A threshold is often an observed score, and half precision would round it.
        levels = as_threshold(level, values.float() if values.itemsize < 4 else values)
        faces = [None] * len(levels) if somebody is None else somebody
        return [Decision(one, face) for one, face in zip(levels, faces, strict=True)]


def fit_reference(reference: Tensor | None, images: Tensor) -> Tensor | None:
    """A reference face for each of the images, (N, C, H, W); None if there is none.

    Raises:
        TypeError: No tensor of floating point.
        ValueError: Another shape, or NaN.
    """
    if reference is None:
        return None
    if not isinstance(reference, Tensor):
        raise TypeError(
            f"reference: got {type(reference).__name__}; want a tensor (C, H, W), as "
            "reference_face(pairs) gives"
        )
    check_values("reference", reference)
    shapes = (images.shape[1:], (1, *images.shape[1:]), images.shape)
    if tuple(reference.shape) not in [tuple(shape) for shape in shapes]:
        raise ValueError(
            f"reference: got {tuple(reference.shape)} for images {tuple(images.shape)}; want one "
            "face as large as they are, or one for each"
        )
    return reference.detach().to(images).expand_as(images)
