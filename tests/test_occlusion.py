from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from captum_fv.attr.occlusion_masks import PatchPlan
from captum_fv.attr.occlusion_pair_attribution import OcclusionPairAttribution
from captum_fv.attr.smoothing import gaussian_blur
from captum_fv.siamese import SiameseCosine
from tests.shared import SHARED, needs_shared

HEIGHT, WIDTH = 9, 12


def tiny_siamese(mean: float | None = 0.5) -> SiameseCosine:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        backbone = nn.Sequential(
            nn.Conv2d(3, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(4 * 7 * 10, 6)
        )
    return SiameseCosine(backbone.eval(), mean=mean, std=mean)


def photos(count: int = 1, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    draws = torch.rand(2, count, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(5))
    return draws[0].to(dtype), draws[1].to(dtype)


def naive_blur(picture: np.ndarray, kernel: int = 5, sigma: float = 5.0) -> np.ndarray:
    half = kernel // 2
    weight = [math.exp(-(i**2) / (2 * sigma**2)) for i in range(-half, half + 1)]
    padded = np.pad(picture, half, mode="reflect")
    out = np.zeros_like(picture)
    for y in range(picture.shape[0]):
        for x in range(picture.shape[1]):
            for i in range(kernel):
                for j in range(kernel):
                    out[y, x] += weight[i] * weight[j] * padded[y + i, x + j]
    return out / sum(weight) ** 2


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


def test_noise_stays_in_the_images_range_and_covers_all_images_alike() -> None:
    seen: list[Tensor] = []

    class Recorder(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            seen.append(images)
            return images.flatten(1)

    img_a, img_b = photos(2)
    method = OcclusionPairAttribution(
        SiameseCosine(Recorder().eval()),
        2,
        (HEIGHT - 1,),
        fill="noise",
        generator=torch.Generator().manual_seed(1),
    )
    method.attribute(img_a, img_b)
    fields = []
    for k, face in ((1, img_a[0]), (2, img_b[0]), (4, img_a[1]), (5, img_b[1])):
        low, high = face.amin((1, 2), keepdim=True), face.amax((1, 2), keepdim=True)
        fields.append(((seen[k][0] - low) / (high - low))[..., :HEIGHT])
        assert fields[-1].min() >= 0
        assert fields[-1].max() <= 1
    assert fields[0].std() > 0.2
    for field in fields[1:]:
        torch.testing.assert_close(field, fields[0])


@needs_shared
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


def test_counts_at_the_published_size() -> None:
    grids = PatchPlan((7, 14, 28), 5).grids(torch.empty(112, 112))
    assert [len(grid) for grid in grids] == [441, 400, 289]
    masks = next(grids[0].masks(500))
    assert masks.sum((1, 2)).unique().tolist() == [64]
    assert not masks[:, 108:].any()
    covering = PatchPlan((7, 14, 28), 5, cover_edges=True).grids(torch.empty(112, 112))
    assert all(torch.cat(list(grid.masks(99))).any(0).all() for grid in covering)


@pytest.mark.parametrize("size", [4, 5])
def test_circles_are_centred_in_their_square(size: int) -> None:
    [grid] = PatchPlan((size,), 1, "circle").grids(torch.empty(size + 1, size + 1))
    [mask] = next(grid.masks(1))
    assert mask.equal(mask.flip(0))
    assert mask.equal(mask.flip(1))
    assert mask.equal(mask.T)
    assert mask[0].any()
    assert not mask[0, 0]


class Counter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.images = self.most = 0

    def forward(self, images: Tensor) -> Tensor:
        self.images += len(images)
        self.most = max(self.most, len(images))
        return images.flatten(1) + 1


@pytest.mark.parametrize(
    ("variants", "explain", "sides"),
    [((2,), "both", 2), ((2,), "a", 1), ((2,), "b", 1), ((1,), "a", 2), ((1, 2, 3), "both", 2)],
)
def test_cost_is_as_foretold(variants: Any, explain: Any, sides: int) -> None:
    counter = Counter().eval()
    method = OcclusionPairAttribution(SiameseCosine(counter), 2, (3, 4), (2, 3), fill=0.0)
    patches = 3 * 5 + 2 * 3
    images = photos(2)
    foretold = method.num_forwards(images[0], variants=variants, explain=explain)
    method.attribute_variants(*images, variants=variants, explain=explain, perturbations_per_eval=7)
    assert counter.images == foretold == 2 * (sides * patches + 2)
    assert counter.most == 7


@pytest.mark.parametrize("variant", [1, 2, 3])
def test_explaining_one_image_gives_its_map_and_zeros(variant: Any) -> None:
    method = OcclusionPairAttribution(tiny_siamese(), variant, (3, 4), 2)
    images = photos(dtype=torch.float32)
    both = method.attribute(images)
    for side, name in enumerate("ab"):
        found = method.attribute(images, explain=name)  # type: ignore[arg-type]
        torch.testing.assert_close(found[side], both[side], rtol=1e-4, atol=1e-8)
        assert not found[1 - side].any()


@pytest.mark.parametrize("fill", ["black", "noise"])
def test_pairs_do_not_see_each_other_and_batches_do_not_matter(fill: Any) -> None:
    def maps(a: Tensor, b: Tensor, count: int) -> list[Tensor]:
        method = OcclusionPairAttribution(
            tiny_siamese(), 1, (3, 4), fill=fill, generator=torch.Generator().manual_seed(2)
        )
        return [*method.attribute(a, b, perturbations_per_eval=count)]

    img_a, img_b = photos(3, torch.float32)
    together = maps(img_a, img_b, 32)
    for i in range(3):
        alone = maps(img_a[i : i + 1], img_b[i : i + 1], 32)
        assert all(x[i].equal(y[0]) for x, y in zip(together, alone, strict=True))
    swapped = maps(img_b, img_a, 3)
    torch.testing.assert_close(together, swapped[::-1], rtol=1e-3, atol=1e-7)


def test_leaves_images_random_state_and_gradient_mode_alone() -> None:
    images = tuple(x.requires_grad_() for x in photos(dtype=torch.float32))
    before, state = [x.detach().clone() for x in images], torch.get_rng_state()
    siamese = tiny_siamese()
    method = OcclusionPairAttribution(
        siamese, fill="noise", patch_sizes=(3,), generator=torch.Generator()
    )
    maps = method.attribute(*images, show_progress=True)
    assert all(x.equal(y) and x.grad is None for x, y in zip(images, before, strict=True))
    assert torch.get_rng_state().equal(state)
    assert torch.is_grad_enabled()
    # Ordinary tensors, on which a user may go on computing.
    assert (maps[0] * torch.ones(1, requires_grad=True)).requires_grad


def test_the_bar_tells_the_cost_before_the_first_forward(
    capsys: pytest.CaptureFixture[str],
) -> None:
    method = OcclusionPairAttribution(tiny_siamese(), patch_sizes=(3, 4), stride=(2, 3))
    method.attribute(*photos(dtype=torch.float32), show_progress=True)
    assert "0/44 " in capsys.readouterr().err
    method.attribute(*photos(dtype=torch.float32))
    assert not capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"variant": 4}, ValueError, "variant: got 4"),
        ({"patch_sizes": (3, 9)}, ValueError, "a patch of 9 covers 10 .* want patches below 9"),
        ({"patch_sizes": ()}, ValueError, "patch_sizes: got"),
        ({"patch_sizes": (3, 2.5)}, ValueError, "patch_sizes: got"),
        ({"stride": 0}, ValueError, r"stride: got \[0"),
        ({"stride": -2}, ValueError, r"stride: got \[-2"),
        ({"stride": (2, 2, 2)}, ValueError, "one for each size"),
        ({"shape": "star"}, ValueError, "shape: got 'star'"),
        ({"fill": "white"}, ValueError, "fill: got 'white'"),
        ({"fill": float("nan")}, ValueError, "fill: got nan"),
        ({"fill": None}, TypeError, "fill: got None"),
        ({"fill": "noise"}, ValueError, "generator="),
        ({"forward_func": tiny_siamese(None)}, ValueError, "mean=0.5.*fill=-1.0"),
        ({"forward_func": lambda a, b: a}, TypeError, "SiameseCosine"),
        ({"forward_func": lambda a, b: a, "variant": 2}, ValueError, "fill=-1.0"),
    ],
    ids=str,
)
def test_bad_options(options: dict[str, Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        OcclusionPairAttribution(
            **{"forward_func": tiny_siamese(), "patch_sizes": (3, 4)} | options
        ).attribute(*photos(dtype=torch.float32))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"perturbations_per_eval": 0}, "perturbations_per_eval: got 0"),
        ({"explain": "c"}, "explain: got 'c'"),
        ({"target": 1}, "target"),
    ],
)
def test_bad_arguments(arguments: dict[str, Any], message: str) -> None:
    method = OcclusionPairAttribution(tiny_siamese(), patch_sizes=(3,))
    with pytest.raises(ValueError, match=message):
        method.attribute(*photos(dtype=torch.float32), **arguments)
    with pytest.raises(ValueError, match="variants: got none"):
        method.attribute_variants(*photos(), variants=())


def test_embeddings_that_are_not_finite_are_refused() -> None:
    class Broken(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            return images.flatten(1) / 0

    method = OcclusionPairAttribution(SiameseCosine(Broken().eval()), patch_sizes=(3,), fill=0.0)
    with pytest.raises(ValueError, match="NaN or infinite"):
        method.attribute(*photos())


@pytest.mark.parametrize(("kernel", "sigma"), [(5, 5.0), (3, 0.7), (1, 1.0)])
def test_blur_equals_the_sum_over_the_window(kernel: int, sigma: float) -> None:
    maps = torch.randn(2, 3, 4, 7, dtype=torch.float64)
    found = gaussian_blur(maps, kernel, sigma)
    for picture, blurred in zip(maps.flatten(0, 1), found.flatten(0, 1), strict=True):
        np.testing.assert_allclose(blurred, naive_blur(picture.numpy(), kernel, sigma), atol=1e-12)


@pytest.mark.parametrize(("kernel", "sigma"), [(4, 1.0), (3, 0.0), (7, 1.0)])
def test_blur_refuses_windows_that_do_not_fit(kernel: int, sigma: float) -> None:
    with pytest.raises(ValueError, match=f"kernel={kernel}"):
        gaussian_blur(torch.zeros(1, 1, 3, 3), kernel, sigma)
