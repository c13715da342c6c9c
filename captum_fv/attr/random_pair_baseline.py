"""RND: random maps, the minimum that an explanation must beat."""

from __future__ import annotations

from typing import Any

import torch
from captum.attr import PerturbationAttribution
from captum.log import log_usage
from torch import Tensor

from captum_fv.attr.pair import Pair, as_pair, refuse_extras
from captum_fv.checks import check_generator


class RandomPairBaseline(PerturbationAttribution):  # type: ignore[misc]
    """RND: independent uniform maps in [-1, 1), one value per pixel.

    Pairs are drawn one after the other, so that a batch gives the maps its pairs would have had
    alone.

    Args:
        forward_func: The model, for the family's common signature; it is never called.
        generator: Where the numbers come from; it moves on with every call. None: a new one, seeded
            with 0.
        shared_order: One map, hence one pixel order, for all images of all calls, as the published
            code does.

    Reference:
        Huber et al., WACV 2024, Sec. 4.4.

    >>> img_a, img_b = torch.rand(2, 2, 3, 4, 4)
    >>> map_a, map_b = RandomPairBaseline(None).attribute(img_a, img_b)
    >>> bool((map_a[:, 0] == map_a[:, 1]).all()), bool((map_a[0] == map_a[1]).any())
    (True, False)
    """

    def __init__(
        self,
        forward_func: Any,
        generator: torch.Generator | None = None,
        shared_order: bool = False,
    ) -> None:
        super().__init__(forward_func)
        check_generator(generator)
        self.generator = torch.Generator().manual_seed(0) if generator is None else generator
        self.shared_order = shared_order
        self._order_seed = self.generator.initial_seed()

    @log_usage(part_of_slo=True)  # type: ignore[untyped-decorator]
    def attribute(
        self,
        inputs: Tensor | Pair,
        img_b: Tensor | None = None,
        *,
        target: None = None,
        additional_forward_args: Any = None,
    ) -> Pair:
        """Draw maps for a batch of pairs; arguments and result as all methods have them."""
        img_a, img_b = as_pair(inputs, img_b)
        refuse_extras(target)
        if self.shared_order:
            generator = torch.Generator(self.generator.device)
            generator.manual_seed(self._order_seed)
            order = _draw(img_a[:1], generator)
            return order.expand_as(img_a).clone(), order.expand_as(img_b).clone()
        draws = [
            (_draw(a[None], self.generator), _draw(b[None], self.generator))
            for a, b in zip(img_a, img_b, strict=True)
        ]
        map_a, map_b = (torch.cat(side) for side in zip(*draws, strict=True))
        return map_a, map_b


def _draw(image: Tensor, generator: torch.Generator) -> Tensor:
    height, width = image.shape[-2:]
    values = torch.rand(1, 1, height, width, generator=generator, device=generator.device) * 2 - 1
    return values.to(image).expand_as(image)
