"""The commands as a user types them: what they print and write, and how they fail."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

from captum_fv.attr import CentrePrior
from captum_fv.attr.methods import METHODS, build_methods
from captum_fv.benchmark import BenchmarkResults, BenchmarkSettings, run_benchmark
from captum_fv.benchmark.measure import score_clean_pairs
from captum_fv.cli import main
from captum_fv.data import generated_pairs, patch_pairs, read_patch_set
from captum_fv.data.alignment import TEMPLATE
from captum_fv.metrics import decision_patch_replacement, eer_threshold, equal_error_rate
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.shared import SHARED, needs_shared


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Two photos of one generated person, as files."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / "a.png", folder / "b.png"]
    for path, image in zip(paths, generated_pairs(2).pair(0), strict=True):
        Image.fromarray(image).save(path)
    return [str(path) for path in paths]


def test_explain_prints_the_verdict_and_writes_a_picture(photos, tmp_path, capsys):
    out = tmp_path / "new" / "panel.png"
    command = ["explain", *photos, "--threshold", "0.3", "--methods", "xssab,rnd", "--fast"]
    assert main([*command, "--out", str(out)]) == 0
    with torch.no_grad():
        score = SiameseCosine(load_backbone("demo"))(*generated_pairs(2).tensors([0])).item()
    printed = capsys.readouterr().out
    assert f"MATCH: cosine {score:.3f}, threshold 0.300, margin {score - 0.3:+.3f}" in printed
    pixels = np.asarray(Image.open(out).convert("RGB")).reshape(-1, 3).astype(int)
    green = (pixels[:, 1] - pixels[:, 0] > 60) & (pixels[:, 1] - pixels[:, 2] > 60)
    pink = (pixels[:, 0] - pixels[:, 1] > 60) & (pixels[:, 2] - pixels[:, 1] > 30)
    assert green.sum() > 1000
    assert pink.sum() > 1000


def test_the_demo_model_brings_its_threshold(photos, tmp_path, capsys):
    assert main(["explain", *photos, "--fast", "--out", str(tmp_path / "panel.png")]) == 0
    assert f"threshold {load_backbone('demo').threshold:.3f}" in capsys.readouterr().out


def test_explain_wants_a_size_that_it_knows(tmp_path, capsys):
    """A program takes any size, and unaligned strangers would match."""
    net = nn.Sequential(nn.Conv2d(3, 8, 7, 4), nn.ReLU(), nn.AdaptiveAvgPool2d(3), nn.Flatten())
    model = tmp_path / "program.pt"
    torch.jit.save(torch.jit.trace(net.eval(), torch.rand(2, 3, 64, 64)), model)
    photos = {}
    for size in ((250, 250), (112, 112), (160, 160), (112, 96)):
        photos[size] = [str(tmp_path / f"{size[0]}x{size[1]}_{side}.png") for side in "ab"]
        for seed, path in enumerate(photos[size]):
            pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
            Image.fromarray(pixels).save(path)
    options = ["--model", str(model), "--threshold", "0.3", "--fast"]
    options += ["--out", str(tmp_path / "out.png")]
    told = fails(capsys, "explain", *photos[250, 250], *options)
    assert "no face found in the 250x250 photo (height x width)" in told
    assert "want 112x112 pixels" in told
    assert "give --size H W" in told
    told = fails(capsys, "explain", *photos[250, 250], *options, "--aligned")
    assert "250x250 pixels (height x width); want a face aligned to 112x112" in told
    assert main(["explain", *photos[112, 112], *options]) == 0
    told = fails(capsys, "explain", *photos[160, 160], *options)
    assert "160x160" in told
    for size in ((160, 160), (112, 96), (250, 250)):
        given = ["--size", *map(str, size)]
        assert main(["explain", *photos[size], *options, *given]) == 0
    told = fails(capsys, "explain", *photos[160, 160], "--size", "160", "160")
    assert "--size: demo takes 112x112; leave the option out" in told
    assert main(["explain", *photos[112, 112], "--size", "112", "112", *options[-3:]]) == 0


@pytest.mark.extended
def test_patch_then_dpr_from_the_folder(tmp_path, capsys):
    patched = tmp_path / "set"
    assert main(["patch", "--limit", "20", "--out", str(patched)]) == 0
    manifest = json.loads((patched / "manifest.json").read_text())
    assert manifest["seed"] == 3
    assert len(read_patch_set(patched)) == 20
    out = tmp_path / "run"
    command = ["dpr", "--data", str(patched), "--methods", "rnd,centre", "--out", str(out)]
    assert main(command) == 0
    printed = capsys.readouterr().out
    assert "\nrnd " in printed
    assert "20 pairs, EER" in printed
    assert (out / "table.md").read_text().splitlines()[0] in printed
    Image.open(out / "curves.png").verify()

    siamese = SiameseCosine(load_backbone("demo"))
    pairs = read_patch_set(patched)
    clean = score_clean_pairs(siamese, pairs.clean)
    patched_a, original_a, img_b = pairs.tensors(range(20))
    map_a, _ = CentrePrior(siamese, clean.threshold).attribute((patched_a, img_b))
    expected = decision_patch_replacement(
        siamese, (patched_a, img_b), original_a, map_a, clean.threshold, pairs.genuine
    )
    with (out / "curves.csv").open() as file:
        rows = [row for row in csv.DictReader(file) if row["method"] == "centre"]
    np.testing.assert_allclose([float(row["fnmr"]) for row in rows], expected.fnmr, rtol=1e-5)
    np.testing.assert_allclose([float(row["replaced"]) for row in rows], np.arange(20) / 20)


def test_dpr_is_a_run_that_goes_on_and_is_refused_where_another_one_lies(tmp_path, capsys):
    command = ["dpr", "--limit", "6", "--methods", "rnd,centre", "--out", str(tmp_path / "run")]
    assert main(command) == 0
    first = capsys.readouterr().out
    (tmp_path / "run" / "table.md").unlink()
    assert main(command) == 0
    assert capsys.readouterr().out.splitlines()[:-1] == first.splitlines()[:-1]
    results = BenchmarkResults.load(tmp_path / "run")
    assert list(results.models) == ["demo"]
    assert results.models["demo"].methods["rnd"].stratified is None
    said = fails(capsys, *command[:-2], "--seed", "4", "--out", str(tmp_path / "run"))
    assert "holds a run with data" in said
    assert "choose another folder" in said


def test_lfw_layout_with_a_pairs_file(tmp_path, capsys):
    pairs = generated_pairs(4)
    for k, name in enumerate(["ann", "bea", "cat", "dan"]):
        (tmp_path / "lfw" / name).mkdir(parents=True)
        for n, image in enumerate(pairs.pair(k), 1):
            Image.fromarray(image).save(tmp_path / "lfw" / name / f"{name}_{n:04d}.png")
    text = "2\t1\nann\t1\t2\nann\t1\tbea\t1\ncat\t1\t2\ncat\t2\tdan\t2\n"
    (tmp_path / "pairs.txt").write_text(text)
    command = ["dpr", "--data", str(tmp_path / "lfw"), "--pairs", str(tmp_path / "pairs.txt")]
    assert main([*command, "--methods", "rnd", "--out", str(tmp_path / "run")]) == 0
    assert "4 pairs, EER" in capsys.readouterr().out


def test_clean_pairs_are_scored_as_the_metrics_say():
    siamese = SiameseCosine(load_backbone("demo"))
    pairs = generated_pairs(10)
    clean = score_clean_pairs(siamese, pairs, batch_size=3)
    with torch.no_grad():
        scores = siamese(*pairs.tensors(range(10)))
    np.testing.assert_allclose(clean.scores, scores, atol=1e-6)
    assert clean.threshold == eer_threshold(clean.scores, clean.genuine)
    assert clean.eer == equal_error_rate(clean.scores, clean.genuine)


@pytest.mark.extended
def test_batches_do_not_matter_and_the_oracle_repairs_all(tmp_path):
    siamese = {"demo": SiameseCosine(load_backbone("demo"))}
    patched = patch_pairs(generated_pairs(10))
    runs = []
    for size in (10, 3):
        settings = BenchmarkSettings(batch_size=size, stratified=False, latency_pairs=0)
        folder = tmp_path / str(size)
        results = run_benchmark(siamese, patched, ["oracle", "rnd"], folder, settings)
        runs.append({name: own.dpr for name, own in results.models["demo"].methods.items()})
    one, many = runs
    for name in one:
        np.testing.assert_allclose(many[name].scores, one[name].scores, atol=1e-5)
    # The oracle repairs all patches in the first half; nothing is left to repair after it.
    np.testing.assert_allclose(one["oracle"].scores[-1], one["oracle"].repaired_scores, atol=1e-6)


def test_every_named_method_can_be_built():
    siamese = SiameseCosine(load_backbone("demo"))
    assert list(build_methods(METHODS, siamese, 0.3)) == list(METHODS)
    assert list(build_methods(["controls"], siamese, 0.3))[-1] == "centre"


def test_models_are_listed(capsys):
    assert main(["models"]) == 0
    assert "elasticface-arc" in capsys.readouterr().out


def test_methods_are_listed_with_cost_and_source(capsys):
    assert main(["methods"]) == 0
    said = capsys.readouterr().out
    assert [line for line in said.splitlines() if line in METHODS] == list(METHODS)
    assert "costs 1 forward, 2 backwards; Huber et al., WACV 2024" in said
    assert "xcos stands for xcos_s, xcos_w, xcos_sw" in said


def test_align_takes_landmarks_and_a_size(photos, tmp_path, capsys):
    face = np.asarray(Image.open(photos[0]))
    out = tmp_path / "new" / "face.png"
    landmarks = [str(number) for number in TEMPLATE.ravel()]
    command = ["align", photos[0], str(out), "--landmarks", *landmarks]
    assert main([*command, "--size", "112", "96"]) == 0
    assert "by its landmarks" in capsys.readouterr().out
    np.testing.assert_array_equal(np.asarray(Image.open(out)), face[:, 8:104])
    assert "argument --landmarks: expected 10" in fails(capsys, *command[:-1])
    assert "a.png: landmarks: " in fails(capsys, *command[:-1], "500")
    for name in ("face", "face.txt", ""):
        said = fails(capsys, "align", photos[0], str(tmp_path / name))
        assert "is no photo's name; write one that ends in .png" in said


@needs_shared
def test_align_gives_a_photo_for_explain(tmp_path, capsys):
    raw = SHARED / "data" / "lfw_raw_sample"
    photos = []
    for name in ("Aaron_Sorkin_0001", "Aaron_Sorkin_0002"):
        photos.append(str(tmp_path / f"{name}.png"))
        assert main(["align", str(raw / f"{name}.jpg"), photos[-1]]) == 0
    command = ["explain", *photos, "--model", str(SHARED / "models" / "edgeface_xxs.pt2")]
    command += ["--threshold", "0.2259", "--fast", "--out", str(tmp_path / "panel.png")]
    assert main(command) == 0
    assert "\nMATCH" in capsys.readouterr().out


def fails(capsys, *command):
    """Run a command that fails: exit code 2, and one line that says why."""
    try:
        code = main(list(command))
    except SystemExit as error:  # argparse leaves this way
        code = error.code
    captured = capsys.readouterr()
    assert code == 2
    assert captured.err.count("\n") == 1
    assert "error:" in captured.err
    return captured.err


def test_errors_are_one_line(photos, tmp_path, capsys):
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"no picture")
    large = tmp_path / "large.png"
    Image.new("RGB", (250, 250)).save(large)
    assert "no_photo.jpg" in fails(capsys, "explain", "no_photo.jpg", photos[1])
    assert "damaged.png" in fails(capsys, "explain", photos[0], str(damaged))
    assert "250x250" in fails(capsys, "explain", photos[0], str(large))
    assert "'no'" in fails(capsys, "explain", *photos, "--method", "no")
    assert "no_model" in fails(capsys, "explain", *photos, "--model", "no_model.pt2")
    assert "captum-fv dpr" in fails(capsys, "explain", *photos, "--method", "oracle")
    assert "got nan; want a cosine" in fails(capsys, "explain", *photos, "--threshold", "nan")
    for out in (tmp_path, "panel", "panel.xyz"):
        assert "ends in .html, .png" in fails(capsys, "explain", *photos, "--out", str(out))
    assert "os:path" in fails(capsys, "explain", *photos, "--methods", "os:path")
    assert "0.5 and not 127.5" in fails(
        capsys, "explain", *photos, "--mean", "127.5", "--std", "127.5"
    )
    assert f"{damaged}/x: Not a dir" in fails(capsys, "dpr", "--out", f"{damaged}/x")
    assert "give --data too" in fails(capsys, "dpr", "--pairs", "pairs.txt")
    assert "got '-1'; want a whole number" in fails(capsys, "dpr", "--seed=-1")
    assert "[-1, 1]" in fails(capsys, "explain", *photos, "--threshold", "31")
    assert "--pairs" in fails(capsys, "dpr", "--data", str(tmp_path))
    assert "no_pairs.txt" in fails(
        capsys, "dpr", "--data", str(tmp_path), "--pairs", "no_pairs.txt"
    )
    assert "'no'" in fails(capsys, "dpr", "--methods", "xssab,no")
    assert "above 0" in fails(capsys, "dpr", "--limit", "0")
    assert "want 2 or more" in fails(capsys, "dpr", "--limit", "1")
    assert "--out" in fails(capsys, "patch")
    assert "empty" in fails(capsys, "patch", "--limit", "4", "--out", str(tmp_path))
    assert "COMMAND" in fails(capsys)
    assert "large.png: no face found" in fails(capsys, "align", str(large), "out.png")
    assert "is a folder; want an image file" in fails(capsys, "explain", photos[0], str(tmp_path))
    assert "damaged.png is a file; want a folder" in fails(
        capsys, "explain", *photos, "--out", f"{damaged}/pair.html"
    )


def test_nothing_that_is_read_is_written_over(photos, capsys):
    before = [Path(photo).read_bytes() for photo in photos]
    assert "want another name" in fails(capsys, "explain", *photos, "--out", photos[1])
    points = [str(number) for number in (38, 52, 74, 52, 56, 72, 42, 92, 71, 92)]
    assert "want another name" in fails(
        capsys, "align", photos[0], photos[0], "--landmarks", *points
    )
    assert [Path(photo).read_bytes() for photo in photos] == before


def test_a_folder_is_aligned_without_writing_one_photo_over_another(photos, tmp_path, capsys):
    folder, out = tmp_path / "photos", tmp_path / "aligned"
    (folder / "album.png").mkdir(parents=True)
    with Image.open(photos[0]) as photo:
        for name in ("same.jpg", "same.png"):
            photo.save(folder / name)
    points = "38 52 74 52 56 72 42 92 71 92"
    (tmp_path / "points.txt").write_text(f"same.jpg {points}\nsame.png {points}\n")
    listed = ["--landmarks-file", str(tmp_path / "points.txt")]
    assert main(["align", str(folder), str(out), *listed]) == 0
    printed, said = capsys.readouterr()
    assert "wrote 1 of 2 photos" in printed
    assert "same.png: another photo is written to" in said
    for within in (folder, folder / "aligned"):
        assert "none within that of the photos" in fails(capsys, "align", str(folder), str(within))


def test_help_shows_every_command(capsys):
    with pytest.raises(SystemExit) as stop:
        main(["--help"])
    assert stop.value.code == 0
    printed = capsys.readouterr().out
    for command in ("explain", "dpr", "patch", "demo", "examples:"):
        assert command in printed


@pytest.mark.extended
@needs_shared
def test_explain_on_real_faces(tmp_path, capsys):
    faces = SHARED / "data" / "lfw_aligned_112"
    model = SHARED / "models" / "edgeface_xxs.pt2"
    person = "Abel_Pacheco"
    photos = [str(faces / person / f"{person}_000{n}.jpg") for n in (1, 4)]
    out = tmp_path / "panel.png"
    command = ["explain", *photos, "--fast", "--model", str(model), "--threshold", "0.2259"]
    assert main([*command, "--out", str(out)]) == 0
    assert capsys.readouterr().out.startswith("MATCH")
    assert "--threshold" in fails(capsys, *command[:-2])
