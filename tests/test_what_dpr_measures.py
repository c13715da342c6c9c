"""benchmarks/dpr/what_it_measures.py on a few generated faces: what it must say of the controls."""

import sys
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from captum_fv.data import PairSet, patch_pairs

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture
def script(monkeypatch):
    monkeypatch.syspath_prepend(BENCHMARKS)
    from dpr import what_it_measures

    return what_it_measures


def small_faces(arguments):
    """Noise of 32x32 pixels, a face for each person and more noise for each photo."""
    genuine = np.repeat(np.arange(12), 4)
    impostor = np.random.default_rng(0).permuted(np.tile(np.arange(12), (4, 1)), axis=1).ravel()
    people = np.concatenate([genuine, impostor])

    def load(image):
        face, light = np.random.default_rng(people[image]), np.random.default_rng(100 + image)
        grid = 128 + 40 * face.normal(size=(8, 8, 3)) + 40 * light.normal(size=(8, 8, 3))
        return grid.clip(0, 255).astype(np.uint8).repeat(4, 0).repeat(4, 1)

    faces = PairSet("noise", people.tolist(), load)
    return patch_pairs(faces, count=9, patch=9), faces, faces


@pytest.mark.extended
def test_controls_read_as_they_must(script, monkeypatch, tmp_path, capsys):
    coarse = nn.Sequential(nn.AvgPool2d(4), nn.Flatten(), nn.Linear(192, 192, bias=False)).eval()
    nn.init.eye_(coarse[-1].weight)
    monkeypatch.setattr(script, "load_backbone", lambda name: coarse)
    monkeypatch.setattr(script, "load_pairs", small_faces)
    methods = "xssab,rnd,oracle,difference,sensitivity,centre"
    arguments = ["x", "--out", str(tmp_path), "--methods", methods]
    monkeypatch.setattr(sys, "argv", arguments)
    script.main()
    assert "48 of 48 pairs" in capsys.readouterr().out
    tables = {}
    for part in ("dpr", "localisation", "polarity", "deletion", "sanity"):
        lines = (tmp_path / f"{part}.md").read_text(encoding="utf-8").splitlines()
        header, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in lines]
        tables[part] = {row[0]: dict(zip(header, row, strict=True)) for row in rows}
        assert (tmp_path / f"{part}.csv").is_file()
    assert (tmp_path / "readings.png").stat().st_size > 1000
    dpr = tables["dpr"]
    assert list(dpr) == [*methods.split(","), "average"]
    for name in ("centre", "average"):  # the same map for every pair
        assert dpr[name]["own / other's map"] == "1.00 [1.00, 1.00]"
    assert dpr["rnd"]["published: mean / RND"] == "1.00 [1.00, 1.00]"
    assert tables["localisation"]["oracle"]["AUROC"].startswith("1.000")
    assert tables["localisation"]["centre"]["gain"] == "0.000 [0.000, 0.000]"
    assert "oracle" not in tables["deletion"]
    assert "survives random weights" in tables["sanity"]["centre"]["fails"]


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [(["--methods", "xssab,rnd"], "centre, sensitivity"), (["--parts", "dpr,all"], "got all")],
)
def test_wrong_arguments_are_named(script, monkeypatch, capsys, arguments, fault):
    monkeypatch.setattr(sys, "argv", ["x", *arguments])
    with pytest.raises(SystemExit):
        script.main()
    assert fault in capsys.readouterr().err
