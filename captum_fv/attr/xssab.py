"""xSSAB: the gradients of the arguments for and against a match."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from captum.attr import GradientAttribution
from torch import Tensor

from captum_fv.attr.contrast import partner_vectors
from captum_fv.attr.pair import (
    Pair,
    PairMethod,
    as_cosine_threshold,
    zeros_at_maximum,
)
from captum_fv.core.checks import check_choice
from captum_fv.siamese.model import SiameseCosine
from captum_fv.siamese.scoring import (
    check_maps,
    embed_pairs,
    image_gradients,
    replayed,
)

Polarity = Literal["both", "similarity", "dissimilarity"]


class SimilarityArgumentGradient(PairMethod, GradientAttribution):  # type: ignore[misc]
    r"""xSSAB: backpropagates the arguments of the score that speak for and against a match.

    With unit embeddings u of A and v of B, the arguments are :math:`a_n = u_n v_n`, whose sum is
    the cosine. They are split at the threshold: :math:`a_+ = \{n : a_n \ge th/d\}`, :math:`a_-` the
    rest (eqs 5-6). The partner's embedding, kept where the argument is in the set, is the constant
    weight w of the cosine layer (eqs 7-8), and

    .. math:: map = |\partial \langle u, w_+ \rangle / \partial A|
                  - |\partial \langle u, w_- \rangle / \partial A|

    (eqs 9-12). Its mean over the channels is the paper's map; the paper's pictures blur that 5x5.
    Of one photo with itself the maps are zero, with a warning: the score is at its maximum.
    Costs one forward over both images and two backwards to the images (one for a single polarity).

    Args:
        siamese: Gives the embeddings of both images.
        threshold: The decision threshold: a cosine, or a (N,) tensor with one for each pair.
        polarity: "both" (default), or only "similarity" (the first term) or "dissimilarity" (the
            second).

    Raises:
        TypeError: The model has no `.embed`.
        ValueError: An unknown polarity, a threshold outside [-1, 1], images that are no pair.

    Reference:
        Huber, Luu, Terhörst, Damer: Efficient Explainable Face Verification based on Similarity
            Score Argument Backpropagation, WACV 2024.

    >>> import torch
    >>> backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4)).eval()
    >>> xssab = SimilarityArgumentGradient(SiameseCosine(backbone), threshold=0.3)
    >>> img_a, img_b = torch.rand(2, 5, 3, 2, 2)
    >>> map_a, map_b = xssab.attribute(img_a, img_b)
    >>> map_a.shape
    torch.Size([5, 3, 2, 2])
    """

    reads_embeddings = True
    options = frozenset({"against"})

    def __init__(
        self,
        siamese: SiameseCosine,
        threshold: float | Tensor,
        polarity: Polarity = "both",
    ) -> None:
        super().__init__(siamese)
        check_choice("polarity", polarity, get_args(Polarity))
        self.threshold = threshold
        self.polarity = polarity

    def _maps(
        self, pair: Pair, threshold: float | Tensor, extra: None, others: Tensor | None = None
    ) -> Pair:
        sets = {"similarity": (True,), "dissimilarity": (False,)}.get(self.polarity, (True, False))
        terms: Sequence[Tensor]
        try:
            terms = self._terms(pair, threshold, others, sets)
        except RuntimeError as error:
            if "donated buffer" not in str(error):
                raise
            # What torch.compile made gives a forward's memory away in its first backward.
            terms = [term for one in sets for term in self._terms(pair, threshold, others, (one,))]
        maps = terms[0] - terms[1] if len(terms) == 2 else terms[0]
        check_maps(maps)
        map_a, map_b = (side.clone() for side in maps.unbind(1))
        if len(terms) == 1 or others is not None:
            return map_a, map_b
        return zeros_at_maximum(pair, (map_a, map_b))

    def _terms(
        self,
        pair: Pair,
        threshold: float | Tensor,
        others: Tensor | None,
        sets: tuple[bool, ...],
    ) -> Sequence[Tensor]:
        """Gradients of the arguments for (True) or against (False) a match, (N, 2, C, H, W) each.

        Not looked at yet.
        """
        wide = torch.promote_types(pair[0].dtype, torch.float32)  # as embeddings come
        level = as_cosine_threshold(threshold, pair[0][:, 0, 0, 0].to(wide))

        def gradients(img_a: Tensor, img_b: Tensor, level: Tensor) -> tuple[Tensor, ...]:
            with torch.inference_mode(False), torch.enable_grad():
                leaf = torch.stack([img_a, img_b], 1).requires_grad_()
                embeddings = embed_pairs(self.forward_func, leaf)
                partners = partner_vectors(embeddings, others)
                arguments = embeddings.detach() * partners
                supports = arguments >= level[:, None, None] / arguments.shape[2]
                found: list[Tensor] = []
                for k, one in enumerate(sets, 1):
                    # The partner is a constant in each term, so each image gets the gradient of its
                    # own term, and one backward of the sum serves both.
                    weights = partners * (supports == one)
                    found += image_gradients(
                        embeddings, (leaf,), weights, retain_graph=k < len(sets), look=False
                    )
            return tuple(gradient.abs() for gradient in found)

        if others is not None:
            return gradients(*pair, level)
        return replayed(self.forward_func, f"xssab {sets}", gradients, *pair, level)
