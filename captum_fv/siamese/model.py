"""Two photos in, their cosine out: the one model that every attribution method here explains."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, get_args

import torch
from torch import Tensor, nn

from captum_fv.core.arithmetic import HALF, Precision, forward_arithmetic
from captum_fv.core.checks import (
    check_choice,
    check_form,
    check_forms,
    check_pixels,
    check_values,
    describe,
    hides_values,
)
from captum_fv.core.vectors import cosine, unit_length
from captum_fv.core.waiting import first_time
from captum_fv.siamese.backbone import (
    Normalisation,
    ask,
    check_image_size,
    check_mode,
    contract,
    is_exported,
    is_training,
    spatial_features,
    warn_of_unknowns,
)
from captum_fv.siamese.captum_guard import guard
from captum_fv.siamese.devices import follow_weights
from captum_fv.siamese.normalisation import own_normalisation, per_channel
from captum_fv.siamese.outputs import EmbeddingPart, embeddings_in, grid_in
from captum_fv.siamese.repeatable import same_answer_again
from captum_fv.siamese.replay import Replays


class SiameseCosine(nn.Module):
    """Cosine similarity of the embeddings of two face images.

    Both images of all pairs go through the backbone in ONE call, interleaved (a0 b0 a1 b1 ...). So
    every hook of Captum sees both, and layer activations come as (2N, ...): their
    `.unflatten(0, (-1, 2))` gives both images' apart.

    Args:
        backbone: Images (N, C, H, W) -> embeddings (N, d), in evaluation mode: any nn.Module, a
            TorchScript module, or a `torch.export` program. Beside its forward it may carry what
            `captum_fv.siamese.backbone.MayCarry` lists, as the zoo's do; of another `.size` than
            it carries, images are refused.
        mean, std: With both given, images are in [0, 1] and enter the backbone as (image - mean) /
            std; each a number or one number per channel. None: the backbone's own `.mean` and
            `.std` if it carries them (the zoo's do), also within DataParallel, torch.compile and
            their like; else images are taken as the backbone takes them. Buffers of these names
            are the backbone's business.
        output: Where the embedding is in what the backbone returns, if it is not the whole: an
            index, a key, or a function.
        channel_order: "RGB" or "BGR", in which the backbone takes the channels. Images are RGB, and
            mean and std in that order too: they are turned round for "BGR". None: the backbone's
            own `.channel_order`, else as they come.
        precision: What the backbone computes in; embeddings come in single precision all the same.
            "float16" and "bfloat16", by torch.autocast, hold for forwards that record no gradient,
            as those of occlusion and of DPR: on a real model float16 moved scores by up to 8e-4.
            Gradients are computed in single precision, on CUDA without TF32, which "tf32" allows.

    Raises:
        TypeError: The backbone is no module, or what it returns is not a tensor.
        ValueError: Only a part of the backbone says how photos are normalised. The backbone is in
            training mode or gives one image two embeddings, images do
            not fit each other or the backbone, or hold pixels up to 255 where [0, 1] is wanted, or
            embeddings are not finite (N, d). The first call asks the backbone three times to know.

    Warns:
        UserWarning: At the first call, photos of a size that no face model takes, where the
            backbone does not say its own; photos in [0, 1] to a program or copy without mean and
            std.

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
        output: EmbeddingPart = None,
        channel_order: str | None = None,
        precision: Precision = "float32",
    ) -> None:
        super().__init__()
        if isinstance(backbone, torch.export.ExportedProgram):
            backbone = backbone.module()
        if not isinstance(backbone, nn.Module):
            raise TypeError(
                f"backbone: got {type(backbone).__name__}; want an nn.Module that maps images "
                "(N, C, H, W) to embeddings (N, d). To explain a black box, hand the function "
                "itself to a perturbation method"
            )
        if (mean is None) != (std is None):
            raise ValueError("mean and std: got one of them; give both or neither")
        channel_order = channel_order or contract(backbone).channel_order
        if channel_order not in (None, "RGB", "BGR"):
            raise ValueError(f'channel_order: got {channel_order!r}; want "RGB" or "BGR"')
        if mean is None:
            mean, std = own_normalisation(backbone)
        check_choice("precision", precision, get_args(Precision))
        self.backbone = backbone
        self.output = output
        self.channel_order = channel_order
        self.precision = precision
        self.register_buffer("mean", per_channel("mean", mean), persistent=False)
        self.register_buffer("std", per_channel("std", std), persistent=False)
        if self.mean is not None and not ((self.mean >= 0) & (self.mean <= 1)).all():
            raise ValueError(
                f"mean: got {mean}; want numbers in [0, 1], since photos are: 0.5 and not 127.5"
            )
        if self.std is not None and not ((self.std > 0) & (self.std <= 1)).all():
            raise ValueError(
                f"std: got {std}; want numbers above 0 and up to 1, since photos are in [0, 1]: "
                "0.5 and not 127.5"
            )
        self.training = is_training(backbone)
        self._repeatable: set[str] = set()
        self.batch_sizes: dict[tuple[Any, ...], int] = {}
        """What trials found to be the best; see `images_at_once`."""
        self.replays: Replays | None = None
        """Recorded work, of a model that `optimise_for_inference` gave."""

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
        return cosine(*self._embed_pairs(img_a, img_b, scored=True))

    def embed(
        self, img_a: Tensor | tuple[Tensor, Tensor], img_b: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Embeddings of both images of each pair, (N, d) of unit length, from one backbone call."""
        return self._embed_pairs(img_a, img_b)

    def embed_images(self, images: Tensor) -> Tensor:
        """Embeddings (N, d) with unit length of images (N, C, H, W) that need no partner yet.

        An embedding of zeros has no direction and stays as it is: it scores 0 with any other.
        """
        return self._embed(images)

    def grids(self, images: Tensor) -> Tensor:
        """The backbone's last spatial grids (N, c, h, w) of images (N, C, H, W).

        Raises:
            TypeError: The backbone has no method `features`.
        """
        features = spatial_features(self.backbone)
        records = _records_gradients(images)
        return self._answer(
            "grid", lambda x: grid_in(self._ask(features, x, records), len(x)).to(x), images
        )

    def train(self, mode: bool = True) -> SiameseCosine:
        """Set training mode, except in exported programs, which have none."""
        self.training = mode
        if not is_exported(self.backbone):
            self.backbone.train(mode)
        return self

    def _apply(self, fn: Any, recurse: bool = True) -> SiameseCosine:
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        follow_weights(self, fn)
        if self.replays is not None:
            self.replays = copy.copy(self.replays)  # without what reads the weights that were
        return self

    def _embed_pairs(
        self, img_a: Tensor | tuple[Tensor, Tensor], img_b: Tensor | None, scored: bool = False
    ) -> tuple[Tensor, Tensor]:
        if isinstance(img_a, tuple | list):
            if img_b is not None or len(img_a) != 2:
                raise ValueError("got a tuple that is no pair; write siamese((img_a, img_b))")
            img_a, img_b = img_a
        if img_b is None:
            raise ValueError(
                "got one image; write siamese(img_a, img_b). Captum's methods take a pair as one "
                "tuple: .attribute((img_a, img_b))"
            )
        check_forms(img_a=img_a, img_b=img_b)  # what they hold is looked at with all images
        # One call: a hook of Captum keeps one activation of a module, and that of a second call
        # would take its place. Interleaved, a0 b0 a1 b1: rows 2k and 2k + 1 are pair k, whatever N
        # is. So when Captum repeats, cuts or joins batches of pairs and layers alike, the rows of a
        # pair stay its own; with all A before all B, a partner would be N rows away, and N changes.
        embeddings = self._embed(torch.stack([img_a, img_b], 1).flatten(0, 1), scored)
        embed_a, embed_b = embeddings.reshape(len(img_a), 2, -1).unbind(1)
        return embed_a, embed_b

    def _embed(self, images: Tensor, scored: bool = False) -> Tensor:
        records = _records_gradients(images)
        embeddings = self._answer(
            "embedding",
            lambda x: embeddings_in(self._ask(self.backbone, x, records), self.output, len(x)),
            images,
            scored,
        )
        # Half precision loses the third decimal of a cosine, where thresholds live.
        embeddings = embeddings.float() if embeddings.itemsize < 4 else embeddings
        return unit_length(embeddings)

    def _answer(
        self, what: str, compute: Callable[[Tensor], Tensor], images: Tensor, scored: bool = False
    ) -> Tensor:
        """What the backbone gives for images; the first time only if it gives the same again.

        The one door to the backbone. `scored`: the images are pairs whose scores are wanted.
        """
        check_form("images", images)
        if first_time((check_mode, id(self.backbone), images.shape[2:])):
            check_mode(self.backbone)
            check_image_size(self.backbone, images)
        check_pixels(images, photos=self.mean is not None)
        with guard(self.backbone, pair=scored) as by_captum:
            if by_captum or what in self._repeatable or hides_values(images):
                return compute(images)
            warn_of_unknowns(self.backbone, images, self.mean is not None)
            half = None if _records_gradients(images) else HALF.get(self.precision)
            values = same_answer_again(self.backbone, compute, images, what, half)
        self._repeatable.add(what)
        return values

    def _ask(self, function: Callable[[Tensor], Any], images: Tensor, records: bool) -> Any:
        with forward_arithmetic(self.precision, images.device, records):
            return ask(self.backbone, lambda x: function(self._normalised(x)), images)

    def _normalised(self, images: Tensor) -> Tensor:
        """Images as the backbone takes them, and its own to write on."""
        if self.mean is None or self.std is None:
            images = images.clone()
        else:
            images = (images - self.mean.to(images)).div_(self.std.to(images))
        if self.channel_order != "BGR":
            return images
        if images.shape[1] != 3:
            raise ValueError(
                f"images have {images.shape[1]} channels; want the three of RGB, since the "
                "backbone takes BGR"
            )
        return images.flip(1)


def _records_gradients(images: Tensor) -> bool:
    """Whether somebody will ask for the gradient to these images."""
    return isinstance(images, Tensor) and images.requires_grad and torch.is_grad_enabled()


def check_siamese(siamese: Any, name: str = "siamese") -> None:
    """Raise a TypeError for what is no SiameseCosine."""
    if not isinstance(siamese, SiameseCosine):
        raise TypeError(
            f"{name}: got {type(siamese).__name__}; want a SiameseCosine: write "
            "SiameseCosine(backbone)"
        )


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
        check_siamese(siamese)
        self.siamese = siamese
        self.training = siamese.training

    def forward(self, img: Tensor, partner_embedding: Tensor | None = None) -> Tensor:
        """Cosine (N,) of images (N, C, H, W) with their partners' embeddings (N, d)."""
        embedding = self.siamese.embed_images(img)
        if not isinstance(partner_embedding, Tensor) or partner_embedding.shape != embedding.shape:
            came = "missing" if partner_embedding is None else describe(partner_embedding)
            raise ValueError(
                f"partner_embedding is {came}; want {tuple(embedding.shape)}, one row per image. "
                "In Captum's methods: additional_forward_args=(siamese.embed_images(img_b),)"
            )
        check_values("partner_embedding", partner_embedding)
        return cosine(embedding, unit_length(partner_embedding.to(embedding)))
