"""Pages of the pairs that a run's gallery shows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain, zip_longest
from pathlib import Path

import torch

from captum_fv.benchmark.results import BenchmarkResults
from captum_fv.data.pairs import to_image
from captum_fv.data.patched_pairs import PatchedPairs
from captum_fv.explain.explainer import PairExplainer
from captum_fv.report.gallery import choose_pairs
from captum_fv.report.tables import ALL_CONTROLS
from captum_fv.report.write import file_name, pairs_of_a_kind
from captum_fv.siamese.model import SiameseCosine

FOLDER = "pairs"


def write_run_pages(
    results: BenchmarkResults,
    pairs: PatchedPairs,
    models: Mapping[str, SiameseCosine],
    out: str | Path,
    count: int,
    *,
    device: str | torch.device = "cpu",
    show_progress: bool = False,
) -> dict[str, dict[int, str]]:
    """Explain the first pairs of a run's gallery anew, each on a page of its own.

    Shown are the photos that were measured, A with its patches, under the run's methods and at its
    threshold.

    Args:
        results: The run.
        pairs, models: What it measured.
        out: Where the report is to be; the pages come into `pairs/` there.
        count: At most so many pages for a model.
        device: Where the models are.
        show_progress: Show bars.

    Returns:
        Model's name -> pair's number -> its page, relative to `out`, as `write_report` takes them.
    """
    pages: dict[str, dict[int, str]] = {}
    for name, found in results.models.items():
        shown = choose_pairs(found, pairs_of_a_kind(len(results.models)))
        numbers = _one_of_each_kind_in_turn(shown)[:count]
        pages[name] = {}
        if not numbers:
            continue
        explainer = PairExplainer(
            models[name],
            found.threshold,
            methods=[method for method in found.methods if method not in ALL_CONTROLS] or None,
            device=device,
            name=name,
        )
        explainer.threshold = explainer.threshold._replace(source="the run's")
        for number in numbers:
            patched_a, _, img_b = pairs.tensors([number])
            explained = explainer.explain(
                to_image(patched_a[0]),
                to_image(img_b[0]),
                names=(f"pair {number}, A with patches", f"pair {number}, B"),
                aligned=True,
                show_progress=show_progress,
            )
            page = f"{FOLDER}/{file_name(name, results.models)}-{number}.html"
            explained.save(Path(out) / page)
            pages[name][number] = page
    return pages


def _one_of_each_kind_in_turn(shown: Mapping[str, Sequence[int]]) -> list[int]:
    """Pair numbers: a false match, a false non-match, a disagreement, and so on."""
    in_turn = (number for number in chain(*zip_longest(*shown.values())) if number is not None)
    return list(dict.fromkeys(in_turn))
