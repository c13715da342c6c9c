"""A list of pairs, explained into a folder: pages, tables, an index, and going on after a stop."""

import csv
import json

import PIL.Image
import pytest

import captum_fv as fv
from captum_fv.cli import main
from captum_fv.data import read_pairs
from captum_fv.explain import PairExplainer, explain_list
from tests.test_commands import fails

HOSTILE = "<img src=x onerror=alert(1)>.png"


@pytest.fixture
def listed(tmp_path):
    """Three pairs in a folder, the last of which has a photo that is none."""
    folder = tmp_path / "photos"
    folder.mkdir()
    pairs = fv.generated_pairs(4)
    for i, name in enumerate(("=a.png", "b.png", "c.png", HOSTILE)):
        PIL.Image.fromarray(pairs.load(i)).save(folder / name)
    (folder / "broken.png").write_bytes(b"none")
    text = f"=a.png,b.png,1\n{HOSTILE},c.png,0\nbroken.png,c.png,0\n"
    (tmp_path / "list.csv").write_text(text)
    return folder, tmp_path / "list.csv", tmp_path / "out"


def test_a_list_need_not_say_who_is_who(listed, capsys, monkeypatch):
    folder, path, out = listed
    path.write_text("=a.png,b.png\nc.png b.png\n")
    command = ["explain", "--pairs", str(path), "--data", str(folder), "--out", str(out)]
    assert main([*command, "--fast", "--aligned"]) == 0
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [row["genuine"] for row in rows] == [None, None]
    assert [row["a"] for row in rows] == ["=a.png", "c.png"]
    index = (out / "index.html").read_text()
    assert "labels" not in index
    assert "Label" not in index
    with pytest.raises(ValueError, match="path path label"):
        read_pairs(folder, path)


def test_a_list_becomes_pages_tables_and_an_index(listed, capsys, monkeypatch):
    folder, path, out = listed
    command = ["explain", "--pairs", str(path), "--data", str(folder), "--out", str(out)]
    command += ["--fast", "--aligned"]
    assert main(command) == 0
    assert "wrote 2 of 3 pages" in capsys.readouterr().out
    rows = [json.loads(line) for line in (out / "results.jsonl").read_text().splitlines()]
    assert [row["genuine"] for row in rows] == [True, False, False]
    assert [row["error"] is None for row in rows] == [True, True, False]
    assert "broken.png: want an image file" in rows[2]["error"]
    pair = fv.explain_photos(folder / "=a.png", folder / "b.png", fast=True, aligned=True)
    assert rows[0]["score"] == pytest.approx(pair.score, abs=1e-6)
    with (out / "results.csv").open() as file:
        table = list(csv.DictReader(file))
    assert float(table[0]["score"]) == rows[0]["score"]
    assert table[0]["a"] == "'=a.png"  # which no spreadsheet computes
    index = (out / "index.html").read_text()
    assert "<img src=x" not in index
    assert "&lt;img src=x onerror" in index
    assert 'href="pairs/0001.html"' in index
    assert "not explained: " in index
    made = {file: file.stat().st_mtime_ns for file in (out / "pairs").glob("*.html")}
    assert len(made) == 2

    monkeypatch.setattr(PairExplainer, "explain", lambda *_, **__: pytest.fail("made again"))
    assert main(command) == 0
    capsys.readouterr()
    assert {file: file.stat().st_mtime_ns for file in (out / "pairs").glob("*.html")} == made
    said = fails(capsys, *command, "--threshold", "0.5")
    assert "holds pages of a list with threshold 0.3005, and this is 0.5" in said


@pytest.mark.parametrize("damaged", ['{"pair":', "[]", "{}"])
def test_what_was_cut_off_is_made_anew(listed, damaged):
    folder, path, out = listed
    pairs = read_pairs(folder, path)
    explainer = PairExplainer(fast=True)
    explain_list(explainer, pairs, out, aligned=True)
    before = {file.name: file.read_bytes() for file in out.rglob("*") if file.is_file()}
    (out / "pairs" / "0001.html").unlink()
    (out / "pairs" / "0002.json").write_text(damaged)
    (out / "index.html").unlink()
    explain_list(explainer, pairs, out, aligned=True)
    assert {file.name: file.read_bytes() for file in out.rglob("*") if file.is_file()} == before


def test_damaged_settings_are_named(listed, capsys):
    folder, path, out = listed
    out.mkdir()
    (out / "settings.json").write_text("{")
    command = ["explain", "--pairs", str(path), "--data", str(folder), "--out", str(out), "--fast"]
    assert "settings.json: cannot be read" in fails(capsys, *command)


def test_other_folders_and_options_are_refused(listed, capsys):
    folder, path, out = listed
    out.mkdir()
    (out / "mine.txt").write_text("mine")
    command = ["explain", "--pairs", str(path), "--data", str(folder), "--out", str(out), "--fast"]
    assert "--data, --folds, --limit: these are of a list" in fails(
        capsys, "explain", "a.png", "b.png", "--limit", "3"
    )
    assert "holds mine.txt and no pages of a list" in fails(capsys, *command)
    assert "is a file" in fails(capsys, *command[:6], str(out / "mine.txt"))
    assert "give --data too" in fails(capsys, "explain", "--pairs", str(path))
    assert "a list takes --largest" in fails(capsys, *command, "--face-a", "1")
    nowhere = [*command[:4], str(folder / "none"), *command[5:]]
    assert "none is no folder" in fails(capsys, *nowhere)


def test_names_follow_the_pairs(listed):
    folder, path, _ = listed
    pairs = read_pairs(folder, path)
    assert pairs.names == ["=a.png", "b.png", HOSTILE, "c.png", "broken.png", "c.png"]
    assert pairs.subset([1]).names == [HOSTILE, "c.png"]
    assert fv.generated_pairs(2).subset([0]).names == ()
