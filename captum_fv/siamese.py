"""Two photos in, their cosine out: the one model that every attribution method here explains."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from captum_fv.captum_calls import check_captum_call

Normalisation = float | Sequence[float] | Tensor | None
Output = int | str | Callable[[Any], Tensor] | None


class SiameseCosine(nn.Module):
    """Cosine similarity of the embeddings of two face images.

    Both images of all pairs go through the backbone in ONE call, interleaved (a0 b0 a1 b1 ...). So
    every hook of Captum sees both, and layer activations come as (2N, ...): their
    `.unflatten(0, (-1, 2))` gives both images' apart.

    Args:
        backbone: Images (N, C, H, W) -> embeddings (N, d), in evaluation mode: any nn.Module, a
            TorchScript module, or a `torch.export` program. If it carries a `.size`, (H, W), as the
            zoo's do, other images are refused.
        mean, std: With both given, images are in [0, 1] and enter the backbone as (image - mean) /
            std; each a number or one number per channel. None: the backbone's own `.mean` and
            `.std` if it carries them (the zoo's do), else images are taken as the backbone takes
            them.
        output: Where the embedding is in what the backbone returns, if it is not the whole: an
            index, a key, or a function.

    Raises:
        TypeError: The backbone is no module, or what it returns is not a tensor.
        ValueError: The backbone is in training mode, images do not fit each other, or embeddings
            are not (N, d).

    >>> siamese = SiameseCosine(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).eval())
    >>> photo = torch.rand(5, 3, 2, 2)
    >>> siamese(photo, photo).detach().round(decimals=3).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0]
    """

    mean: Tensor | None
    std: Tensor | None

    def __init__(
        self,
        backbone: nn.Module | torch.export.ExportedProgram,
        mean: Normalisation = None,
        std: Normalisation = None,
        output: Output = None,
    ) -> None:
        super().__init__()
        if isinstance(backbone, torch.export.ExportedProgram):
            backbone = backbone.module()
        if not isinstance(backbone, nn.Module):
            raise TypeError(
                f"backbone: got {type(backbone).__name__}; want an nn.Module that maps images (N, "
                "C, H, W) to "
                "embeddings (N, d). To explain a black box, hand the function itself to a "
                "perturbation method"
            )
        if (mean is None) != (std is None):
            raise ValueError("mean and std: got one of them; give both or neither")
        if mean is None:
            mean, std = getattr(backbone, "mean", None), getattr(backbone, "std", None)
        self.backbone = backbone
        self.output = output
        self.register_buffer("mean", _per_channel(mean), persistent=False)
        self.register_buffer("std", _per_channel(std), persistent=False)
        if self.std is not None and not (self.std > 0).all():
            raise ValueError(f"std: got {std}; want numbers above 0")
        self.training = is_training(backbone)

    @property
    def black(self) -> float | None:
        """A black pixel's value in the images this model takes; None if only the backbone knows."""
        return None if self.mean is None else 0.0

    def forward(self, img_a: Tensor | tuple[Tensor, Tensor], img_b: Tensor | None = None) -> Tensor:
        """Cosine of each pair, (N,) in [-1, 1].

        Args:
            img_a: Images A, (N, C, H, W), or the tuple (images A, images B).
            img_b: Images B, (N, C, H, W), if not in the tuple.
        """
        check_captum_call(self.backbone, pair=True)
        return cosine(*self.embed(img_a, img_b))

    def embed(
        self, img_a: Tensor | tuple[Tensor, Tensor], img_b: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Embeddings of both images of each pair, (N, d) of unit length, from one backbone call."""
        if not isinstance(img_a, Tensor):
            if img_b is not None or len(img_a) != 2:
                raise ValueError("got a tuple that is no pair; write siamese((img_a, img_b))")
            img_a, img_b = img_a
        if img_b is None:
            raise ValueError(
                "got one image; write siamese(img_a, img_b). Captum's methods take a pair as one "
                "tuple: .attribute((img_a, img_b))"
            )
        if img_a.shape != img_b.shape:
            raise ValueError(
                f"img_a is {tuple(img_a.shape)} and img_b is {tuple(img_b.shape)}; want equal "
                "shapes (N, C, H, W)"
            )
        embeddings = self.embed_images(torch.stack([img_a, img_b], 1).flatten(0, 1))
        embed_a, embed_b = embeddings.reshape(len(img_a), 2, -1).unbind(1)
        return embed_a, embed_b

    def embed_images(self, images: Tensor) -> Tensor:
        """Embeddings (N, d) with unit length of images (N, C, H, W) that need no partner yet."""
        embeddings = self._select(self.backbone(self._normalised(images)))
        if embeddings.ndim != 2 or len(embeddings) != len(images):
            raise ValueError(
                f"the backbone gave {tuple(embeddings.shape)} for {len(images)} images; want "
                "embeddings (N, d): "
                "pick or flatten them with output=, as in output=lambda out: out.flatten(1)"
            )
        # Half precision loses the third decimal of a cosine, where thresholds live.
        return F.normalize(embeddings.float() if embeddings.itemsize < 4 else embeddings, dim=1)

    def grids(self, images: Tensor) -> Tensor:
        """The backbone's last spatial grids (N, c, h, w) of images (N, C, H, W).

        Raises:
            TypeError: The backbone has no method `features`.
        """
        grid = spatial_features(self.backbone)(self._normalised(images))
        if grid.ndim != 4 or len(grid) != len(images):
            raise ValueError(
                f"the backbone's features gave {tuple(grid.shape)} for {len(images)} images; want "
                "a grid (N, c, h, w)"
            )
        return grid

    def train(self, mode: bool = True) -> SiameseCosine:
        """Set training mode, except in exported programs, which have none."""
        self.training = mode
        if not _is_exported(self.backbone):
            self.backbone.train(mode)
        return self

    def _normalised(self, images: Tensor) -> Tensor:
        """Images as the backbone takes them, once it is clear that it can."""
        if images.ndim != 4 or not images.is_floating_point():
            raise ValueError(
                f"got {images.dtype} images of shape {tuple(images.shape)}; want floating point "
                "(N, C, H, W)"
            )
        size = getattr(self.backbone, "size", None)
        if isinstance(size, tuple) and images.shape[2:] != size:
            raise ValueError(
                f"images are {images.shape[2]}x{images.shape[3]}, and "
                f"{type(self.backbone).__name__} takes {size[0]}x{size[1]}; align the faces to "
                f"that size, as align_face(photo, landmarks, size={size}) does"
            )
        if is_training(self.backbone):
            raise ValueError(
                "the backbone is in training mode, where one pair changes another's score; write "
                "siamese.eval()"
            )
        if self.mean is None or self.std is None:
            return images
        return (images - self.mean.to(images)).div_(self.std.to(images))

    def _select(self, out: Any) -> Tensor:
        if callable(self.output):
            out = self.output(out)
        elif self.output is not None:
            out = out[self.output]
        if not isinstance(out, Tensor):
            raise TypeError(
                f"the backbone returned {_describe(out)}; say which part is the embedding, as in "
                "SiameseCosine(backbone, output=0)"
            )
        return out


class PartnerView(nn.Module):
    """The Siamese model seen from one image: its cosine with a partner's embedding.

    For Captum methods that take a model of one image (GuidedGradCam, layer methods). The partner
    comes as an embedding, `additional_forward_args=(siamese.embed_images(img_b),)`, because Captum
    repeats those with the image; a stored one it would not.

    >>> siamese = SiameseCosine(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)).eval())
    >>> img_a, img_b = torch.rand(2, 5, 3, 2, 2)
    >>> partner = siamese.embed_images(img_b)
    >>> torch.allclose(PartnerView(siamese)(img_a, partner), siamese(img_a, img_b))
    True
    """

    def __init__(self, siamese: SiameseCosine) -> None:
        super().__init__()
        self.siamese = siamese
        self.training = siamese.training

    def forward(self, img: Tensor, partner_embedding: Tensor | None = None) -> Tensor:
        """Cosine (N,) of images (N, C, H, W) with their partners' embeddings (N, d)."""
        check_captum_call(self.siamese.backbone, pair=False)
        embedding = self.siamese.embed_images(img)
        if partner_embedding is None or partner_embedding.shape != embedding.shape:
            came = "missing" if partner_embedding is None else tuple(partner_embedding.shape)
            raise ValueError(
                f"partner_embedding is {came}; want {tuple(embedding.shape)}, one row per image. "
                "Captum takes it in a tuple: "
                "additional_forward_args=(siamese.embed_images(img_b),)"
            )
        return cosine(embedding, F.normalize(partner_embedding.to(embedding), dim=1))


def cosine(embed_a: Tensor, embed_b: Tensor) -> Tensor:
    """Cosine (N,) of embeddings (N, d) that already have unit length."""
    return (embed_a * embed_b).sum(1)


def spatial_features(backbone: nn.Module) -> Callable[[Tensor], Tensor]:
    """The backbone's method that gives its last grid; else a TypeError that says what to write."""
    features: Callable[[Tensor], Tensor] | None = getattr(backbone, "features", None)
    if not callable(features):
        raise TypeError(
            f"{type(backbone).__name__} shows no spatial grid; give the backbone a method "
            "features(images) that returns its last one, (N, c, h, w), or take one of "
            "`captum-fv models`"
        )
    return features


def is_training(module: nn.Module) -> bool:
    """Whether any part is in training mode; an exported program is not, whatever its flags say."""
    if _is_exported(module):
        return False
    return module.training or any(is_training(child) for child in module.children())


def _is_exported(module: nn.Module) -> bool:
    # torch.export puts a refusal in place of `eval` on the module it returns; an ordinary one has
    # only the method.
    return isinstance(module, torch.fx.GraphModule) and "eval" in vars(module)


def _per_channel(value: Normalisation) -> Tensor | None:
    return None if value is None else torch.as_tensor(value, dtype=torch.float32).reshape(-1, 1, 1)


def _describe(out: Any) -> str:
    if isinstance(out, dict):
        return f"a dict with keys {list(out)}"
    if isinstance(out, tuple | list):
        return f"a {type(out).__name__} of {len(out)}"
    return f"a {type(out).__name__}"
