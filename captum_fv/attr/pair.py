"""The contract of all methods for a pair of faces, and the checks of what comes in."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

import torch
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.contrast import as_others
from captum_fv.core.checks import check_images, check_values
from captum_fv.core.waiting import look, sent, step, waits
from captum_fv.siamese.model import SiameseCosine
from captum_fv.siamese.scoring import ask_scores

Pair = tuple[Tensor, Tensor]
Explain = Literal["both", "a", "b"]

SIDES: dict[str, tuple[int, ...]] = {"both": (0, 1), "a": (0,), "b": (1,)}
"""Whose maps are asked for -> the numbers of the images."""


class PairMethod:
    """A method for pairs of faces, beside the class of Captum that it also derives from.

    `class Mine(PairMethod, GradientAttribution)` writes `_maps`; its constructor sets
    `self.threshold` if it asks for the decision. One whose `attribute` takes more than this one
    writes `attribute` itself, over `_checked` or `as_pair`, and has no `_maps`.

    Args:
        forward_func: (img_a, img_b, ...) -> scores (N,); a SiameseCosine if the method reads
            embeddings.

    Raises:
        TypeError: The method reads embeddings, and the model has no `.embed`.
    """

    reads_embeddings: bool = False
    """Whether the model must give embeddings; additional_forward_args are refused then."""

    options: frozenset[str] = frozenset()
    """Which of these `attribute` takes besides: "patch_mask" (where image A was patched),
    "reference" (somebody else's face, as `Alternative` takes it), "explain" ("a", where nobody asks
    for the map of B), "show_progress", "scores" (of the pairs, where they are known), and "against"
    (why B and not C), with which `_maps` is called with one argument more, others (N, d) as
    `partner_vectors` takes them."""

    cells: tuple[int, int] | None = None
    """Rows and columns of the cells that a map is constant on, by which DPR replaces; else None."""

    blurred: bool = False
    """Whether maps come smooth, so that pictures show them as they are."""

    generator: torch.Generator | None = None
    """Where random numbers come from; a benchmark seeds it for each pair."""

    forward_func: Any
    threshold: float | Tensor | None
    """A score, or a (N,) tensor with one for each pair; unset in methods without use for it."""

    def __init__(self, forward_func: Any) -> None:
        if self.reads_embeddings:
            require_embed(type(self).__name__, forward_func)
        super().__init__(forward_func)  # type: ignore[call-arg]  # of Captum

    # Captum's NoiseTunnel calls attribute.__wrapped__, which this decorator leaves.
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
        against: Tensor | None = None,
    ) -> Pair:
        """Explain a batch of pairs.

        Args:
            inputs: Images A, (N, C, H, W), or the tuple (images A, images B).
            img_b: Images B, (N, C, H, W), if not in the tuple.
            target: Captum's; a pair has one score and no classes, so leave it None.
            additional_forward_args: Captum's: what the forward function takes after the images.
                Leave it None where the method reads embeddings.
            threshold: For this call, in place of the constructor's.
            against: Embeddings of somebody else, C, of unit length: asks why B and not C, where the
                method answers that ("against" is in its `options`). (d,) of one person for all
                pairs, (N, d) of one for each pair, or (1 or N, n, d) of a cohort, whose mean is
                taken. The maps are those of s(A, B) - s(A, C) and of s(A, B) - s(B, C), positive
                where it speaks for B, or for A; both are decided at 0, and no threshold is asked.

        Returns:
            Maps of A and of B, each shaped like its image: positive supports "same person",
                negative "different". All channels of a pixel may hold the same value.

        Raises:
            TypeError: Not two tensors, a threshold that is no number or that nothing needs, or
                `against` to a method that has no answer to it.
            ValueError: Images that are no pair, a target, a threshold that is not finite or of
                another length than the batch, embeddings that do not fit, a model in training mode
                or with scores, embeddings or gradients that are not finite.
        """
        extra = additional_forward_args
        pair, threshold = self._checked(inputs, img_b, target, extra, threshold, against)
        if against is None:
            return self._maps(pair, threshold, extra)
        maps: Any = self._maps  # which takes one argument more in a method that answers
        return maps(pair, threshold, extra, as_others(against, len(pair[0])))  # type: ignore[no-any-return]

    def _maps(self, pair: Pair, threshold: Any, extra: Any) -> Pair:
        """Maps of A and of B.

        Args:
            pair: Images A and B, checked and detached.
            threshold: That of the call, else the constructor's; None if there is none.
            extra: The additional_forward_args, as `score_pairs` takes them.
        """
        raise NotImplementedError(f"{type(self).__name__} writes no _maps(pair, threshold, extra)")

    def _checked(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None,
        target: Any,
        additional_forward_args: Any,
        threshold: float | Tensor | None,
        against: Tensor | None = None,
    ) -> tuple[Pair, Any]:
        """The pair and its threshold, from the arguments of `attribute`."""
        pair = as_pair(inputs, img_b)
        asks_embeddings = self.reads_embeddings or against is not None
        refuse_extras(target, additional_forward_args if asks_embeddings else None)
        if against is not None:
            self._check_contrast(threshold)
            return pair, 0.0 if hasattr(self, "threshold") else None
        if hasattr(self, "threshold"):
            return pair, self.threshold if threshold is None else threshold
        if threshold is not None:
            raise TypeError(
                f"threshold: got {threshold!r}; {type(self).__name__} asks for no decision, so "
                "leave it out"
            )
        return pair, None

    def _check_contrast(self, threshold: float | Tensor | None) -> None:
        """Raise for what has no meaning where the partner is asked against somebody else."""
        name = type(self).__name__
        if "against" not in self.options:
            raise TypeError(
                f"against: {name} has no answer to why B and not C; take a method with 'against' "
                "in its options, as IntegratedArgumentGradient or CorrelationRiseAttribution"
            )
        require_embed(name, self.forward_func)
        if threshold is not None:
            raise ValueError(
                f"threshold: got {threshold} with against; s(A, B) - s(A, C) is decided at 0, so "
                "leave it out"
            )


def abilities(method: Any) -> PairMethod | type[PairMethod]:
    """What a method says of itself, and the defaults for one that does not derive from PairMethod.

    >>> from captum.attr import Saliency
    >>> abilities(Saliency(None)).cells, abilities(Saliency(None)).options
    (None, frozenset())
    """
    return method if isinstance(method, PairMethod) else PairMethod


def as_pair(inputs: Tensor | Pair, img_b: Tensor | None = None) -> Pair:
    """Both images of the pairs, checked, from `(img_a, img_b)` or one tuple of them.

    Returns:
        Two detached tensors, each (N, C, H, W), floating point and finite.

    Raises:
        TypeError: Not two tensors.
        ValueError: Tensors that are no images, or do not fit each other.
    """
    if isinstance(inputs, tuple | list) and img_b is None and len(inputs) == 2:
        img_a, img_b = inputs
    elif isinstance(inputs, tuple | list):
        raise TypeError(
            f"got a {type(inputs).__name__} of {len(inputs)}"
            + (" and img_b" if img_b is not None else "")
            + "; write .attribute(img_a, img_b) or .attribute((img_a, img_b))"
        )
    else:
        img_a = inputs
    if img_b is None:
        raise TypeError(
            "got one image; want two: write .attribute(img_a, img_b) or .attribute((img_a, img_b))"
        )
    check_images(
        ". To compare one photo with many, repeat it: img_a.expand_as(img_b). NoiseTunnel repeats "
        "only its first argument: write .attribute((img_a, img_b))",
        img_a=img_a,
        img_b=img_b,
    )
    return img_a.detach(), img_b.detach()


def as_threshold(threshold: float | Tensor, scores: Tensor) -> Tensor:
    """The decision threshold of each pair, (N,) like the scores, from one number or a (N,) tensor.

    Raises:
        TypeError: No number.
        ValueError: Not finite, or of another length than the batch.
    """
    try:
        if isinstance(threshold, Tensor):
            whole = not (threshold.is_complex() or threshold.is_floating_point())
            check_values("threshold", threshold.float() if whole else threshold)
        # Its type first: some devices have no double precision to take it in.
        values = torch.as_tensor(threshold, dtype=scores.dtype)
    except (TypeError, OverflowError, RuntimeError) as error:
        raise TypeError(f"threshold: got {threshold!r}; want a number or a tensor (N,)") from error
    if values.ndim > 1 or (values.ndim == 1 and len(values) != len(scores)):
        raise ValueError(
            f"threshold is {tuple(values.shape)} for {len(scores)} pairs; want a number or one "
            "for each pair. Under NoiseTunnel, repeat it: threshold.repeat_interleave(nt_samples), "
            "or by nt_samples_batch_size if that is given, one that nt_samples is a multiple of"
        )
    if not waits(values) and not all(map(math.isfinite, values.flatten().tolist())):
        raise ValueError(f"threshold: got {threshold}; want a finite number")
    return sent(values, scores.device).expand(len(scores))


def as_cosine_threshold(threshold: float | Tensor, values: Tensor) -> Tensor:
    """`as_threshold`, for methods that share the threshold out among arguments of a cosine.

    Raises:
        ValueError: Likewise, or a threshold that is no cosine.
    """
    level = as_threshold(threshold, values)

    def judge(levels: list[float]) -> None:
        # A threshold is often an observed score, and a computed cosine may pass 1 by rounding.
        if max(map(abs, levels)) > 1 + 1e-4:
            raise ValueError(f"threshold: got {levels}; want cosines, in [-1, 1]")

    look(level, judge)
    return level


def decision_sign(scores: Tensor, threshold: float | Tensor) -> Tensor:
    """+1 where a pair matches (score >= threshold) and -1 where it does not, (N, 1, 1, 1)."""
    match = scores >= as_threshold(threshold, scores)
    return (match.to(scores.dtype) * 2 - 1).reshape(-1, 1, 1, 1)


def score_pairs(forward_func: Any, pair: Pair, additional_forward_args: Any = None) -> Tensor:
    """Scores (N,) of a forward function (img_a, img_b, ...) -> (N,).

    Raises:
        ValueError: It gave something else, or a score that is not finite.
    """
    extra = additional_forward_args
    extra = () if extra is None else extra if isinstance(extra, tuple) else (extra,)
    if extra and hasattr(forward_func, "embed"):
        refuse_extras(None, extra)
    return ask_scores(forward_func, *pair, *extra)


def refuse_extras(target: Any, additional_forward_args: Any = None) -> None:
    """Raise a ValueError for arguments of Captum that have no meaning for a pair."""
    if target is not None:
        raise ValueError(
            f"target: got {target}; a pair has one score and no classes, so leave target=None"
        )
    if additional_forward_args is not None:
        raise ValueError("additional_forward_args: SiameseCosine takes two images and no more")


def require_embed(method: str, siamese: Any) -> SiameseCosine:
    """The model itself if it gives embeddings; else a TypeError that says what to write."""
    if not callable(getattr(siamese, "embed", None)):
        raise TypeError(
            f"{method} reads the embeddings of both images, which {type(siamese).__name__} does "
            f"not give; write {method}(SiameseCosine(backbone), ...)"
        )
    return siamese  # type: ignore[no-any-return]


def zeros_at_maximum(pair: Pair, maps: Pair) -> Pair:
    """Maps of the cosine's gradient, zero for pairs of one photo with itself, and a warning.

    Their cosine is at its maximum, where its gradient is zero: what is computed is rounding, a
    million times weaker than a map. One grey level in one pixel makes a gradient above it.
    """
    img_a, img_b = (image.flatten(1) for image in pair)
    same = (img_a - img_b).abs().amax(1) <= 1e-6 * img_a.abs().amax(1)
    if not waits(same) and not same.any():
        return maps

    def warn(counted: list[float]) -> None:
        if counted[0]:
            warnings.warn(
                f"images A and B are the same photo in {counted[0]:.0f} of {len(same)} pairs. The "
                "score is at its maximum there: gradients say nothing, and the maps are zero. "
                "Occlusion does say something, as OcclusionPairAttribution (xface1)",
                stacklevel=6,
            )

    look(same.sum()[None], warn)
    map_a, map_b = (mapped.masked_fill(same.reshape(-1, 1, 1, 1), 0) for mapped in maps)
    return map_a, map_b


@contextmanager
def input_gradients(pair: Pair) -> Iterator[Pair]:
    """Fresh leaves of both images with gradients on, whatever mode the caller is in."""
    with torch.inference_mode(False), torch.enable_grad():
        img_a, img_b = (image.clone().requires_grad_() for image in pair)
        yield img_a, img_b
