"""Variants of IntegratedArgumentGradient that were tried; OWN_METHOD.md says what each gave."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from captum_fv import IntegratedArgumentGradient, SiameseCosine
from captum_fv.attr.smoothing import smooth

NO_GRAIN = 1e-3 / 112
"""So narrow that every pixel keeps what it has."""


class FineMixture(IntegratedArgumentGradient):
    """A mean of three smoothings of single pixels, the finest of half a pixel."""

    WIDTHS = (0.5 / 112, 2 / 112, 6 / 112)

    def _output(self, added: Tensor, sign: Tensor) -> Tensor:
        pixels = super()._output(added, sign)
        return torch.stack([smooth(pixels, w * pixels.shape[-2]) for w in self.WIDTHS]).mean(0)


class WeakPolarity(IntegratedArgumentGradient):
    """The decision from its relevance and only a part of its polarity."""

    PART = 0.5

    def _output(self, added: Tensor, sign: Tensor) -> Tensor:
        height = added.shape[-2]
        evidence = smooth(added, self.grain * height)
        return smooth(sign * evidence.abs() + self.PART * evidence, self.smoothing * height)


class WithoutEdges(IntegratedArgumentGradient):
    """What a place adds, over how much the path changes there: edges count for nothing."""

    def _integrate(self, images: Tensor, start: Tensor, *others: Tensor) -> Tensor:
        added = super()._integrate(images, start, *others)
        change = (images - start).norm(dim=1, keepdim=True)
        return added / (smooth(change, 6 / 112 * change.shape[-2]) + 3e-3)


class FromBothBlurred(IntegratedArgumentGradient):
    """The path starts at the mean of both images' blurs."""

    def _integrate(self, images: Tensor, start: Tensor, *others: Tensor) -> Tensor:
        pairs = start.reshape(-1, 2, *start.shape[1:])
        middle = pairs.mean(1, keepdim=True).expand_as(pairs).flatten(0, 1)
        return super()._integrate(images, middle, *others)


class NoisyPath(IntegratedArgumentGradient):
    """Noise on every point of the path, the same for every pair."""

    NOISE = 0.05

    def _argument_gradients(self, points: Tensor, *others: Tensor) -> Tensor:
        generator = torch.Generator().manual_seed(0)
        noise = torch.randn(points.shape[1:], generator=generator).to(points)
        return super()._argument_gradients(points + self.NOISE * noise, *others)


class ScalePath(IntegratedArgumentGradient):
    """From a wide blur over narrower ones to the image: each step adds one band of scales."""

    BLURS = (16 / 112, 6 / 112, 2 / 112)

    def _integrate(self, images: Tensor, start: Tensor, partners: Tensor, levels: Tensor) -> Tensor:
        height = images.shape[-2]
        scales = [*(smooth(images, blur * height) for blur in self.BLURS), images]
        added = torch.zeros_like(images[:, :1])
        for coarse, fine in pairwise(scales):
            middle = torch.split(((coarse + fine) / 2)[:, None], self.batch_size)
            rows = zip(middle, *(t.split(self.batch_size) for t in (partners, levels)), strict=True)
            gradients = torch.cat([self._argument_gradients(*chunk)[:, 0] for chunk in rows])
            added += ((fine - coarse) * gradients).sum(1, keepdim=True)
        return added


def _outputs(
    name: str, build: Callable[..., Any] = IntegratedArgumentGradient, **options: Any
) -> dict[str, Callable[[SiameseCosine, float], Any]]:
    return {
        f"{name}_{output}": partial(build, output=output, **options)
        for output in ("decision", "polarity", "relevance")
    }


TRIALS = {
    **_outputs("fine", FineMixture, grain=NO_GRAIN, smoothing=NO_GRAIN),
    **_outputs("pixels1", grain=NO_GRAIN, smoothing=1 / 112),
    **_outputs("pixels4", grain=NO_GRAIN, smoothing=4 / 112),
    **_outputs("pixels8", grain=NO_GRAIN, smoothing=8 / 112),
    **_outputs("grain1", grain=1 / 112),
    **_outputs("grain4", grain=4 / 112),
    **_outputs("narrow", smoothing=4 / 112),
    "weak_decision": WeakPolarity,
    **_outputs("edgeless", WithoutEdges),
    **_outputs("blur3", blur=3 / 112),
    **_outputs("blur12", blur=12 / 112),
    **_outputs("partner", FromBothBlurred),
    **_outputs("noisy", NoisyPath),
    **_outputs("scales", ScalePath),
    **_outputs("onestep", steps=1),
}
"""Name -> (model, threshold) -> method."""
