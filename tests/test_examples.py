"""Every example runs as it stands, and what it says of other toolkits is right."""

import base64
import io
import json
import re
import runpy
from pathlib import Path

import captum.attr
import matplotlib
import numpy as np
import pytest
import torch
from PIL import Image

from captum_fv.adapters import explain_func
from captum_fv.attr import SensitivityControl, SimilarityArgumentGradient
from captum_fv.attr.captum_tools import pair_grad_cam
from captum_fv.metrics import decision_patch_replacement

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
OF_TOOLKITS = {"quantus_metrics.py", "grad_cam_targets.py"}
OF_EVERYTHING = "every_captum_method.py"


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Runs an example in an empty folder, where it leaves one picture; gives its names."""

    def run(name):
        monkeypatch.chdir(tmp_path)
        names = runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        assert [path.suffix for path in tmp_path.iterdir()] == [".png"]
        return names

    return run


@pytest.mark.extended
@pytest.mark.parametrize(
    "name", sorted({p.name for p in EXAMPLES.glob("*.py")} - OF_TOOLKITS - {OF_EVERYTHING})
)
def test_examples_run(name, run):
    run(name)


@pytest.mark.extended
def test_the_example_of_everything_runs(run):
    run(OF_EVERYTHING)


@pytest.mark.extended
def test_the_tour_runs_and_shows_what_it_gives(capsys):
    path = EXAMPLES / "tour.ipynb"
    assert path.stat().st_size < 500_000
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    names, pictures = {}, 0
    with matplotlib.rc_context():
        for number, cell in enumerate((c for c in cells if c["cell_type"] == "code"), start=1):
            assert cell["execution_count"] == number
            exec("".join(line for line in cell["source"] if line[0] != "%"), names)
            shown = "".join("".join(output.get("text", "")) for output in cell["outputs"])
            assert words(shown) == words(capsys.readouterr().out)
            for output in cell["outputs"]:
                if "data" in output:
                    Image.open(io.BytesIO(base64.b64decode(output["data"]["image/jpeg"]))).verify()
                    pictures += 1
    assert pictures == 4


def words(text):
    """Text without its figures, whose last digits another machine may compute otherwise."""
    return re.sub(r"-?[\d.]+", "#", text)


@pytest.mark.extended
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_quantus_gives_our_numbers(run):
    pytest.importorskip(
        "quantus",
        reason="pip install 'captum_fv[toolkits]', and what OpenCV needs of the system",
        exc_type=ImportError,
    )
    names = run("quantus_metrics.py")
    siamese, threshold, patched = names["siamese"], names["threshold"], names["patched"]
    pairs, stacked = names["pairs"], names["stacked"]
    pair = patched.patched_a, patched.img_b
    match = (siamese(*pair) >= threshold).numpy()
    assert np.array_equal(pairs["y_batch"], match)
    assert 0 < match.sum() < len(match)

    for name, kind in (("xssab", SimilarityArgumentGradient), ("sensitivity", SensitivityControl)):
        method = kind(siamese, threshold)
        map_a, map_b = method.attribute(pair)
        ours = decision_patch_replacement(
            siamese, pair, patched.original_a, map_a, threshold, patched.genuine
        )
        theirs = names["runs"][name]
        assert np.array_equal(theirs.scores, ours.scores)
        assert (theirs.fmr_auc, theirs.fnmr_auc) == (ours.fmr_auc, ours.fnmr_auc)

        explain = explain_func(method)
        areas = names["dpr"](explain_func=explain, batch_size=3, **pairs)
        assert areas == ours.pair_auc.tolist()

        for_the_decision = torch.cat((map_a, map_b), 1)
        for_the_decision[~match] *= -1
        maps = explain(None, stacked, match)
        assert np.array_equal(maps, for_the_decision.numpy())
        assert areas != names["dpr"](a_batch=maps.max() - maps, **pairs)

        step = names["flipping"].features_in_step
        curves = np.array(names["flipping"](a_batch=maps, **pairs))
        for k in range(2):
            flipped = stacked[k].flatten().clone()
            black = flipped.min()  # what Quantus calls so
            flipped[maps[k].ravel().argsort()[::-1][: 3 * step].copy()] = black
            margin = siamese(*flipped.reshape(2, 1, 3, 112, 112)).item() - threshold
            probability = 1 / (1 + np.exp(-2 * margin * (1 if match[k] else -1)))
            assert curves[k, 2] == pytest.approx(probability, abs=1e-4)

        speaks = np.maximum(maps[:, :3].mean(1, keepdims=True), 0)
        inside = np.where(patched.mask.numpy(), speaks, 0).sum((1, 2, 3)) / speaks.sum((1, 2, 3))
        mass = names["mass"](a_batch=speaks, **pairs, **names["in_patches"])
        assert mass == pytest.approx(inside, rel=1e-4)

    maps = explain_func(captum.attr.IntegratedGradients(siamese))(None, stacked, match)
    assert maps.shape == tuple(stacked.shape)
    assert maps.any()


def test_grad_cam_is_ours(run):
    broken = (ImportError, RuntimeError)  # what torchvision raises that does not fit its torch
    pytest.importorskip("pytorch_grad_cam", exc_type=broken)
    names = run("grad_cam_targets.py")
    siamese, pair = names["siamese"], (names["img_a"], names["img_b"])
    for target, embedding, score in zip(
        names["targets"], names["embedder"](pair[0]), siamese(*pair), strict=True
    ):
        torch.testing.assert_close(target(embedding), score)
    ours, _ = pair_grad_cam(siamese, siamese.backbone.body, *pair, relu=True)
    for theirs, mine in zip(names["cams"]["Grad-CAM"], ours[:, 0], strict=True):
        mine = (mine - mine.min()) / (mine.max() - mine.min())
        torch.testing.assert_close(torch.from_numpy(theirs), mine, atol=1e-5, rtol=0)
    for scores in names["scores"].values():
        assert scores.shape == (4,)
        assert np.isfinite(scores).all()
    assert not pair[0].requires_grad
    assert all(weight.grad is None for weight in siamese.parameters())
