"""Model randomisation: a map that outlives the model's weights does not explain the model."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from captum_fv.core.arrays import FloatArray
from captum_fv.core.checks import as_number, check_counts
from captum_fv.metrics.positions import as_images, position_values

Build = Callable[[Any], Any]
"""A model -> an attribution method for it, as the values of `METHODS` with a threshold bound."""
Model = TypeVar("Model", bound=nn.Module)


@dataclass(frozen=True)
class RandomisationResult:
    """Rank correlations of the maps of A with those of a model whose last weights are random.

    Args:
        shares: (S,) shares of the weight tensors that were random, counted from the last layer.
        signed: (S, N) Spearman correlation of the maps, in [-1, 1].
        absolute: (S, N) the same of the maps' absolute values.
    """

    shares: FloatArray
    signed: FloatArray
    absolute: FloatArray


def randomised_copy(model: Model, share: float = 1.0, seed: int = 0) -> Model:
    """A deep copy of a model whose last weights are shuffled; the model itself stays as it is.

    The values of each weight tensor change places among themselves, which destroys what was learnt
    and keeps the scale of every layer. Exported programs and TorchScript hold their weights as
    parameters too, unless they were frozen into constants.

    Args:
        model: Any module, as a SiameseCosine.
        share: Which share of the weight tensors, counted from the last, is shuffled, in (0, 1].
        seed: Of a private generator.

    Raises:
        ValueError: A share outside (0, 1], or a model without parameters.
    """
    if not isinstance(model, nn.Module):
        raise TypeError(f"model: got {type(model).__name__}; want an nn.Module, as a SiameseCosine")
    share = as_number("share", share)
    if not 0 < share <= 1:
        raise ValueError(f"share: got {share}; want a share above 0 and up to 1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, from an exported program
        twin = copy.deepcopy(model)
    weights = list(twin.parameters())
    if not weights:
        raise ValueError(
            f"model: {type(model).__name__} has no parameters to randomise; a frozen program holds "
            "its weights as constants, so load the model that it was made from"
        )
    generator = torch.Generator().manual_seed(seed)
    # Layers are registered from the image on, so the last tensors are those next to the embedding.
    with torch.no_grad():
        for weight in weights[-round(max(1, share * len(weights))) :]:
            order = torch.randperm(weight.numel(), generator=generator).to(weight.device)
            weight.copy_(weight.flatten()[order].view_as(weight))
    return twin


def model_randomisation(
    build: Build,
    model: nn.Module,
    pair: tuple[Tensor, Tensor],
    stages: int = 1,
    seed: int = 0,
) -> RandomisationResult:
    """Does the map change if the model forgets what it learnt?

    With one stage all weights are random at once; with more, the last layers are first, and each
    stage goes deeper (cascading randomisation). Correlations should fall towards 0, below 0.3.

    Args:
        build: A model -> the attribution method to test: lambda model: Method(model, threshold).
        model: What the method explains, as a SiameseCosine.
        pair: Images A and images B, each (N, C, H, W).
        stages: In how many stages the weights become random.
        seed: Of the randomisation.

    Raises:
        ValueError: No stages, a model without parameters, maps that do not fit their images.

    Reference:
        Adebayo, Gilmer, Muelly, Goodfellow, Hardt, Kim: Sanity Checks for Saliency Maps, NeurIPS
            2018.

    >>> from captum_fv import SiameseCosine, SimilarityArgumentGradient
    >>> siamese = SiameseCosine(nn.Sequential(nn.Flatten(), nn.Linear(300, 32)).eval())
    >>> pair = tuple(torch.rand(2, 5, 3, 10, 10))
    >>> result = model_randomisation(lambda m: SimilarityArgumentGradient(m, 0.3), siamese, pair)
    >>> bool(np.abs(result.absolute).mean() < 0.3)
    True
    """
    check_counts(stages=stages)
    pair = as_images(pair)
    before = map_values(build_method(build, model), pair)
    shares = np.arange(1, stages + 1) / stages
    after = [map_values(build(randomised_copy(model, share, seed)), pair) for share in shares]
    return RandomisationResult(
        shares,
        np.stack([rank_correlation(before, values) for values in after]),
        np.stack([rank_correlation(np.abs(before), np.abs(values)) for values in after]),
    )


def build_method(build: Build, model: Any) -> Any:
    """The attribution method for a model; a TypeError if it is none."""
    method = build(model) if callable(build) else None
    if not callable(getattr(method, "attribute", None)):
        came = f"one that gives {type(method).__name__}" if callable(build) else repr(build)
        raise TypeError(
            f"build: got {came}; want a function of a model that gives a method, as lambda model: "
            "SimilarityArgumentGradient(model, threshold=0.3)"
        )
    return method


def map_values(method: Any, pair: tuple[Tensor, Tensor]) -> FloatArray:
    """The map of A for each pair, channels averaged, (N, H*W)."""
    map_a = method.attribute(*pair)[0]
    values: FloatArray = position_values(map_a, pair[0]).flatten(1).numpy()
    return values


def rank_correlation(first: FloatArray, second: FloatArray) -> FloatArray:
    """Spearman's correlation of each row of (N, P) with its counterpart, (N,) in [-1, 1].

    A constant row has no order to share: it correlates 1 with itself and 0 with any other.

    >>> rank_correlation(np.array([[1.0, 2.0, 9.0]]), np.array([[0.1, 0.2, 0.3]]))
    array([1.])
    """
    from scipy.stats import rankdata

    # Spearman's is Pearson's correlation of the ranks, here less their mean.
    ranks = [rankdata(rows, axis=1) - (rows.shape[1] + 1) / 2 for rows in (first, second)]
    lengths = np.linalg.norm(ranks[0], axis=1) * np.linalg.norm(ranks[1], axis=1)
    constant = lengths == 0
    correlations = (ranks[0] * ranks[1]).sum(1) / np.where(constant, 1, lengths)
    same = (first == second).all(1)
    return np.asarray(np.where(constant, same, correlations).clip(-1, 1))
