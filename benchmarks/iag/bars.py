"""DPR of every method beside chance, a control and xSSAB, and the bars that ours is to meet."""

from __future__ import annotations

from iag.study import Study
from shared.cells import ratio

from captum_fv.metrics import DPRResult, Interval
from captum_fv.metrics.dpr_result import Rate
from captum_fv.report.text_table import Cell, TextTable

RATES: tuple[Rate, ...] = ("fmr", "fnmr")
REFERENCES = ("centre", "xssab")
BARS = (("iag_decision", 0.30, "centre"), ("iag_polarity", 0.36, "before_polarity"))


def before(name: str) -> str:
    """The same reading of the settings before: against a blurred face, and not the alternative."""
    return "before_polarity" if name.endswith("polarity") else "before_decision"


def gap(run: DPRResult, other: DPRResult | None, rate: Rate) -> Cell:
    """A run's AUC minus another's; nothing without one."""
    return "" if other is None else run.difference_to(other, rate)


def dpr_table(study: Study) -> TextTable:
    """DPR relative to chance, and paired differences to a control, xSSAB and what was before."""
    rows: list[list[Cell]] = []
    for name in study.names:
        run = study.run(name)
        row: list[Cell] = [name]
        row += [ratio(run, study.run("rnd"), rate) for rate in (*RATES, "mean")]
        others = [*REFERENCES, before(name)]
        known = [study.run(other) if other in study.names else None for other in others]
        row += [gap(run, other, rate) for other in known for rate in RATES]
        rows.append(row)
    header = ["method", "FMR / RND", "FNMR / RND", "mean / RND"]
    references = [*REFERENCES, "before"]
    header += [f"{rate} - {reference}" for reference in references for rate in ("FMR", "FNMR")]
    return TextTable("dpr", "DPR AUC over RND's, and minus others'.", header, rows)


def bars_table(study: Study) -> TextTable:
    """The bars: a ratio to chance, and both errors below a reference by a whole interval."""
    rows: list[list[Cell]] = []
    for name, bar, reference in BARS:
        run = study.run(name)
        share = ratio(run, study.run("rnd"))
        met = isinstance(share, Interval) and share.value <= bar
        rows.append([f"{name} / rnd at most {bar:.2f}", share, _answer(met)])
        for rate in RATES:
            less = run.difference_to(study.run(reference), rate)
            title = f"{name} - {reference}, {rate.upper()}, below 0"
            rows.append([title, less, _answer(less.high < 0)])
    return TextTable("bars", "The bars.", ["bar", "measured", "met"], rows)


def _answer(met: bool) -> str:
    return "yes" if met else "no"
