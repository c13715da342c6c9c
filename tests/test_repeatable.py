"""Asked again, and without its company: what a backbone must answer, and how closely."""

from contextlib import nullcontext

import captum.attr as captum
import pytest
import torch
from PIL import Image
from torch import nn

from captum_fv.cli import main
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.nets import random_pair, small_siamese

TWICE = "two embeddings when asked twice"
BATCH = "depends on the other images of its batch"


def nothing(values):
    return values


class Own(nn.Module):
    """The small backbone, with something done to its images or embeddings."""

    def __init__(self, before=nothing, after=nothing):
        super().__init__()
        self.net, self.before, self.after = small_siamese().backbone, before, after
        self.asked = []

    def forward(self, images):
        self.asked.append(len(images))
        return self.after(self.net(self.before(images)))


def own(**changes):
    return SiameseCosine(Own(**changes).eval(), mean=0.5, std=0.5)


OF_THE_BATCH = {
    "a mean of embeddings": {"after": lambda embeddings: embeddings - embeddings.mean(0)},
    "a mean of pixels": {"before": lambda images: images - images.mean()},
    "its size": {"before": lambda images: images * len(images)},
    "the first image": {"before": lambda images: images + 0.1 * images[:1]},
}


@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("name", OF_THE_BATCH)
def test_any_first_batch_shows_what_depends_on_it(name, same, count):
    images = random_pair(count)[0]
    images = images[:1].expand_as(images) if same else images
    siamese = own(**OF_THE_BATCH[name])
    for _ in range(2):  # what is refused stays so
        with pytest.raises(ValueError, match=BATCH):
            siamese.embed_images(images)


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("size", [2, 6, "any"])
def test_programs_may_take_one_batch_size_and_no_statistics_of_it(size, training):
    example = torch.rand(6 if size == "any" else size, 3, 20, 18)
    shapes = ({0: torch.export.Dim("size", min=2)},) if size == "any" else None
    net = small_siamese().backbone
    program = torch.export.export(net.train(training), (example,), dynamic_shapes=shapes)
    siamese, pair = SiameseCosine(program, mean=0.5, std=0.5), random_pair(len(example) // 2)
    if training:
        with pytest.raises(ValueError, match="a program exported in training mode"):
            siamese(*pair)
    else:
        torch.testing.assert_close(siamese(*pair), small_siamese()(*pair))


def _traced_in_training(path):
    example = torch.rand(4, 3, 20, 18)
    traced = torch.jit.trace(small_siamese().backbone.train(), example, check_trace=False)
    torch.jit.save(traced, path)


def _exported_in_training(path):
    net, shapes = small_siamese().backbone.train(), ({0: torch.export.Dim("size", min=2)},)
    torch.export.save(
        torch.export.export(net, (torch.rand(4, 3, 20, 18),), dynamic_shapes=shapes), path
    )


class Centred(nn.Module):
    """Embeddings minus the mean of their batch."""

    def __init__(self):
        super().__init__()
        self.net = small_siamese().backbone

    def forward(self, images):
        embeddings = self.net(images)
        return embeddings - embeddings.mean(0)


def _centred(path):
    torch.jit.save(torch.jit.trace(Centred().eval(), torch.rand(4, 3, 20, 18)), path)


OF_FILES = {
    "traced.pt": _traced_in_training,
    "exported.pt2": _exported_in_training,
    "centred.pt": _centred,
}


@pytest.mark.parametrize("name", OF_FILES)
def test_programs_that_mix_their_batch_are_refused_from_files_too(name, tmp_path, capsys):
    path = tmp_path / name
    OF_FILES[name](path)
    says = "depends on the other images of its batch .*exported in training mode or traced.*eval"
    for backbone in (load_backbone(path), nn.Sequential(load_backbone(path)).eval()):
        with pytest.raises(ValueError, match=says):
            SiameseCosine(backbone, 0.5, 0.5)(*random_pair(2))
    photos = [str(tmp_path / f"{side}.png") for side in "ab"]
    for photo, image in zip(photos, random_pair(1), strict=True):
        Image.fromarray((image[0] * 255).byte().permute(1, 2, 0).numpy()).save(photo)
    out = ["--size", "20", "18", "--threshold", "0.3", "--out", str(tmp_path / "out.png")]
    assert main(["explain", *photos, "--model", str(path), *out]) != 0
    assert "depends on the other images of its batch" in capsys.readouterr().err
    assert not (tmp_path / "out.png").exists()


@pytest.mark.parametrize("name", ["traced.pt", "centred.pt"])
def test_a_program_that_pytorch_loads_is_asked_as_well(name, tmp_path):
    OF_FILES[name](tmp_path / name)
    siamese = SiameseCosine(torch.jit.load(tmp_path / name), 0.5, 0.5)
    if name == "traced.pt":
        with pytest.raises(ValueError, match=r"training mode.*siamese.eval\(\)"):
            siamese(*random_pair(2))
    with pytest.raises(ValueError, match=BATCH):  # the mode is burnt in
        siamese.eval()(*random_pair(2))


def rounding(share, when):
    """Embeddings that are off by this share of the largest value, from time to time."""
    calls = []

    def after(embeddings):
        calls.append(len(embeddings))
        return embeddings + share * embeddings.abs().max() * when(len(calls), len(embeddings))

    return after


PRECISIONS = {  # dtype of the model, autocast -> the relative rounding that is let pass
    "double": (torch.float64, nullcontext, (1e-5, 1e-3)),
    "single": (torch.float32, nullcontext, (1e-5, 1e-3)),
    "half": (torch.float16, nullcontext, (1e-3, 1e-2)),
    "bfloat16": (torch.bfloat16, nullcontext, (8e-3, 8e-2)),
    "autocast": (torch.float32, lambda: torch.autocast("cpu", torch.bfloat16), (8e-3, 8e-2)),
}


@pytest.mark.parametrize("name", PRECISIONS)
@pytest.mark.parametrize("alone", [False, True], ids=["twice", "alone"])
def test_rounding_is_not_taken_for_another_answer(name, alone):
    dtype, context, allowed = PRECISIONS[name]
    when = (lambda call, size: size == 1) if alone else (lambda call, size: call == 1)

    def ask(share):
        siamese = own(after=rounding(share, when)).to(dtype)
        with context():
            return siamese(*(image.to(dtype) for image in random_pair(2)))

    ask(allowed[alone] / 3)
    with pytest.raises(ValueError, match=BATCH if alone else TWICE):
        ask(allowed[alone] * 3)


@pytest.mark.parametrize("half", ["nothing", "embeddings", "weights"])
def test_what_is_half_within_a_model_in_single_rounds_like_half(half):
    after = rounding(3e-3, lambda call, size: size == 1)
    siamese = own()
    backbone = siamese.backbone
    if half == "weights":
        backbone.net.half()
        backbone.before = torch.Tensor.half
    backbone.after = {
        "nothing": after,
        "embeddings": lambda embeddings: after(embeddings.half()),
        "weights": lambda embeddings: after(embeddings.float()),
    }[half]
    if half == "nothing":
        with pytest.raises(ValueError, match=BATCH):
            siamese(*random_pair())
    else:
        assert siamese(*random_pair()).dtype == torch.float32


def test_grids_are_asked_for_themselves():
    siamese, pair = small_siamese(), random_pair()
    siamese(*pair)
    features = siamese.backbone.features
    siamese.backbone.features = lambda images: features(images) * torch.rand(1)
    with pytest.raises(ValueError, match="one image two grids"):
        siamese.grids(pair[0])
    siamese.backbone.features = lambda images: features(images) / features(images).std(0)
    with pytest.raises(ValueError, match=rf"the grid of an image {BATCH}"):
        siamese.grids(pair[0])
    siamese.backbone.features = features
    torch.testing.assert_close(siamese.grids(pair[0]), features((pair[0] - 0.5) / 0.5))


def test_the_world_is_left_as_one_call_leaves_it():
    def draws(images):
        torch.rand(3)
        return images

    siamese, (images, _) = own(before=draws), random_pair()
    captured = []
    siamese.backbone.net.register_forward_hook(lambda module, args, out: captured.append(out))
    torch.manual_seed(5)
    siamese.embed_images(images)
    state = torch.get_rng_state()
    torch.manual_seed(5)
    torch.rand(3)
    assert torch.equal(state, torch.get_rng_state())
    # A hook that keeps the last or the first answer keeps the user's.
    assert [len(out) for out in captured] == [4, 1, 4]
    assert [out.requires_grad for out in captured] == [False, False, True]


def test_it_is_asked_once_from_then_on_and_where_nobody_can_look():
    pair = random_pair()
    siamese = own()
    siamese(*pair)
    siamese.embed(*pair)
    assert siamese.backbone.asked == [8, 1, 8, 8]
    ways = {
        "captum": lambda siamese: captum.Saliency(siamese).attribute(pair),
        "vmap": lambda siamese: torch.func.vmap(lambda a, b: siamese(a[None], b[None]))(*pair),
        "trace": lambda siamese: torch.jit.trace(siamese, pair, check_trace=False),
        "export": lambda siamese: torch.export.export(siamese, pair),
    }
    for name, way in ways.items():
        siamese = own()
        way(siamese)
        assert len(siamese.backbone.asked) == (0 if name == "export" else 1), name


class Dead(nn.Module):
    """Gives every image the same embedding, but for rounding."""

    def forward(self, images):
        return 1 + 1e-6 * images.flatten(1)[:, :5]


def test_one_embedding_for_all_images_is_spoken_of():
    """As of a dead network, or of images far out of its range: every pair is a match."""
    img_a, img_b = random_pair(2)
    with pytest.warns(UserWarning, match="gives unlike images the same embedding"):
        SiameseCosine(Dead().eval())(img_a, img_b)


@pytest.mark.filterwarnings("error")
def test_images_that_are_alike_may_have_one_embedding():
    img_a, _ = random_pair(2)
    first = img_a[:1].repeat(2, 1, 1, 1)
    faint = first.clone()
    faint[..., 0, 0] += 0.5
    SiameseCosine(Dead().eval())(first, faint)
    small_siamese()(first, faint)


def test_photos_divided_twice_are_spoken_of():
    img_a, img_b = random_pair(2)
    with pytest.warns(UserWarning, match=r"up to 0\.0039.*divided by 255 twice"):
        SiameseCosine(small_siamese().backbone, 0.5, 0.5)(img_a / 255, img_b / 255)
