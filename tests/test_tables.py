"""Every figure of the tables against its definition, and the same figures in every format."""

import csv
import io
import re

import numpy as np
import pytest
from scipy.integrate import trapezoid

from captum_fv.metrics import DPRResult, Interval, eer_threshold, unbeaten_controls
from captum_fv.report.tables import benchmark_tables, dpr_table
from captum_fv.report.text_table import CONTROL, Rounded, TextTable
from tests.support.synthetic_run import GENUINE, METHODS, MODELS, SUBSET, synthetic_run

RUN = synthetic_run()
TABLES = {table.name: table for table in benchmark_tables(RUN)}
SLOW = "sl|ow_2"


def row_of(table, *key):
    (row,) = [row for row in table.rows if tuple(row[: len(key)]) == key]
    return dict(zip(table.header, row, strict=True))


def area(run, genuine):
    """One rate's area, from the definition: error share at each step, then trapezoids."""
    scores = run.scores[:, run.genuine == genuine]
    wrong = scores < run.threshold if genuine else scores >= run.threshold
    return trapezoid(wrong.mean(1))


def test_table_1_is_the_error_rates():
    for name, model in RUN.models.items():
        threshold = model.threshold
        false_match = (model.patched_scores[~GENUINE] >= threshold).mean()
        false_non_match = (model.patched_scores[GENUINE] < threshold).mean()
        fmr, fnmr = (
            (model.clean_scores[~GENUINE] >= threshold).mean(),
            (model.clean_scores[GENUINE] < threshold).mean(),
        )
        assert row_of(TABLES["table1"], name) == {
            "model": name,
            "pairs": "60",
            "EER": f"{(fmr + fnmr) / 2:.4f}",
            "threshold": f"{threshold:.4f}",
            "patched FMR": f"{false_match:.3f}",
            "patched FNMR": f"{false_non_match:.3f}",
        }


@pytest.mark.parametrize("table", ["table2", "table2_stratified"])
@pytest.mark.parametrize("method", METHODS)
def test_table_2_compares_on_the_same_pairs(table, method):
    results = RUN.models["net"].methods
    pairs = results[method].pairs
    runs = {}
    for name in (method, "rnd", "centre"):
        run = results[name].dpr if table == "table2" else results[name].stratified
        columns = np.isin(results[name].pairs, pairs)
        repaired = run.repaired_scores[columns]
        # The threshold is the EER's of all pairs: on all of them, intervals find it anew.
        rule = eer_threshold if len(pairs) == len(GENUINE) else None
        runs[name] = DPRResult(
            run.scores[:, columns], repaired, GENUINE[pairs], run.threshold, None, rule
        )
    row = row_of(TABLES[table], "net", method)
    assert row["pairs"] == str(len(pairs))
    fmr, fnmr = area(runs[method], genuine=False), area(runs[method], genuine=True)
    assert row["FMR AUC"].value == pytest.approx(fmr)
    assert row["FNMR AUC"].value == pytest.approx(fnmr)
    for control, title in (("rnd", "RND"), ("centre", "centre")):
        ratios = [area(runs[method], kind) / area(runs[control], kind) for kind in (False, True)]
        assert row[f"FMR / {title}"].value == pytest.approx(ratios[0])
        assert row[f"FNMR / {title}"].value == pytest.approx(ratios[1])
        assert row[f"mean / {title}"].value == pytest.approx(np.mean(ratios))
        assert row[f"mean / {title}"] == runs[method].relative_to(runs[control])
    for cell in row.values():
        if isinstance(cell, Interval):
            assert cell.low <= cell.value <= cell.high


def test_table_2_names_the_controls_that_a_method_does_not_beat():
    for name in ("fast", SLOW):
        runs = {other: result.dpr for other, result in RUN.models["net"].on_pairs_of(name).items()}
        expected = unbeaten_controls(name, runs)
        verdict = row_of(TABLES["table2"], "net", name)["does not beat"]
        assert str(verdict) == (", ".join(expected) or "beats all")
        assert verdict.kind == ("bad" if expected else "good")
    assert row_of(TABLES["table2"], "net", "oracle")["does not beat"] == CONTROL
    beaten = synthetic_run(models=["net"], methods={"fast": 0.1, "rnd": 4.0, "centre": 4.0})
    lost = synthetic_run(models=["net"], methods={"fast": 4.0, "rnd": 0.1, "centre": 4.0})
    tables = [benchmark_tables(run)[1] for run in (beaten, lost)]
    cells = [row_of(table, "net", "fast")["does not beat"] for table in tables]
    assert [str(cell) for cell in cells] == ["beats all", "rnd, centre"]


def test_a_subset_is_said_to_be_one():
    assert row_of(TABLES["table2"], "net", SLOW)["pairs"] == str(len(SUBSET))
    assert "fewer pairs" in " ".join(TABLES["table2"].notes)
    whole = benchmark_tables(synthetic_run(methods={"fast": 1.0, "rnd": 1.0}))[1]
    assert "fewer pairs" not in " ".join(whole.notes)


def test_localisation_and_latency_are_means_and_sums():
    result = RUN.models["net"].methods[SLOW]
    row = row_of(TABLES["localisation"], "net", SLOW)
    assert row["AUROC"].value == pytest.approx(result.auroc.mean())
    assert row["average precision"].value == pytest.approx(result.average_precision.mean())
    threshold = RUN.models["net"].threshold
    patched = RUN.models["net"].patched_scores[result.pairs]
    false_matches = (patched >= threshold) & ~GENUINE[result.pairs]
    false_non_matches = (patched < threshold) & GENUINE[result.pairs]
    for kind, some in (("matches", false_matches), ("non-matches", false_non_matches)):
        assert 0 < some.sum() < len(some)
        cell = row[f"AUROC on false {kind}"]
        assert cell.value == pytest.approx(result.auroc[some].mean())
        cell = row[f"average precision on false {kind}"]
        assert cell.value == pytest.approx(result.average_precision[some].mean())
    row = row_of(TABLES["table3"], "net", SLOW)
    seconds = result.latency.seconds
    expected = [seconds.mean(), seconds.sum(), result.latency.batched_total]
    cells = [row[title] for title in ("mean of a pair", "total one by one", "total in batches")]
    assert [float(cell) for cell in cells] == pytest.approx(expected, rel=6e-3)
    assert row["pairs"] == "8"


def test_only_measured_tables_are_there():
    run = synthetic_run(models=["net"], methods={"fast": 1.0}, timed=False, stratified=False)
    tables = benchmark_tables(run)
    assert [table.name for table in tables] == ["table1", "table2", "localisation"]
    assert tables[1].header == ["model", "method", "pairs", "FMR AUC", "FNMR AUC"]


def test_one_models_runs_make_a_table_without_models():
    runs = {name: result.dpr for name, result in RUN.models["net"].methods.items() if name != SLOW}
    table = dpr_table(runs)
    assert table.header[:2] == ["method", "pairs"]
    assert [row[0] for row in table.rows] == list(runs)


def test_a_baseline_without_errors_gives_a_dash():
    scores = np.tile([[0.9, 0.1, 0.8, 0.2]], (5, 1))
    run = DPRResult(scores, scores[0], np.array([True, False, True, False]), 0.5)
    row = row_of(dpr_table({"rnd": run, "fast": run}), "fast")
    assert row["FMR / RND"] == row["mean / RND"] == "-"


def test_ties_and_constant_maps_are_named_where_they_count():
    scores = np.random.default_rng(0).normal(size=(5, 40))
    genuine = np.arange(40) % 2 == 0

    def run(*shares):
        return DPRResult(scores, scores[-1], genuine, 0.0, np.resize(shares, 40))

    notes = dpr_table({"a": run(0.0, 0.05), "b": run(0.2, 0.4), "c": run(0.1, 1.0)}).notes
    assert notes[-2] == "Constant maps, which say nothing and score as chance: c 20 of 40."
    assert notes[-1].endswith("positions whose value another one has too: b 30 %.")
    for quiet in (dpr_table({"a": run(0.0)}), dpr_table({"oracle": run(0.6)})):
        assert "too:" not in " ".join(quiet.notes)


def figures(text):
    return re.findall(r"-?\d+\.\d+", text)


@pytest.mark.parametrize("table", TABLES.values(), ids=list(TABLES))
def test_markdown_csv_and_latex_hold_the_same_figures(table):
    rows = list(csv.reader(io.StringIO(table.csv())))
    assert len({len(row) for row in rows}) == 1
    markdown = table.markdown().splitlines()
    latex = table.latex()
    body = latex[latex.index(r"\midrule") :].splitlines()[1:]
    assert len(rows) - 1 == len(markdown) - 2 == len(table.rows)
    for line, row in enumerate(table.rows):
        expected = figures(" ".join(str(cell) for cell in row))
        full = iter(rows[line + 1])
        for title, cell in zip(table.header, row, strict=True):
            if isinstance(cell, Interval):
                found = [float(next(full)) for _ in cell]
                assert tuple(found) == cell  # every digit
            elif isinstance(cell, Rounded):
                assert float(next(full)) == cell.value == pytest.approx(float(cell), rel=0.05)
            else:
                assert next(full) == str(cell)
                if title in table.with_interval:
                    assert next(full) == next(full) == ""
        assert figures(markdown[line + 2]) == expected
        assert figures(body[line]) == expected
        assert rows[line + 1][:2] == [str(cell) for cell in row[:2]]


def test_names_cannot_break_a_format():
    table = TextTable("t", "A & B_1.", ["a|b", "c"], [["[x] \\ # {} ~^", "<b>\n|"]])
    assert table.markdown().splitlines()[2] == r"| [x] \\ # {} ~^ | &lt;b> \| |"
    latex = table.latex()
    assert r"{[}x] \textbackslash{} \# \{\} \textasciitilde{}\textasciicircum{} & <b> | \\" in latex
    assert r"\caption{A \& B\_1.}" in latex
    assert list(csv.reader(io.StringIO(table.csv())))[1] == ["[x] \\ # {} ~^", "<b>\n|"]
    assert MODELS[1].replace("<", "&lt;") in TABLES["table1"].markdown()


HOSTILE = {
    "=HYPERLINK(1)": "'=HYPERLINK(1)",
    "+1+cmd|' /C calc'!A0": "'+1+cmd|' /C calc'!A0",
    "@SUM(A1)": "'@SUM(A1)",
    "-2+3": "'-2+3",
    "\t=1": "'\t=1",
    "\r=1": "\\r=1",
    "-0.5": "-0.5",
    "-": "-",
    "\x1b]0;x\x07net\x9b2J": "\\x1b]0;x\\x07net\\x9b2J",
    "a\u202eb": "a\\u202eb",
}


@pytest.mark.parametrize(("name", "shown"), HOSTILE.items())
def test_names_cannot_run_anything(name, shown):
    table = TextTable("t", "A.", ["method", name], [[name, Interval(-1.0, -2.0, 0.5)]])
    header, row = csv.reader(io.StringIO(table.csv()))
    assert header[1:] == [shown, f"{shown} low", f"{shown} high"]
    assert row == [shown, "-1.0", "-2.0", "0.5"]
    for text in (table.csv(), table.markdown(), table.latex()):
        assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e]", text)


def test_names_cannot_fetch_anything():
    name = "![x](https://example.org/pixel.png) [y](https://example.org)"
    shown = TextTable("t", "A.", ["method"], [[name]]).markdown()
    assert "![" not in shown
    assert "](" not in shown


def test_columns_are_the_same_whether_or_not_there_are_errors():
    rng = np.random.default_rng(0)
    genuine = np.arange(80) % 2 == 0
    right = np.tile(np.where(genuine, 1.0, -1.0), (5, 1))
    wrong = right * np.where(rng.random((5, 80)) < 0.5, 1, -1)
    headers = []
    for scores in (right, wrong):
        run, rnd = (DPRResult(scores, right[0], genuine, 0.0) for _ in range(2))
        headers.append(dpr_table({"mine": run, "rnd": rnd}).csv().splitlines()[0])
    assert headers[0] == headers[1]
    assert "FMR / RND low" in headers[0]


def test_too_few_errors_have_no_interval():
    genuine = np.arange(80) % 2 == 0
    right = np.tile(np.where(genuine, 1.0, -1.0), (5, 1))
    one_wrong = right.copy()
    one_wrong[:3, 1] *= -1
    table = dpr_table({"mine": DPRResult(one_wrong, right[0], genuine, 0.0)})
    row = row_of(table, "mine")
    assert str(row["FMR AUC"]) == "0.06 (too few errors)"
    assert str(row["FNMR AUC"]) == "0.00 (too few errors)"
    assert list(csv.reader(io.StringIO(table.csv())))[1][2:5] == ["0.0625", "", ""]
    assert "Too few errors: of fewer than 5 pairs at any step." in table.notes


def test_a_small_run_says_so():
    assert TABLES["table1"].notes[0].startswith("There are only 30 pairs of one class")


def test_rows_must_fit_the_header():
    with pytest.raises(ValueError, match="t: got a row of 1 cells; want 2"):
        TextTable("t", "", ["a", "b"], [["1"]])


def test_tables_show_themselves_and_become_frames():
    table = TABLES["table2"]
    assert repr(table).startswith("TextTable('table2', 10 rows of model, method, pairs, FMR AUC")
    assert "<script>" not in table._repr_html_()
    pytest.importorskip("pandas")
    frame = table.to_pandas()
    assert ",".join(frame.columns) == table.csv().splitlines()[0]
    first = row_of(table, "net", "fast")
    assert frame.loc[0, ["FMR AUC", "FMR AUC low", "FMR AUC high"]].tolist() == list(
        first["FMR AUC"]
    )
