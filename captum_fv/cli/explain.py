"""`captum-fv explain`: one pair of photos, its verdict and its maps in a picture."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import torch

from captum_fv.attr.controls import PatchOracle
from captum_fv.attr.methods import build_methods
from captum_fv.attr.smoothing import wants_blur
from captum_fv.benchmark.maps import maps_of_pair, reads_reference
from captum_fv.cli.inputs import load_siamese, method_names
from captum_fv.cli.options import METHOD_NAMES, add_model_options, add_option, positive
from captum_fv.core.arrays import Image
from captum_fv.data.images import read_image
from captum_fv.data.mean_face import read_reference_face
from captum_fv.data.pairs import to_tensor
from captum_fv.report.pictures import PICTURE_SUFFIXES, plot_pair, verdict
from captum_fv.siamese.backbone import contract
from captum_fv.siamese.model import SiameseCosine

HELP = "explain one pair of photos in a picture"
DESCRIPTION = """
Say whether two photos match, and paint over each what spoke for it (green) and against it (pink).
The photos must be aligned as the model wants them, most often to 112x112: `captum-fv align` does
that."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("img_a", type=Path, metavar="A.jpg", help="an aligned photo")
    parser.add_argument("img_b", type=Path, metavar="B.jpg", help="the photo to compare it with")
    add_model_options(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        help="cosine from which a pair matches; `captum-fv dpr` finds it for your model "
        "(the demo model has its own)",
    )
    parser.add_argument(
        "--size",
        type=positive,
        nargs=2,
        metavar=("H", "W"),
        help="height and width of the photos, if the model does not say (default: 112 112)",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FACE",
        help="for methods that ask against whom a match was: a picture of a mean face, or a folder "
        "of other people's aligned photos, whose mean is taken (default: each photo, blurred)",
    )
    methods = f"one or more of {METHOD_NAMES}; commas between"
    add_option(parser, "--methods", "--method", default="xssab", help=methods)
    add_option(parser, "--out", default=Path("panel.png"), help="the picture to write")


def run(options: Namespace) -> None:
    """Explain the pair, say the verdict, write the picture."""
    out: Path = options.out
    if out.is_dir() or out.suffix.lower() not in PICTURE_SUFFIXES:
        raise ValueError(
            f"--out: {out} is no picture's name; write one that ends in "
            f"{', '.join(PICTURE_SUFFIXES)}"
        )
    out.parent.mkdir(parents=True, exist_ok=True)
    siamese = load_siamese(options)
    threshold = _threshold(options, siamese)
    size = _size(options, siamese)
    img_a, img_b = (
        to_tensor([_read_aligned(path, size)]).to(options.device)
        for path in (options.img_a, options.img_b)
    )
    with torch.no_grad():
        score = siamese(img_a, img_b).item()
    methods = build_methods(method_names(options), siamese, threshold)
    for name, method in methods.items():
        if isinstance(method, PatchOracle):
            raise ValueError(
                f"{name}: it knows the patches of a Patch set; `captum-fv dpr` takes it"
            )
    reference = None
    if options.reference is not None:
        if not any(map(reads_reference, methods.values())):
            raise ValueError("--reference: none of these methods asks for it; leave it out")
        reference = read_reference_face(options.reference, size).to(options.device)
    elif score >= threshold and any(map(reads_reference, methods.values())):
        print("somebody else's face: each photo under a heavy blur; --reference takes a better one")
    maps = maps_of_pair(methods, (img_a, img_b), show_progress=True, reference=reference)
    blur = [name for name, method in methods.items() if wants_blur(method)]
    plot_pair(img_a, img_b, maps, score, threshold, blur).savefig(out, dpi=150)
    print(verdict(score, threshold))
    print(f"wrote {out}")


def _size(options: Namespace, siamese: SiameseCosine) -> tuple[int, int]:
    """Height and width that photos must have: the model's, else the user's, else 112x112."""
    carried = contract(siamese.backbone).size
    given = None if options.size is None else (options.size[0], options.size[1])
    if carried is not None and given not in (None, carried):
        raise ValueError(
            f"--size: {options.model} takes {carried[0]}x{carried[1]}; leave the option out"
        )
    size = carried or given or (112, 112)
    vars(siamese.backbone)["size"] = size  # known from here on
    return size


def _read_aligned(path: Path, size: tuple[int, int]) -> Image:
    """The photo in a file, or an error that says how it comes to that size."""
    photo = read_image(path)
    if photo.shape[:2] != size:
        raise ValueError(
            f"{path}: got {photo.shape[0]}x{photo.shape[1]} pixels (height x width); want a face "
            f"aligned to {size[0]}x{size[1]}: captum-fv align {path} aligned.png --size "
            f"{size[0]} {size[1]}. If the model takes another size, give --size H W"
        )
    return photo


def _threshold(options: Namespace, siamese: SiameseCosine) -> float:
    """The user's threshold, else the model's own."""
    threshold: float | None = options.threshold
    if threshold is None:
        threshold = contract(siamese.backbone).threshold
    if threshold is None:
        raise ValueError(
            f"--threshold is missing: {options.model} does not say from which cosine it matches; "
            "`captum-fv dpr` finds it on your pairs"
        )
    if not -1 <= threshold <= 1:
        raise ValueError(f"--threshold: got {threshold}; want a cosine, in [-1, 1]")
    return threshold
