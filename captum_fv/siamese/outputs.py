"""What a backbone returned: the embeddings or the grid in it, checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from captum_fv.core.checks import check_values, describe
from captum_fv.siamese.backbone import ONE_AT_A_TIME

EmbeddingPart = int | str | Callable[[Any], Tensor] | None
"""Where the embedding is in what a backbone returns."""


def embeddings_in(out: Any, part: EmbeddingPart, count: int) -> Tensor:
    """The embeddings (N, d) of so many images in what the backbone returned.

    Raises:
        TypeError: They are not there, or no tensor of floating point numbers.
        ValueError: A tensor of another shape, or one that is not finite.
    """
    embeddings = out
    if callable(part):
        embeddings = part(out)
    elif part is not None:
        try:
            embeddings = out[part]
        except (IndexError, KeyError, TypeError) as error:
            raise TypeError(
                f"output: got {part!r}, but the backbone returned {describe(out)}"
            ) from error
    if not isinstance(embeddings, Tensor):
        raise TypeError(
            f"the backbone returned {describe(embeddings)}; say which part is the embedding, as in "
            f"SiameseCosine(backbone, output={_likely_part(embeddings, count)})"
        )
    if embeddings.ndim == 2 and 1 == len(embeddings) < count:
        raise ValueError(
            f"the backbone gave one row for {count} images, {tuple(embeddings.shape)}: "
            f"{ONE_AT_A_TIME}"
        )
    if embeddings.ndim == 2 and embeddings.shape[1] == 1:
        raise ValueError(
            "the backbone gave one number for each image, whose cosine is its sign; want "
            "embeddings (N, d): this looks like a score or a quality, so pick another part with "
            "output="
        )
    if embeddings.ndim != 2 or len(embeddings) != count or not embeddings.shape[1]:
        raise ValueError(
            f"the backbone gave {tuple(embeddings.shape)} for {count} images; want embeddings "
            "(N, d): pick or flatten them with output=, as in output=lambda out: out.flatten(1)"
        )
    check_values("the backbone's embedding", embeddings)
    return embeddings


def grid_in(out: Any, count: int) -> Tensor:
    """The grid (N, c, h, w) of so many images that the backbone's features returned.

    Raises:
        TypeError: Numbers that are not floating point.
        ValueError: No such tensor, or one that is not finite.
    """
    if not (isinstance(out, Tensor) and out.ndim == 4 and len(out) == count and out.numel()):
        raise ValueError(
            f"the backbone's features gave {describe(out)} for {count} images; want a grid "
            "(N, c, h, w)"
        )
    check_values("the backbone's grid", out)
    return out


def _likely_part(out: Any, count: int) -> str:
    """How to write the part of what came that is most like embeddings of so many images."""
    if not isinstance(out, Mapping | tuple | list):
        return "lambda out: ..."
    parts = dict(out if isinstance(out, Mapping) else enumerate(out))
    tensors = [key for key, value in parts.items() if isinstance(value, Tensor)]
    rows = [key for key in tensors if parts[key].ndim == 2 and len(parts[key]) == count]
    return repr(next(iter(rows + tensors + list(parts)), 0))
