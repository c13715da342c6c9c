"""xFace: where its patches lie, what a sweep costs and leaves alone, and bad options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from captum_fv.attr.xface import OcclusionPairAttribution
from captum_fv.attr.xface_patches import PatchPlan
from captum_fv.siamese import SiameseCosine
from tests.support.occlusion import photos, tiny_siamese


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
    siamese, images = SiameseCosine(counter), photos(2)
    siamese(*images)  # the first call asks the backbone more often
    counter.images = counter.most = 0
    method = OcclusionPairAttribution(siamese, 2, (3, 4), (2, 3), fill=0.0)
    patches = 3 * 5 + 2 * 3
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
