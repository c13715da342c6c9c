"""`captum-fv calibrate`: how strong a model's scores are as evidence, set on known pairs."""

from __future__ import annotations

from argparse import ArgumentParser, Namespace
from pathlib import Path

from captum_fv.benchmark.measure import score_clean_pairs
from captum_fv.benchmark.provenance import model_hash
from captum_fv.cli.inputs import load_pairs, load_siamese, model_name
from captum_fv.cli.options import add_data_options, add_model_options, add_option, positive
from captum_fv.core.files import check_output
from captum_fv.metrics.likelihood import Calibration
from captum_fv.metrics.rates import warn_of_few
from captum_fv.report.calibration_figure import plot_calibration
from captum_fv.siamese.backbone import contract

HELP = "set how strong a model's scores are as evidence"
DESCRIPTION = """
Score pairs of whom it is known who they show, and set from them the likelihood ratio of a score and
the threshold at an FMR. Writes calibration.json, for `captum-fv explain --calibration`, and beside
it a picture: reliability, Tippett plot, DET. The pairs should be like those that it is to speak
of."""


def add(parser: ArgumentParser) -> None:
    """Its options."""
    add_data_options(parser, patches=False)
    add_model_options(parser, head=False)
    share = "the share of impostor pairs that may match from the threshold on"
    add_option(parser, "--fmr", default=0.001, help=share)
    at_once = "pairs scored at once (default: 16, and on CUDA what a trial finds to be fastest)"
    parser.add_argument("--batch-size", type=positive, help=at_once)
    add_option(parser, "--out", default=Path("calibration.json"), help="the file to write")


def run(options: Namespace) -> None:
    """Score the pairs, calibrate, say what came of it."""
    out: Path = options.out
    if out.is_dir() or out.suffix.lower() != ".json":
        raise ValueError(f"--out: {out} is no calibration's name; write one that ends in .json")
    check_output(out, options.pairs)
    if not 0 < options.fmr < 1:
        raise ValueError(f"--fmr: got {options.fmr}; want a share above 0 and below 1, as 0.001")
    siamese = load_siamese(options)
    pairs = load_pairs(options, contract(siamese.backbone).size)
    if pairs.genuine.all() or not pairs.genuine.any():
        kind = "genuine" if pairs.genuine.all() else "impostor"
        raise ValueError(f"{pairs.name}: all {len(pairs)} pairs are {kind} ones; want both kinds")
    warn_of_few(pairs.genuine)
    scored = score_clean_pairs(
        siamese, pairs, batch_size=options.batch_size, device=options.device, show_progress=True
    )
    calibration = Calibration.fit(
        scored.scores,
        scored.genuine,
        pairs.people,
        fmr=options.fmr,
        data=pairs.name,
        model=model_name(options.model),
        model_hash=model_hash(siamese),
    )
    calibration.save(out)
    picture = out.with_suffix(".png")
    plot_calibration(calibration, scored.scores, scored.genuine).savefig(picture, dpi=150)
    print(calibration)
    print(f"wrote {out} and {picture}")
