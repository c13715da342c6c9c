"""xFace against its formulas, taken one pixel at a time, and against the official maps."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.siamese import SiameseCosine
from tests.support.occlusion import HEIGHT, WIDTH, naive_blur, photos, tiny_siamese
from tests.support.shared import SHARED, needs_shared


def naive_places(length: int, size: int, stride: int, edges: bool) -> list[int]:
    places = [y for y in range(0, length, stride) if y < length - size]
    if edges and places[-1] + size < length - 1:
        places.append(length - 1 - size)
    return places


def naive_fill(fill: Any, face: Tensor, partner: Tensor, size: int) -> Tensor:
    if fill == "mean":
        return torch.stack([channel.mean().expand(HEIGHT, WIDTH) for channel in face])
    if fill == "partner":
        return partner
    if fill == "blur":
        blurred = [naive_blur(channel.numpy(), 2 * size + 1, size / 2) for channel in face]
        return torch.from_numpy(np.stack(blurred))
    return torch.full_like(face, fill)


def naive_maps(
    score: Callable[[Tensor, Tensor], Tensor],
    img_a: Tensor,
    img_b: Tensor,
    variant: int,
    *,
    patch_sizes: tuple[int, ...] = (3, 4),
    stride: tuple[int, ...] = (2, 3),
    shape: str = "square",
    cover_edges: bool = False,
    fill: Any = 0.0,
    normalise_coverage: bool = False,
    remove_offset: bool = False,
) -> np.ndarray:
    """The method as it is written down, one patch and one pixel at a time: (2, H, W)."""

    def distance(side: int, own: Tensor, partner: Tensor) -> float:
        pair = (own, partner) if side == 0 else (partner, own)
        return 1 - score(pair[0][None], pair[1][None]).item()

    maps = np.zeros((2, HEIGHT, WIDTH))
    for size, step in zip(patch_sizes, stride, strict=True):
        fills = [naive_fill(fill, img_a, img_b, size), naive_fill(fill, img_b, img_a, size)]
        masks: list[np.ndarray] = []
        covered: tuple[list[Tensor], list[Tensor]] = ([], [])
        for top in naive_places(HEIGHT, size, step, cover_edges):
            for left in naive_places(WIDTH, size, step, cover_edges):
                images = [img_a.clone(), img_b.clone()]
                mask = np.zeros((HEIGHT, WIDTH))
                for y in range(top, top + size + 1):
                    for x in range(left, left + size + 1):
                        off = math.hypot(y - top - size / 2, x - left - size / 2)
                        if shape == "square" or off <= (size + 1) / 2:
                            mask[y, x] = 1
                            for image, colours in zip(images, fills, strict=True):
                                image[:, y, x] = colours[:, y, x]
                masks.append(mask)
                for side in (0, 1):
                    covered[side].append(images[side])
        for side, (face, partner) in enumerate(((img_a, img_b), (img_b, img_a))):
            total, count = np.zeros((HEIGHT, WIDTH)), np.zeros((HEIGHT, WIDTH))
            zero = distance(side, face, partner)
            if variant == 1 and remove_offset:
                zero = float(np.mean([distance(side, face, y) for y in covered[1 - side]]))
            for k, (mask, image) in enumerate(zip(masks, covered[side], strict=True)):
                if variant == 1:
                    found = float(np.mean([distance(side, image, y) for y in covered[1 - side]]))
                elif variant == 2:
                    found = distance(side, image, partner)
                else:
                    found = distance(side, image, covered[1 - side][k])
                total += mask * (found - zero) / size**2
                count += mask
            divisor = np.maximum(count, 1) if normalise_coverage else len(masks)
            maps[side] += naive_blur(total / divisor) / len(patch_sizes)
    return maps


def assert_close(found: tuple[Tensor, Tensor], wanted: np.ndarray) -> None:
    for one, other in zip(found, wanted, strict=True):
        assert one.shape == (1, 3, HEIGHT, WIDTH)
        for channel in one[0]:
            np.testing.assert_allclose(channel.numpy(), other, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"patch_sizes": (5,), "stride": (4,), "cover_edges": True, "fill": 0.7},
        {"shape": "circle", "fill": "mean", "normalise_coverage": True},
        {"shape": "circle", "cover_edges": True, "fill": "partner", "remove_offset": True},
        {"fill": "blur", "normalise_coverage": True, "cover_edges": True},
    ],
    ids=str,
)
def test_equals_the_formulas_taken_one_pixel_at_a_time(options: dict[str, Any]) -> None:
    siamese = tiny_siamese().double()
    img_a, img_b = photos()
    method = OcclusionPairAttribution(
        siamese, **{"patch_sizes": (3, 4), "stride": (2, 3), "fill": 0.0} | options
    )
    found = method.attribute_variants(img_a, img_b, perturbations_per_eval=5)
    for variant in (1, 2, 3):
        wanted = naive_maps(siamese, img_a[0], img_b[0], variant, **options)
        assert np.abs(wanted[0]).max() > 1e-4
        assert_close(found[variant], wanted)


def test_a_plain_function_gets_variant_two_with_its_images_in_order() -> None:
    siamese = tiny_siamese().double()

    def lopsided(x: Tensor, y: Tensor) -> Tensor:
        return siamese(x, y**2)

    img_a, img_b = photos()
    found = OcclusionPairAttribution(lopsided, 2, (3, 4), (2, 3), fill=0.0).attribute(img_a, img_b)
    assert_close(found, naive_maps(lopsided, img_a[0], img_b[0], 2))


@pytest.mark.parametrize("count", [1, 4, 5])
def test_a_model_that_embeds_pairs_alone_gets_every_variant(count: int) -> None:
    siamese = tiny_siamese().double()

    class Pairs:
        black = 0.0

        def embed(self, img_a: Tensor, img_b: Tensor) -> tuple[Tensor, Tensor]:
            return siamese.embed(img_a, img_b)

    images = photos()
    wanted = OcclusionPairAttribution(siamese, 1, (3, 4), (2, 3)).attribute_variants(*images)
    method = OcclusionPairAttribution(Pairs(), 1, (3, 4), (2, 3))
    found = method.attribute_variants(*images, perturbations_per_eval=count)
    for variant, maps in wanted.items():
        torch.testing.assert_close(found[variant], maps)


def test_noise_stays_in_the_images_range_and_covers_all_images_alike() -> None:
    seen: list[Tensor] = []

    class Recorder(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images.flatten(1)

    img_a, img_b = photos(2)
    siamese = SiameseCosine(Recorder().eval())
    siamese(img_a, img_b)  # the first call asks the backbone more often
    seen.clear()
    method = OcclusionPairAttribution(
        siamese,
        2,
        (HEIGHT - 1,),
        fill="noise",
        generator=torch.Generator().manual_seed(1),
    )
    method.attribute(img_a, img_b)
    fields = []
    for k, face in ((0, img_a[0]), (1, img_b[0]), (3, img_a[1]), (4, img_b[1])):
        low, high = face.amin((1, 2), keepdim=True), face.amax((1, 2), keepdim=True)
        fields.append(((seen[k][0] - low) / (high - low))[..., :HEIGHT])
        assert fields[-1].min() >= 0
        assert fields[-1].max() <= 1
    assert fields[0].std() > 0.2
    for field in fields[1:]:
        torch.testing.assert_close(field, fields[0])


@needs_shared
@pytest.mark.extended
def test_published_maps_of_all_variants() -> None:
    golden = np.load(SHARED / "golden" / "xface_edgeface_xxs.npz")
    img_a, img_b = (
        torch.from_numpy(golden[name]).permute(2, 0, 1)[None].float() / 255
        for name in ("img_a", "img_b")
    )
    program = torch.export.load(SHARED / "models" / "edgeface_xxs.pt2")
    method = OcclusionPairAttribution(SiameseCosine(program, mean=0.5, std=0.5))
    for variant, maps in method.attribute_variants(img_a, img_b).items():
        for found, wanted in zip(maps, golden[f"display_map_variant{variant}"], strict=True):
            display = (found[0, 0] / found.abs().max() + 1) / 2
            # Two runtimes' float32 embeddings: about 2e-6 was seen.
            np.testing.assert_allclose(display, wanted, atol=1e-5)
