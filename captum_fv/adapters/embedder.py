"""A pair as pytorch-grad-cam takes it: a model of one image, and what its output is asked for."""

from __future__ import annotations

from torch import Tensor, nn

from captum_fv.siamese.model import SiameseCosine, check_siamese


class Embedder(nn.Module):
    """The Siamese model's half: images (N, C, H, W) -> embeddings (N, d) of unit length.

    Args:
        siamese: The model.

    Raises:
        TypeError: No SiameseCosine.

    >>> import torch
    >>> siamese = SiameseCosine(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).eval())
    >>> img_a, img_b = torch.rand(2, 5, 3, 2, 2)
    >>> targets = [SimilarityTarget(partner) for partner in siamese.embed_images(img_b)]
    >>> torch.allclose(targets[2](Embedder(siamese)(img_a)[2]), siamese(img_a, img_b)[2])
    True
    """

    def __init__(self, siamese: SiameseCosine) -> None:
        super().__init__()
        check_siamese(siamese)
        self.siamese = siamese
        self.training = siamese.training

    def forward(self, images: Tensor) -> Tensor:
        """Embeddings of the images."""
        return self.siamese.embed_images(images)


class SimilarityTarget:
    """What an image's embedding is asked for: its cosine with the partner's.

    Args:
        partner: The embedding of image B, (d,), of unit length.
    """

    def __init__(self, partner: Tensor) -> None:
        self.partner = partner

    def __call__(self, embedding: Tensor) -> Tensor:
        """The cosine of an embedding (d,)."""
        return (embedding * self.partner).sum()
