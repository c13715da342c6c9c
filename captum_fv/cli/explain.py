"""`captum-fv explain`: two photos, or a list of pairs: which match, and why."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

import PIL.Image

from captum_fv.benchmark.settings import evenly
from captum_fv.cli.inputs import load_siamese, method_names, model_name
from captum_fv.cli.options import METHOD_NAMES, add_model_options, add_option, folds, positive
from captum_fv.core.files import check_output
from captum_fv.data.face_search import FoundFaces, SeveralFacesError
from captum_fv.data.pair_lists import read_pairs
from captum_fv.explain.explainer import DEFAULT_METHODS, PairExplainer
from captum_fv.explain.explanation import SAVED_AS, PairExplanation, check_saved_as
from captum_fv.explain.pair_folder import explain_list
from captum_fv.report.numbered_faces import number_faces
from captum_fv.report.pair_document import PairDocument
from captum_fv.report.pictures import verdict
from captum_fv.siamese.backbone import contract
from captum_fv.siamese.model import SiameseCosine

HELP = "say whether two photos match, and why, on a page"
DESCRIPTION = """
Say whether two photos match, and show what spoke for it (green) and against it (pink), on a page to
look into. Photos may be as they come: the face is found, aligned, and the maps laid over the photo.
With --pairs, a whole list of pairs, and an index of them all."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    parser.add_argument("img_a", type=Path, nargs="?", metavar="A.jpg", help="a photo")
    parser.add_argument(
        "img_b", type=Path, nargs="?", metavar="B.jpg", help="the photo to compare it with"
    )
    _add_face_options(parser)
    add_model_options(parser)
    parser.add_argument(
        "--threshold",
        type=float,
        help="cosine from which a pair matches; `captum-fv dpr` finds it for your model "
        "(default: the calibration's; the demo model has its own)",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FILE",
        help="what `captum-fv calibrate` wrote for this model: says how strong the score is as "
        "evidence",
    )
    parser.add_argument(
        "--size",
        type=positive,
        nargs=2,
        metavar=("H", "W"),
        help="height and width of aligned faces, if the model does not say (default: 112 112)",
    )
    parser.add_argument(
        "--reference",
        type=Path,
        metavar="FACE",
        help="for methods that ask against whom a match was: a picture of a mean face, or a folder "
        "of other people's aligned photos, whose mean is taken (default: each photo, blurred)",
    )
    parser.add_argument(
        "--strangers",
        type=Path,
        metavar="FOLDER",
        help="other people's photos, best a hundred: says what is no more than theirs would show",
    )
    methods = f"some of {METHOD_NAMES}; commas between (default: {','.join(DEFAULT_METHODS)})"
    parser.add_argument("--methods", "--method", help=methods)
    parser.add_argument(
        "--fast", action="store_true", help="one map by gradients alone, and no regions"
    )
    listed = parser.add_argument_group("a list of pairs, in place of two photos")
    kinds = "a list of any kind that `dpr` takes, or of two photos a line"
    listed.add_argument("--pairs", type=Path, help=kinds)
    listed.add_argument("--data", type=Path, help="the folder that its photos are in")
    listed.add_argument("--folds", type=folds, metavar="1-4", help="some folds of a list with them")
    listed.add_argument("--limit", type=positive, help="so many pairs, spread evenly over the list")
    what = "pair.html, or pair.png, .jpg, .pdf, .svg, .json; with --pairs the folder to write to"
    add_option(parser, "--out", default=Path("pair.html"), help=f"what to write: {what}")


def _add_face_options(parser: ArgumentParser) -> None:
    group = parser.add_argument_group("faces")
    for side in "ab":
        which = f"which face of {side.upper()}, counted from 1 on the left"
        group.add_argument(f"--face-{side}", type=positive, metavar="N", help=which)
    group.add_argument("--largest", action="store_true", help="take the largest of several faces")
    group.add_argument(
        "--aligned",
        action="store_true",
        help="the photos are aligned faces of the model's size: look for none",
    )


def run(options: Namespace) -> None:
    """Explain the pair or the list, say what came out, write it."""
    if options.pairs is not None:
        return _run_list(options)
    if any((options.data, options.folds, options.limit)):
        raise ValueError("--data, --folds, --limit: these are of a list; give it with --pairs")
    if options.img_a is None or options.img_b is None:
        raise ValueError("want two photos, A.jpg B.jpg, or a list of pairs with --pairs")
    if options.aligned and (options.face_a or options.face_b or options.largest):
        raise ValueError(
            "--aligned: no face is looked for; leave --face-a, --face-b, --largest out"
        )
    try:
        out = check_saved_as(options.out)
    except ValueError as error:
        raise ValueError(f"--out: {error}") from error
    check_output(out, options.img_a, options.img_b, options.calibration, options.reference)
    explainer = _explainer(options)
    try:
        found = explainer.explain(
            options.img_a,
            options.img_b,
            face_a=options.face_a,
            face_b=options.face_b,
            largest=options.largest,
            aligned=options.aligned,
            show_progress=True,
        )
    except SeveralFacesError as error:
        picture = _write_numbered(error.found, out)
        raise ValueError(
            f"{error}; {picture} shows their numbers: give --face-a, --face-b, or --largest"
        ) from error
    found.save(out)
    _print(found)
    print(f"wrote {out}")


def _run_list(options: Namespace) -> None:
    """Explain every pair of a list into a folder."""
    if options.img_a is not None:
        raise ValueError("--pairs: want two photos or a list, not both")
    if options.face_a or options.face_b:
        raise ValueError("--face-a, --face-b: these are of one pair; a list takes --largest")
    is_bin = options.pairs.suffix.lower() == ".bin"
    if options.data is None and not is_bin:
        raise ValueError("--pairs: give --data too, the folder that its photos are in")
    if options.data is not None and not options.data.is_dir():
        raise ValueError(
            f"--data: {options.data} is no folder; want the one that the photos are in"
        )
    if options.out.suffix.lower() in SAVED_AS:
        options.out = options.out.with_suffix("")
    pairs = read_pairs(options.data or Path(), options.pairs, folds=options.folds, unlabelled=True)
    if options.limit is not None:
        pairs = pairs.subset(evenly(len(pairs), options.limit).tolist())
    done = explain_list(
        _explainer(options),
        pairs,
        options.out,
        largest=options.largest,
        aligned=options.aligned,
        show_progress=True,
    )
    print(done)


def _explainer(options: Namespace) -> PairExplainer:
    siamese = load_siamese(options)
    _know_size(options, siamese)
    return PairExplainer(
        siamese,
        options.threshold,
        methods=None if options.methods is None else method_names(options),
        calibration=options.calibration,
        strangers=options.strangers,
        reference=options.reference,
        fast=options.fast,
        device=options.device,
        name=model_name(options.model),
    )


def _know_size(options: Namespace, siamese: SiameseCosine) -> None:
    """Have the model know the size of its photos: its own, else the user's, else 112x112."""
    carried = contract(siamese.backbone).size
    given = None if options.size is None else (options.size[0], options.size[1])
    if carried is not None and given not in (None, carried):
        raise ValueError(
            f"--size: {options.model} takes {carried[0]}x{carried[1]}; leave the option out"
        )
    vars(siamese.backbone)["size"] = carried or given or (112, 112)


def _write_numbered(found: FoundFaces, out: Path) -> Path:
    """Write a picture of a photo's faces with their numbers, beside what was to be written."""
    path = out.with_name(f"{out.stem}_faces.png")
    boxes = [face.box for face in found.faces]
    PIL.Image.fromarray(number_faces(found.photo, boxes)).save(path)
    return path


def _print(found: PairExplanation) -> None:
    document = found.document
    print(verdict(found.score, found.threshold))
    print(f"threshold: {document.threshold_from}")
    if document.evidence is not None:
        print(document.evidence.sentence)
    if found.regions is not None:
        print(f"\n{found.regions}\n")
    for sentence in (*document.summary, *_of_photos(document), *document.limits):
        print(sentence)


def _of_photos(document: PairDocument) -> list[str]:
    """How each face was had, and what to know of it."""
    lines = []
    for letter, view in zip("AB", document.photos, strict=True):
        how = f"face found by {view.found_by}" if view.faces else view.found_by
        lines.append(" ".join([f"{letter} ({view.name}): {how}.", *view.notes]))
    return lines
