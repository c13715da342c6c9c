"""Integrated arguments: what each pixel adds to the score on the way from the alternative."""

from __future__ import annotations

from typing import Any, Literal, get_args

import numpy as np
import torch
from captum.attr import GradientAttribution
from captum.log import log_usage
from torch import Tensor, nn

from captum_fv.attr.agreement import embed_and_compare
from captum_fv.attr.alternative import Alternative, fit_reference
from captum_fv.attr.contrast import as_others, partner_vectors
from captum_fv.attr.pair import Pair, PairMethod, as_threshold, decision_sign
from captum_fv.attr.smoothing import smooth
from captum_fv.core.checks import as_number, check_choice, check_counts, check_values
from captum_fv.core.vectors import cosine
from captum_fv.core.waiting import sent, step
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.model import SiameseCosine
from captum_fv.siamese.scoring import (
    check_gradients,
    check_maps,
    embed_images,
    image_gradients,
    replayed,
)

Reading = Literal["decision", "polarity", "relevance"]
ArgumentSet = Literal["all", "similar", "dissimilar"]

SOFTENING = 3 / 112
"""Standard deviation of the blur of an alternative that is mixed with A's, as a share."""


class IntegratedArgumentGradient(PairMethod, GradientAttribution):  # type: ignore[misc]
    r"""Integrates the arguments of the score along a path from the alternative to the image.

    The path begins at :math:`\mu = (1 - \lambda) G[A] + \lambda \, alt(A)`, a blur of A mixed with
    what A would be if the other decision were right (`Alternative`: somebody else after a match,
    the partner after a non-match), and ends at A. With :math:`x(t) = \mu + t (A - \mu)` and unit
    embeddings u of x(t) and v of B, the arguments are :math:`a_n = u_n v_n`. What pixel p adds to
    them is

    .. math:: c_p = \sum_{channels} (A - \mu)_p \int_0^1
                    \frac{\partial}{\partial x_p} \sum_n u_n(x(t)) \, v_n \, dt,
              \qquad \sum_p c_p = s(A, B) - s(\mu, B)

    (completeness: the map adds up to the difference to the alternative, and the convergence delta
    is what the integral's few steps miss of it). Single pixels say little: neighbours of opposite
    sign cancel. So a Gaussian as wide as the grain first gathers what a place says,
    :math:`e = G[c]`, and a wider one, K, makes three maps of it, each the answer to its own
    question:

    - "polarity", :math:`K[e]`: what is similar (positive), what dissimilar (negative)? It is
      complete, as c is. Its path begins at the alternative itself.
    - "relevance", :math:`K[|e|]`: what matters to the score, for or against? Never negative.
    - "decision", :math:`\pm K[|e|] + K[e]` with the sign of s - th: what carries the decision that
      was taken? It is twice the smoothed e that speaks for the decision: positive after a match,
      negative after a non-match. What speaks against it is 0, so it is the order in which
      decision-based patch replacement should repair an image.

    Asked `against` somebody else's embedding :math:`v_C`, all of this holds with
    :math:`v_B - v_C` in place of v, so for s(A, B) - s(A, C), decided at 0 in place of th: why B
    and not C? The decision is then which of the two A is more like (positive: B), and the
    alternative to "C" is B. The polarity of all arguments is linear in the partner: with one start,
    it is that of B less that of C.

    The map of B is the same with the roles swapped. Costs, for an image, one forward and for each
    step one forward and one backward to the image: 10 forwards with 3 steps, if a backward costs
    two; a convergence delta costs one more. `steps=1` takes 4 forwards: a tenth worse.

    Args:
        siamese: Gives the embeddings of both images.
        threshold: The decision threshold: a cosine, or a (N,) tensor with one for each pair.
        output: "decision" (default), "polarity" or "relevance".
        arguments: "all" (default), or at each point of the path only those "similar",
            :math:`a_n \ge th/d`, or "dissimilar", the rest (eqs 5-6 of xSSAB); both c add up to
            that of all.
        steps: Points on the path, by Gauss-Legendre quadrature.
        alternative: :math:`\lambda`, which part of the start is the alternative, from 0 (against a
            blurred face) to 1. None: 0.4, and 1 for the polarity. In a mixture the alternative is
            blurred by 3 pixels of 112.
        reference: Somebody else's face, as `Alternative` takes it.
        blur: Standard deviation of the blur of A in the start, as a share of the height.
        partner: Which part of that blurred face is B's, from 0 to 1.
        grain: Standard deviation of G, as a share of the height; 0: none. None: 1/112, and 0 for
            the polarity.
        smoothing: Standard deviation of K, as a share of the height. None: 3/112, and 5/112 for the
            polarity.
        agreement: Multiplies the decision map by how alike each place is (how unlike, after a
            non-match), as `LocalAgreement` sees it, scaled to [0, 1] and to this power. It finds
            patches better, but repairs no better where they are no exact copies: 0 by default.
        layer: Of the agreement, as `LocalAgreement` takes it.
        batch_size: Images in a forward, which bounds the memory. None: 16, and on CUDA
            what a trial finds to be fastest.

    Raises:
        TypeError: The model has no `.embed`.
        ValueError: An unknown output or set of arguments, a number out of range, images that are no
            pair, a reference that does not fit them.

    Reference:
        Arguments: Huber et al., WACV 2024. Path integrals: Sundararajan et al., Axiomatic
            Attribution for Deep Networks, ICML 2017.

    >>> backbone = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 4)).eval()
    >>> method = IntegratedArgumentGradient(SiameseCosine(backbone), threshold=0.3)
    >>> img_a, img_b = torch.rand(2, 5, 3, 2, 2)
    >>> map_a, map_b = method.attribute((img_a, img_b))
    >>> map_a.shape
    torch.Size([5, 3, 2, 2])
    """

    reads_embeddings = True
    options = frozenset({"reference", "against"})

    def __init__(
        self,
        siamese: SiameseCosine,
        threshold: float | Tensor,
        output: Reading = "decision",
        *,
        arguments: ArgumentSet = "all",
        steps: int = 3,
        alternative: float | None = None,
        reference: Tensor | None = None,
        blur: float = 6 / 112,
        partner: float = 0.0,
        grain: float | None = None,
        smoothing: float | None = None,
        agreement: float = 0.0,
        layer: nn.Module | str | None = None,
        batch_size: int | None = None,
    ) -> None:
        super().__init__(siamese)
        check_choice("output", output, get_args(Reading))
        check_choice("arguments", arguments, get_args(ArgumentSet))
        check_counts(steps=steps)
        if batch_size is not None:
            check_counts(batch_size=batch_size)
        signed = output == "polarity"
        self.threshold = threshold
        self.output = output
        self.arguments = arguments
        self.steps = int(steps)
        self.alternative = _share("alternative", alternative, 1.0 if signed else 0.4)
        self.reference = reference
        self.blur = _width("blur", blur)
        self.partner = _share("partner", partner)
        self.grain = _share("grain", grain, 0.0 if signed else 1 / 112)
        self.smoothing = _width("smoothing", smoothing, 5 / 112 if signed else 3 / 112)
        self.agreement = as_number("agreement", agreement)
        if self.agreement < 0 or (self.agreement and output != "decision"):
            raise ValueError(
                f"agreement: got {agreement} for output {output!r}; want a power of 0 or more, of "
                "the decision map"
            )
        if self.agreement:
            self.options = self.options - {"against"}
        self.layer = layer
        self.batch_size = batch_size

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    @step()
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
        threshold: float | Tensor | None = None,
        reference: Tensor | None = None,
        against: Tensor | None = None,
        return_convergence_delta: bool = False,
    ) -> Any:
        """Explain a batch of pairs; all else as in `PairMethod.attribute`.

        Args:
            inputs, img_b, target, additional_forward_args, threshold, against: As there.
            reference: For this call, in place of the constructor's.
            return_convergence_delta: Also return how much the integral is wrong.

        Returns:
            Maps of A and of B, each shaped like its image; all channels of a pixel hold an equal
                part of its value. With `return_convergence_delta`, the tuple (maps, delta): the sum
                of c minus the difference of the scores, (N, 2), for A and for B.
        """
        pair, level = self._checked(
            inputs, img_b, target, additional_forward_args, threshold, against
        )
        others = None if against is None else as_others(against, len(pair[0]))
        with torch.inference_mode(False):
            images = torch.stack(pair, 1).flatten(0, 1)
            embeddings, alike = self._embed_and_compare(images)
            partners = partner_vectors(_pairwise(embeddings), others).flatten(0, 1)
            scores = cosine(embeddings, partners)
            levels = as_threshold(level, scores[::2]).repeat_interleave(2)
            reference = self.reference if reference is None else reference
            start = self._start(images, scores >= levels, fit_reference(reference, pair[0]))
            added = self._integrate(images, start, partners, levels)
            check_maps(_pairwise(added))
            sign = decision_sign(scores, levels).to(added)
            values = self._output(added, sign)
            if alike is not None:
                values = values * _scaled(alike, sign) ** self.agreement
            maps = _pairwise((values / images.shape[1]).expand_as(images))
            map_a, map_b = (maps[:, side].clone() for side in (0, 1))
            if not return_convergence_delta:
                return map_a, map_b
            wanted = scores - cosine(self._embed(start), partners)
            delta = added.sum((1, 2, 3)).to(wanted) - wanted
        return (map_a, map_b), _pairwise(delta)

    def _check_contrast(self, threshold: float | Tensor | None) -> None:
        if self.agreement:
            raise ValueError(
                "against: the agreement compares the photos of A and B, and knows no other; take "
                "agreement=0"
            )
        super()._check_contrast(threshold)

    def has_convergence_delta(self) -> bool:
        """True: `attribute` takes `return_convergence_delta`."""
        return True

    def _start(self, images: Tensor, match: Tensor, reference: Tensor | None) -> Tensor:
        """Where the paths of interleaved images begin."""
        height = images.shape[-2]
        if reference is not None:
            reference = reference.repeat_interleave(2, 0)  # one for each pair, for A and for B
        swapped = _pairwise(images).flip(1).flatten(0, 1)
        other = Alternative(reference).images(images, swapped, match)
        if self.alternative == 1:
            return other
        # Sharp pieces of two faces laid over each other would be edges that neither has.
        blurred = smooth(images, self.blur * height)
        others = _pairwise(blurred).flip(1).flatten(0, 1)
        face = (1 - self.partner) * blurred + self.partner * others
        softened = smooth(other, SOFTENING * height)
        return (1 - self.alternative) * face + self.alternative * softened

    @torch.no_grad()
    def _embed_and_compare(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Embeddings, and for the agreement how alike each place is, for A and for B."""
        if not self.agreement:
            return self._embed(images), None
        # Pairs stay whole: an even number of interleaved images.
        chunks = torch.split(images, 2 * max(1, self._at_once(images) // 2))
        parts = [embed_and_compare(self.forward_func, chunk, self.layer) for chunk in chunks]
        embeddings, alike = (torch.cat(values) for values in zip(*parts, strict=True))
        return embeddings, alike.repeat_interleave(2, 0)

    def _at_once(self, images: Tensor) -> int:
        return images_at_once(self.forward_func, images, gradients=True, batch_size=self.batch_size)

    @torch.no_grad()
    def _embed(self, images: Tensor) -> Tensor:
        def embed(chunk: Tensor) -> tuple[Tensor]:
            return (embed_images(self.forward_func, chunk),)

        chunks = torch.split(images, self._at_once(images))
        found = [replayed(self.forward_func, "embeddings", embed, chunk)[0] for chunk in chunks]
        embeddings = torch.cat(found)
        check_values("embeddings", embeddings)
        return embeddings

    def _integrate(self, images: Tensor, start: Tensor, partners: Tensor, levels: Tensor) -> Tensor:
        """What each pixel adds to the arguments along the path, (M, 1, H, W) for M images."""
        # n points of Gauss-Legendre are exact for polynomials up to degree 2n - 1, so a smooth path
        # needs few. They are for [-1, 1]: the path from 0 to 1 has half the length.
        nodes, weights = np.polynomial.legendre.leggauss(self.steps)
        on_path = torch.from_numpy(np.stack([(nodes + 1) / 2, weights / 2]))
        shares, weight = sent(on_path.to(images.dtype), images.device).reshape(2, -1, 1, 1, 1)
        kind = f"{type(self).__name__} {self.arguments}"

        def gradients_at(*of: Tensor) -> tuple[Tensor]:
            return (self._argument_gradients(*of),)

        added = []
        at_once = max(1, self._at_once(images) // self.steps)
        for first in range(0, len(images), at_once):
            rows = slice(first, first + at_once)
            change = (images[rows] - start[rows])[:, None]
            points = start[rows, None] + shares * change
            of = points, partners[rows], levels[rows]
            (gradients,) = replayed(self.forward_func, kind, gradients_at, *of)
            check_gradients(gradients)
            added.append((change * (weight * gradients).sum(1, keepdim=True)).sum(2))
        return torch.cat(added)

    @torch.enable_grad()
    def _argument_gradients(self, points: Tensor, partners: Tensor, levels: Tensor) -> Tensor:
        """Gradients of the sum of the chosen arguments at points (M, steps, C, H, W)."""
        leaves = points.flatten(0, 1).clone().requires_grad_()
        embeddings = embed_images(self.forward_func, leaves)
        arguments = embeddings.reshape(*points.shape[:2], -1) * partners[:, None]
        if self.arguments != "all":
            similar = arguments.detach() >= (levels / partners.shape[1])[:, None, None]
            arguments = arguments * (similar if self.arguments == "similar" else ~similar)
        (gradients,) = image_gradients(arguments, (leaves,), look=False)
        return gradients.view_as(points)

    def _output(self, added: Tensor, sign: Tensor) -> Tensor:
        height = added.shape[-2]
        evidence = smooth(added, self.grain * height) if self.grain else added
        if self.output == "relevance":
            evidence = evidence.abs()
        elif self.output == "decision":
            # +-|e| + e: 2e where it speaks for the decision, else 0.
            evidence = 2 * sign * (sign * evidence).clamp(min=0)
        return smooth(evidence, self.smoothing * height)


def _scaled(alike: Tensor, sign: Tensor) -> Tensor:
    """How much each place is like the decision, from 0 to 1 in each image."""
    low, high = alike.amin((1, 2, 3), keepdim=True), alike.amax((1, 2, 3), keepdim=True)
    share = ((alike - low) / (high - low).clamp(min=1e-12)).to(sign)
    return torch.where(sign > 0, share, 1 - share)


def _share(name: str, value: float | None, default: float = 0.0) -> float:
    number = default if value is None else as_number(name, value)
    if not 0 <= number <= 1:
        raise ValueError(f"{name}: got {value}; want a share from 0 to 1")
    return number


def _width(name: str, value: float | None, default: float = 0.0) -> float:
    number = default if value is None else as_number(name, value)
    if not 0 < number <= 1:
        raise ValueError(f"{name}: got {value}; want a share of the height, above 0 and up to 1")
    return number


def _pairwise(rows: Tensor) -> Tensor:
    """Interleaved rows (a0, b0, a1, b1, ...) as (N, 2, ...)."""
    return rows.reshape(-1, 2, *rows.shape[1:])
