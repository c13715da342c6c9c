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
from captum_fv.core.vectors import cosine
from captum_fv.siamese.batch_size import FEW

SINGLE_PIXELS = 1e-3
"""A grain so narrow that every pixel keeps what it has."""


class FineMixture(IntegratedArgumentGradient):
    """A mean of three smoothings of single pixels, the finest of half a pixel."""

    WIDTHS = (0.5 / 112, 2 / 112, 6 / 112)

    def _output(self, added: Tensor, sign: Tensor) -> Tensor:
        pixels = super()._output(added, sign)
        return torch.stack([smooth(pixels, w * pixels.shape[-2]) for w in self.WIDTHS]).mean(0)


class AgainstThreshold(FineMixture):
    """What a pixel adds beyond its share of what a match needs; it sums to s - th."""

    def _integrate(self, images: Tensor, start: Tensor, *others: Any) -> Tensor:
        added = super()._integrate(images, start, *others)
        partners, levels = others
        needed = (levels - cosine(self._embed(start), partners)).reshape(-1, 1, 1, 1)
        return added - needed * added.abs() / added.abs().sum((1, 2, 3), keepdim=True)


class WeakPolarity(IntegratedArgumentGradient):
    """The decision from its relevance and only a part of its polarity."""

    def __init__(self, *arguments: Any, part: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.part = part

    def _output(self, added: Tensor, sign: Tensor) -> Tensor:
        height = added.shape[-2]
        evidence = smooth(added, self.grain * height)
        return smooth(sign * evidence.abs() + self.part * evidence, self.smoothing * height)


class WithoutEdges(IntegratedArgumentGradient):
    """The map over how much the path changes there, so that edges count for nothing."""

    def _integrate(self, images: Tensor, start: Tensor, *others: Any) -> Tensor:
        edges = (images - start).norm(dim=1, keepdim=True)
        self._edges = smooth(edges, 6 / 112 * edges.shape[-2]) + 3e-3
        return super()._integrate(images, start, *others)

    def _output(self, added: Tensor, sign: Tensor) -> Tensor:
        return super()._output(added, sign) / self._edges


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

    def _integrate(self, images: Tensor, start: Tensor, *others: Any) -> Tensor:
        partners, levels = others
        height, at_once = images.shape[-2], self._at_once(images)
        scales = [*(smooth(images, blur * height) for blur in self.BLURS), images]
        added = torch.zeros_like(images[:, :1])
        for coarse, fine in pairwise(scales):
            middle = torch.split(((coarse + fine) / 2)[:, None], at_once)
            rows = zip(middle, *(t.split(at_once) for t in (partners, levels)), strict=True)
            gradients = torch.cat([self._argument_gradients(*chunk)[:, 0] for chunk in rows])
            added += ((fine - coarse) * gradients).sum(1, keepdim=True)
        return added


class MovingPartner(IntegratedArgumentGradient):
    """The partner goes along its own path, too; where it is counts for a share beside its end."""

    def __init__(self, *arguments: Any, moving: float, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.moving = moving
        count = self.batch_size or FEW
        self.batch_size = count - count % (2 * self.steps)  # no pair is torn apart

    def _argument_gradients(self, points: Tensor, partners: Tensor, levels: Tensor) -> Tensor:
        gradients = []
        for at in points.unbind(1):
            there = self._embed(at).reshape(-1, 2, partners.shape[1]).flip(1).flatten(0, 1)
            held = torch.lerp(partners, there, self.moving)
            gradients.append(super()._argument_gradients(at[:, None], held, levels))
        return torch.cat(gradients, 1)


Builders = dict[str, Callable[[SiameseCosine, float], Any]]


def _outputs(
    name: str,
    build: Callable[..., Any] = IntegratedArgumentGradient,
    grain: float = 2,
    smoothing: float = 8,
    partner: float = 0,
    alternative: float = 0,
    **options: Any,
) -> Builders:
    """Decision and polarity, with widths in pixels of 112; against no face if not said."""
    options |= {"grain": (grain or SINGLE_PIXELS) / 112, "smoothing": smoothing / 112}
    options |= {"partner": partner, "alternative": alternative}
    return {
        f"{name}_{output}": partial(build, output=output, **options)
        for output in ("decision", "polarity")
    }


TRIALS: Builders = {
    **_outputs("before", grain=1.5, smoothing=5, partner=0.25),
    **_outputs("fine", FineMixture, 0, SINGLE_PIXELS),
    **_outputs("needed", AgainstThreshold, 0, SINGLE_PIXELS),
    **_outputs("edgeless-g0-s6", WithoutEdges, 0, 6),
    **_outputs("edgeless-g3-s6", WithoutEdges, 3, 6),
    **_outputs("blur3", blur=3 / 112),
    **_outputs("blur12", blur=12 / 112),
    **_outputs("noisy", NoisyPath),
    **_outputs("scales", ScalePath),
    **_outputs("moving0.5", partial(MovingPartner, moving=0.5), 1.5, 5, 0.25),
    **_outputs("moving0.75", partial(MovingPartner, moving=0.75), 1.5, 5, 0.25),
    **_outputs("moving1", partial(MovingPartner, moving=1.0), 1.5, 5, 0.25),
    **_outputs("moving0.5-blur9", partial(MovingPartner, moving=0.5), 1.5, 5, 0.25, blur=9 / 112),
}
"""Name -> (model, threshold) -> method."""

for _width in (0.5, 1, 2, 4, 6, 8, 9):
    TRIALS |= _outputs(f"g0-s{_width}", grain=0, smoothing=_width)
for _grain, _smoothing in ((1, 4), (1, 8), (2, 4), (2, 8), (4, 2), (4, 4), (6, 4)):
    TRIALS |= _outputs(f"g{_grain}-s{_smoothing}", grain=_grain, smoothing=_smoothing)
for _part, _grain, _smoothing in ((0.5, 2, 8), (0, 2, 8), (0.5, 2, 4), (0.25, 2, 4), (0.5, 3, 8)):
    TRIALS |= _outputs(
        f"part{_part}-g{_grain}-s{_smoothing}", WeakPolarity, _grain, _smoothing, part=_part
    )

for _partner in (0, 0.25, 0.5, 1):
    for _grain, _smoothing in ((1, 4), (1, 6), (2, 6), (3, 6)):
        TRIALS |= _outputs(
            f"partner{_partner}-g{_grain}-s{_smoothing}",
            grain=_grain,
            smoothing=_smoothing,
            partner=_partner,
        )

for _alternative in (0.2, 0.3, 0.4, 0.5, 1):
    for _grain, _smoothing in (
        (1, 3),
        (1.5, 3),
        (1, 4),
        (1.5, 4),
        (1.5, 5),
        (0, 4),
        (0, 5),
        (0, 6),
    ):
        TRIALS |= _outputs(
            f"alt{_alternative}-g{_grain}-s{_smoothing}",
            grain=_grain,
            smoothing=_smoothing,
            alternative=_alternative,
        )
