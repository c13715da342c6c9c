"""benchmarks/all_methods.py: every method is in it once, and a small table says what it must."""

import sys
from collections import Counter
from pathlib import Path

import pytest
from torch import nn

from captum_fv.attr.methods import METHODS, expand_names
from tests.test_what_dpr_measures import small_faces

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    import all_methods

    return all_methods


def test_every_method_is_measured_once(script):
    grouped = [name for group in script.GROUPS.values() for name in expand_names(group.methods)]
    assert Counter(grouped) == Counter(list(METHODS))


@pytest.mark.extended
def test_the_table_has_all_figures_of_what_is_finished(script, monkeypatch, tmp_path, capsys):
    coarse = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 192, bias=False)).eval()
    nn.init.eye_(coarse[-1].weight)
    monkeypatch.setattr(script, "load_backbone", lambda name: coarse)
    monkeypatch.setattr(script, "load_pairs", lambda options: small_faces(None)[0])
    groups = {
        "controls": script.Group(("rnd", "controls"), 48, 24, 2, 0),
        "gradients": script.Group(("xssab", "gradcam"), 24, 8, 1, 0),
        "later": script.Group(("fame",), 24, 8, 1, 0),
    }
    monkeypatch.setattr(script, "GROUPS", groups)
    arguments = ["x", "--out", str(tmp_path), "--groups", "controls,gradients"]
    monkeypatch.setattr(sys, "argv", arguments)
    script.main()
    capsys.readouterr()
    tables = {}
    for name in ("all_methods", "lu", "sanity", "deletion"):
        lines = (tmp_path / f"{name}.md").read_text(encoding="utf-8").splitlines()
        tables[name] = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
    rows = {row[0]: row for row in tables["all_methods"][2:]}
    # fame was not asked for.
    assert list(rows) == [
        "xssab",
        "gradcam",
        "rnd",
        "oracle",
        "difference",
        "sensitivity",
        "centre",
    ]
    header = tables["all_methods"][0]
    assert rows["oracle"][header.index("misled AUROC")] == "1.00 [1.00, 1.00]"
    assert "signed" in rows["centre"][header.index("fails sanity")]
    assert rows["xssab"][header.index("pairs")] == "24"
    assert {row[1] for row in tables["deletion"][2:]} == {
        "rnd",
        "difference",
        "sensitivity",
        "centre",
    }
    monkeypatch.setattr(sys, "argv", ["x", "--groups", "all"])
    with pytest.raises(SystemExit):
        script.main()
    assert "got all" in capsys.readouterr().err
