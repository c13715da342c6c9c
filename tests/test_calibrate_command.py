"""`captum-fv calibrate` as a user types it: its files, what it prints, and how it fails."""

import numpy as np
import pytest
from PIL import Image

from captum_fv.benchmark.measure import score_clean_pairs
from captum_fv.benchmark.provenance import model_hash
from captum_fv.cli import main
from captum_fv.data import generated_pairs
from captum_fv.metrics import Calibration
from captum_fv.models import load_backbone
from captum_fv.siamese import SiameseCosine
from tests.support.nets import small_siamese
from tests.test_commands import fails


@pytest.mark.filterwarnings("default:.*are few")
def test_the_file_is_of_these_pairs_and_this_model(tmp_path, capsys):
    out = tmp_path / "new" / "demo.json"
    assert main(["calibrate", "--limit", "60", "--fmr", "0.05", "--out", str(out)]) == 0
    printed, warned = capsys.readouterr()
    assert "30 genuine and 30 impostor pairs are few" in warned
    found = Calibration.load(out)
    siamese, pairs = SiameseCosine(load_backbone("demo")), generated_pairs(60)
    scored = score_clean_pairs(siamese, pairs)
    line = Calibration.fit(scored.scores, scored.genuine, pairs.people, fmr=0.05).line
    np.testing.assert_allclose(found.line, line, rtol=1e-4)
    assert found.data == "generated"
    assert found.people == len(set(pairs.people))
    found.check_model(model_hash(siamese))
    with pytest.raises(ValueError, match="set for demo"):
        found.check_model(model_hash(small_siamese()))
    for words in (str(found), "demo on generated (30 genuine and 30 impostor", "rule of 3", "Cllr"):
        assert words in printed
    Image.open(out.with_suffix(".png")).verify()


def test_what_decides_scores_decides_the_hash():
    one, same, other = small_siamese(), small_siamese(), small_siamese(seed=3)
    assert model_hash(one) == model_hash(same) != model_hash(other)
    assert len(model_hash(one)) == 16
    assert model_hash(SiameseCosine(one.backbone, mean=0.5, std=0.25)) != model_hash(one)
    demo = SiameseCosine(load_backbone("demo"))
    before = model_hash(demo)
    demo.backbone.patched_cosine_head = None
    assert model_hash(demo) == before


def test_errors_are_one_line(tmp_path, capsys):
    def said(*options):
        return fails(capsys, "calibrate", *options)

    for out in (str(tmp_path), "calibration", "calibration.txt"):
        assert "write one that ends in .json" in said("--out", out)
    for fmr in ("0", "1", "nan", "-1"):
        assert "want a share above 0 and below 1" in said("--fmr", fmr)
    assert "invalid float value: 'few'" in said("--fmr", "few")
    assert "give --data too" in said("--pairs", "pairs.txt")
    assert "no_model" in said("--model", "no_model.pt2")
    folder = tmp_path / "faces"
    for k, image in enumerate(generated_pairs(2).pair(0)):
        (folder / "ann").mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(folder / "ann" / f"ann_{k + 1:04d}.png")
    (tmp_path / "pairs.txt").write_text("ann\t1\t2\n")
    one = ["--data", str(folder), "--pairs", str(tmp_path / "pairs.txt")]
    told = said(*one, "--out", str(tmp_path / "one.json"))
    assert "pairs: all 1 pairs are genuine ones; want both kinds" in told
    assert not (tmp_path / "one.json").exists()
