"""`captum-fv swap-game`: do maps find the one part of a face that was swapped?"""

from __future__ import annotations

from argparse import ArgumentParser, Namespace

from captum_fv.benchmark.measure import score_clean_pairs
from captum_fv.benchmark.operating_point import OperatingPoint, given_thresholds
from captum_fv.benchmark.settings import BenchmarkSettings
from captum_fv.benchmark.swap_run import face_parts, play_swap_game
from captum_fv.cli.inputs import load_patched, load_siamese, method_names, model_name
from captum_fv.cli.options import add_option, add_run_options, positive
from captum_fv.data.pairs import PairSet
from captum_fv.data.swaps import SwappedFaces, generated_swaps, transplanted_swaps
from captum_fv.report.swap_tables import plot_swap_game, plot_twins, swap_table
from captum_fv.siamese.backbone import contract
from captum_fv.siamese.model import SiameseCosine

HELP = "measure whether maps find the one part of a face that was swapped"
DESCRIPTION = """
Every face gets twins that have one part of somebody else's: generated people by their parameters,
photos by a transplanted region. Where the model tells a twin from the face, a map has to say by
what. The pairs set the threshold. Writes table.md, table.csv, curves.png and twins.png beside a
run's files. The same command goes on where an interrupted one stopped."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    add_run_options(parser, default_out="captum-fv-out/swap-game")
    add_option(parser, "--faces", type=positive, default=60, help="how many faces get twins")
    parser.add_argument(
        "--no-match",
        action="store_true",
        help="only twins that no longer match the face's other photo, as published; few do",
    )


def run(options: Namespace) -> None:
    """Play the game, print its table."""
    siamese = load_siamese(options)
    pairs = load_patched(options, contract(siamese.backbone).size).clean
    names = method_names(options)
    threshold = _threshold(options, siamese, pairs)
    faces = _faces(options, pairs)
    found = play_swap_game(
        siamese,
        faces,
        names,
        threshold,
        options.out,
        no_match=options.no_match,
        seed=options.seed or 0,
        command=options.command_line,
        show_progress=True,
    )
    table = swap_table(found)
    title = f"{model_name(options.model)}, {faces.name}, threshold {threshold:.3f}"
    text = "\n".join([title, "", table.markdown(), *table.notes])
    (options.out / "table.md").write_text(f"{text}\n", encoding="utf-8")
    (options.out / "table.csv").write_text(table.csv(), encoding="utf-8")
    plot_swap_game(found, title).savefig(options.out / "curves.png", dpi=150)
    plot_twins(faces).savefig(options.out / "twins.png", dpi=150)
    print(f"{table.caption}\n\n{text}\n")
    print(f"wrote table.md, table.csv, curves.png and twins.png to {options.out}")


def _threshold(options: Namespace, siamese: SiameseCosine, pairs: PairSet) -> float:
    """As given, else set on the pairs."""
    settings = BenchmarkSettings(threshold=options.threshold, fmr=options.fmr)
    if given := given_thresholds({"model": siamese}, settings):
        return given["model"]
    clean = score_clean_pairs(
        siamese,
        pairs,
        batch_size=options.batch_size,
        device=options.device,
        show_progress=True,
    )
    return OperatingPoint(fmr=options.fmr).threshold_on(clean.scores, clean.genuine)


def _faces(options: Namespace, pairs: PairSet) -> SwappedFaces:
    seed = options.seed or 0
    if pairs.name == "generated":
        return generated_swaps(options.faces, seed)
    return transplanted_swaps(pairs, face_parts(pairs.load(0).shape[:2]), options.faces, seed)
