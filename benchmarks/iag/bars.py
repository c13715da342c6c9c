"""DPR of every method beside chance, a control and xSSAB, and the bars that ours is to meet."""

from __future__ import annotations

from iag.study import Study
from shared.cells import ratio

from captum_fv.metrics import Interval
from captum_fv.metrics.dpr_result import Rate
from captum_fv.report.text_table import Cell, TextTable

RATES: tuple[Rate, ...] = ("fmr", "fnmr")
REFERENCES = ("centre", "xssab")


def dpr_table(study: Study) -> TextTable:
    """DPR relative to chance, and paired differences to a control and to xSSAB."""
    rows: list[list[Cell]] = []
    for name in study.names:
        run = study.run(name)
        row: list[Cell] = [name]
        row += [ratio(run, study.run("rnd"), rate) for rate in (*RATES, "mean")]
        for reference in REFERENCES:
            row += [run.difference_to(study.run(reference), rate) for rate in RATES]
        rows.append(row)
    header = ["method", "FMR / RND", "FNMR / RND", "mean / RND"]
    header += [f"{rate} - {reference}" for reference in REFERENCES for rate in ("FMR", "FNMR")]
    return TextTable("dpr", "DPR AUC over RND's, and minus others'.", header, rows)


def bars_table(study: Study) -> TextTable:
    """The bars: a ratio to chance, and both errors below a reference by a whole interval."""
    rows: list[list[Cell]] = []
    for name, bar, reference in (("iag_decision", 0.30, "centre"), ("iag_polarity", 0.50, "xssab")):
        run = study.run(name)
        share = ratio(run, study.run("rnd"))
        met = isinstance(share, Interval) and share.value <= bar
        rows.append([f"{name} / rnd at most {bar:.2f}", share, _answer(met)])
        for rate in RATES:
            gap = run.difference_to(study.run(reference), rate)
            title = f"{name} - {reference}, {rate.upper()}, below 0"
            rows.append([title, gap, _answer(gap.high < 0)])
    return TextTable("bars", "The bars.", ["bar", "measured", "met"], rows)


def _answer(met: bool) -> str:
    return "yes" if met else "no"
