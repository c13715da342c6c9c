"""xaitk-saliency both ways: methods for pairs there, its similarity saliency here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from captum.attr import PerturbationAttribution
from torch import Tensor, nn

from captum_fv.attr.pair import Pair, PairMethod
from captum_fv.core.arrays import FloatArray, Image
from captum_fv.core.toolkits import needs
from captum_fv.data.pairs import in_batches, to_image, to_tensor
from captum_fv.siamese.batch_size import images_at_once
from captum_fv.siamese.model import SiameseCosine

with needs("xaitk-saliency", "xaitk-saliency"):
    from smqtk_descriptors.interfaces.image_descriptor_generator import ImageDescriptorGenerator
    from xaitk_saliency import GenerateImageSimilarityBlackboxSaliency
    from xaitk_saliency.impls.gen_image_similarity_blackbox_sal.sbsm import SBSMStack

WINDOW, STRIDE = (28, 28), (7, 7)
"""Of the sliding window where none is chosen: a quarter of a face of 112 x 112, and a sixteenth."""


class SiameseDescriptors(ImageDescriptorGenerator):  # type: ignore[misc]
    """A Siamese model's embeddings as descriptors, for all that xaitk-saliency has for black boxes.

    Args:
        siamese: The model.
        device: Where it is.
        batch_size: Images at once. None: 16, and on CUDA what a trial finds to be fastest.
    """

    def __init__(
        self,
        siamese: SiameseCosine,
        device: str | torch.device = "cpu",
        batch_size: int | None = None,
    ) -> None:
        self.siamese, self.device, self.batch_size = siamese, device, batch_size

    @torch.no_grad()
    def generate_arrays_from_images(self, img_mat_iter: Iterable[Image]) -> Iterator[FloatArray]:
        """Embeddings (d,) of photos (H, W, 3) uint8."""
        photos = list(img_mat_iter)
        one = to_tensor(photos[:1]).to(self.device)
        at_once = images_at_once(self.siamese, one, batch_size=self.batch_size)
        for some in in_batches(len(photos), at_once):
            images = to_tensor([photos[k] for k in some]).to(self.device)
            yield from self.siamese.embed_images(images).double().cpu().numpy()

    def get_config(self) -> dict[str, Any]:
        """A model in memory has no configuration in JSON."""
        raise NotImplementedError("a SiameseCosine has no configuration in JSON; build it in code")


class XaitkSaliency(GenerateImageSimilarityBlackboxSaliency):  # type: ignore[misc]
    """A method for pairs as xaitk-saliency's generator of similarity saliency.

    Each map is that of the reference image A given a query image B, scaled by its largest
    magnitude to [-1, 1]; positive makes the two more similar. All images have one size.

    Args:
        build: A SiameseCosine -> the method, as `captum_fv.CorrelationRiseAttribution`. Its
            backbone is the black box, so methods of perturbation work on any; those of gradients on
            a SiameseDescriptors.

    >>> from captum_fv.attr import CorrelationRiseAttribution
    >>> generator = XaitkSaliency(CorrelationRiseAttribution)
    """

    def __init__(self, build: Callable[[SiameseCosine], Any]) -> None:
        self.build = build

    def _generate(
        self,
        ref_image: Image,
        query_images: Sequence[Image],
        blackbox: ImageDescriptorGenerator,
    ) -> FloatArray:
        if isinstance(blackbox, SiameseDescriptors):
            siamese, device = blackbox.siamese, blackbox.device
        else:
            siamese, device = SiameseCosine(_BlackBox(blackbox).eval(), 0.0, 1.0), "cpu"
        method = self.build(siamese)
        maps = []
        for query in query_images:
            pair = to_tensor([ref_image]).to(device), to_tensor([query]).to(device)
            mapped = method.attribute(pair)[0].detach().double().mean((0, 1)).cpu().numpy()
            maps.append(mapped / (np.abs(mapped).max() or 1))
        return np.stack(maps)

    def get_config(self) -> dict[str, Any]:
        """A function has no configuration in JSON."""
        raise NotImplementedError("a method has no configuration in JSON; build it in code")


class XaitkAttribution(PairMethod, PerturbationAttribution):  # type: ignore[misc]
    """Similarity saliency of xaitk-saliency as a method for pairs; by default its SBSM.

    SBSM covers A by a sliding window and asks how much farther from B it gets; the map is the mean
    of that over the windows on a pixel, scaled by its largest value. It is never negative, so it
    says nothing of what is dissimilar. Photos are rounded to 8 bits, as xaitk-saliency takes them.

    Args:
        siamese: The model.
        generator: Any GenerateImageSimilarityBlackboxSaliency. None: SBSM by cosine distance, a
            window of 28 x 28 in steps of 7, black.

    Raises:
        TypeError: The model gives no embeddings.

    Reference:
        Dong et al., Explainability for content-based image retrieval, CVPRW 2019.
    """

    reads_embeddings = True

    def __init__(
        self,
        siamese: SiameseCosine,
        generator: GenerateImageSimilarityBlackboxSaliency | None = None,
    ) -> None:
        super().__init__(siamese)
        self.generate = generator or SBSMStack(WINDOW, STRIDE, proximity_metric="cosine")

    def _maps(self, pair: Pair, threshold: Any, extra: Any) -> Pair:
        descriptors = SiameseDescriptors(self.forward_func, pair[0].device)
        maps = [
            self._of_both(img_a, img_b, descriptors) for img_a, img_b in zip(*pair, strict=True)
        ]
        map_a, map_b = (
            torch.from_numpy(np.stack(own)).to(image)[:, None].expand_as(image).contiguous()
            for own, image in zip(zip(*maps, strict=True), pair, strict=True)
        )
        return map_a, map_b

    def _of_both(
        self, img_a: Tensor, img_b: Tensor, descriptors: SiameseDescriptors
    ) -> tuple[FloatArray, FloatArray]:
        """The maps (H, W) of two photos (3, H, W)."""
        photo_a, photo_b = to_image(img_a), to_image(img_b)
        return (
            self.generate(photo_a, [photo_b], descriptors)[0],
            self.generate(photo_b, [photo_a], descriptors)[0],
        )


class _BlackBox(nn.Module):
    """Descriptors of any kind as a backbone, for which photos are in [0, 1]."""

    def __init__(self, descriptors: ImageDescriptorGenerator) -> None:
        super().__init__()
        self.descriptors = descriptors

    def forward(self, images: Tensor) -> Tensor:
        photos = [to_image(image) for image in images]
        arrays = np.stack(list(self.descriptors.generate_arrays_from_images(photos)))
        return torch.from_numpy(arrays).to(images)
