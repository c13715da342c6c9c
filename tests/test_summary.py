"""What a run comes to: its sentences against the definitions, its table, and their narrow text."""

import numpy as np
import pytest

from captum_fv.metrics import unbeaten_controls
from captum_fv.report.summary import (
    chance_ratio,
    error_sentence,
    ranked_methods,
    result_sentence,
    summary_table,
)
from captum_fv.report.terminal import WIDTH, run_text, terminal_text
from captum_fv.report.text_table import TextTable
from tests.support.synthetic_run import METHODS, MODELS, SUBSET, synthetic_run

RUN = synthetic_run()
NET = RUN.models["net"]


def runs_with(method, model=NET):
    return {name: found.dpr for name, found in model.on_pairs_of(method).items()}


def test_the_sentence_names_the_method_with_the_lowest_ratio_and_what_it_does_not_beat():
    ratios = {}
    for name in ("fast", "sl|ow_2"):
        runs = runs_with(name)
        ratios[name] = runs[name].relative_to(runs["rnd"])
        assert chance_ratio(NET, name) == ratios[name]
    assert ranked_methods(NET) == sorted(ratios, key=lambda name: ratios[name].value)
    assert result_sentence("net", NET) == (
        f"On net, fast has {ratios['fast']} of chance's area, the lowest of 2 methods, and beats "
        "every control."
    )
    lost = synthetic_run(methods={"fast": 4.0, "rnd": 0.1, "centre": 4.0}).models["net"]
    unbeaten = unbeaten_controls("fast", runs_with("fast", lost))
    assert unbeaten == ["rnd", "centre"]
    assert result_sentence("x", lost).endswith(
        "of chance's area, but does not beat rnd and centre."
    )


def test_a_subset_and_missing_controls_are_said():
    run = synthetic_run(methods={"sl": 0.2, "rnd": 1.0}).models["net"]
    assert result_sentence("net", run).endswith(
        f"of chance's area on {len(SUBSET)} of 60 pairs; no control but chance was measured beside "
        "it."
    )


def test_without_chance_areas_are_compared_on_the_most_pairs():
    run = synthetic_run(methods={"sl": 0.1, "b": 2.0, "a": 0.5}).models["net"]
    assert ranked_methods(run) == ["a", "b"]
    dpr = run.methods["a"].dpr
    said = result_sentence("net", run)
    assert said.endswith("; no control was measured beside it.")
    assert (
        f"areas of {dpr.fmr_auc:.2f} (FMR) and {dpr.fnmr_auc:.2f} (FNMR), the lowest of 2" in said
    )
    header = summary_table(synthetic_run(methods={"a": 1.0})).header
    assert header[3:5] == ["FMR area", "FNMR area"]


@pytest.mark.parametrize("methods", [{}, {"rnd": 1.0, "centre": 1.0}])
def test_without_a_method_there_is_a_sentence_too(methods):
    run = synthetic_run(methods=methods, timed=False)
    assert result_sentence("net", run.models["net"]).startswith("On net, no method was measured")
    assert "EER" in run_text(run)


def test_the_models_errors_are_said():
    fmr, fnmr = NET.patched_errors
    assert error_sentence("net", NET) == (
        f"net: EER {NET.eer:.4f} on 60 clean pairs, threshold {NET.threshold:.4f} (EER); with "
        f"patches FMR {fmr:.3f}, FNMR {fnmr:.3f}."
    )


def test_the_table_has_the_figures_of_the_results():
    table = summary_table(RUN)
    assert [row[:2] for row in table.rows] == [[m, name] for m in MODELS for name in METHODS]
    for model, name, *row in table.rows:
        cells = dict(zip(table.header[2:], row, strict=True))
        found, runs = RUN.models[model].methods[name], runs_with(name, RUN.models[model])
        assert cells["of chance"] == runs[name].relative_to(runs["rnd"])
        assert float(cells["finds patches"]) == pytest.approx(found.auroc.mean(), abs=0.005)
        assert cells["s / pair"].value == found.latency.seconds.mean()
        if name in ("fast", "sl|ow_2"):
            unbeaten = unbeaten_controls(name, runs)
            assert str(cells["does not beat"]) == (", ".join(unbeaten) or "beats all")
        else:
            assert str(cells["does not beat"]) == "(control)"


@pytest.mark.parametrize("width", [60, 80, 100, 200])
def test_text_is_narrow_and_has_each_row_once(width):
    table = summary_table(RUN)
    lines = terminal_text(table, width).splitlines()
    assert max(map(len, lines)) <= max(width, 76)  # the least that these columns take
    for model in MODELS:
        assert lines.count(f"{model}:") == 1
    for name in METHODS:
        assert sum(line.startswith(f"{name} ") for line in lines) == 2
    assert (" [" in "".join(lines)) == (width >= 100)


def test_a_run_fits_the_terminal():
    methods = dict.fromkeys(("occlusion_alt", "a_method_of_a_longer_name", "rnd", "centre"), 1.0)
    run = synthetic_run(models=["a model"], methods=methods | {"sensitivity": 0.1})
    assert max(map(len, run_text(run).splitlines())) <= WIDTH


def test_names_cannot_steer_the_terminal():
    table = TextTable("t", "A.", ["model", "method"], [["a\x1b[2J\nb", "\u202ex"]])
    assert terminal_text(table).splitlines()[-2:] == ["a\\x1b[2J b:", "\\u202ex"]
    assert terminal_text(TextTable("t", "A.", ["a"], [])).splitlines()[-1] == "a"


def test_too_few_errors_are_said_once_for_all_rows():
    run = synthetic_run(models=["net"], methods={"fast": 1.0, "rnd": 1.0})
    dpr = run.models["net"].methods["rnd"].dpr
    dpr.scores[:] = np.where(dpr.genuine, 1.0, -1.0)
    table = summary_table(run)
    assert "FMR area" in table.header
    assert "of chance" not in table.header
