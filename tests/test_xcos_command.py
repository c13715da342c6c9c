"""`captum-fv xcos-train` on a folder of photos: what it leaves, and how it fails."""

import pytest
from PIL import Image

from captum_fv.cli import main
from captum_fv.data.generated import photograph
from captum_fv.models import load_patched_cosine_head


def folder_of_people(folder, people=6, photos=3):
    for person in range(people):
        (folder / f"person{person}").mkdir(parents=True)
        for photo in range(photos):
            image = Image.fromarray(photograph(person, photo))
            image.save(folder / f"person{person}" / f"{photo}.jpg")
    return folder


def command(faces, out, *options):
    small = ["--batch", "8", "--channels", "4", "--test-pairs", "6", "--workers", "0"]
    return ["xcos-train", "--data", str(faces), "--out", str(out), *small, *options]


def test_trains_on_a_folder_and_dpr_takes_its_head(tmp_path, capsys):
    faces, out = folder_of_people(tmp_path / "faces"), tmp_path / "xcos"
    assert main(command(faces, out, "--epochs", "2")) == 0
    printed = capsys.readouterr().out
    assert "12 photos of 4 people, 2 epochs" in printed
    assert "6 pairs of unseen people: backbone EER" in printed
    assert load_patched_cosine_head(out / "head.safetensors").reduced == 4
    Image.open(out / "loss.png").verify()
    assert main(command(faces, out, "--epochs", "3")) == 2
    assert "training with epochs 2, and this is 3" in capsys.readouterr().err
    dpr = ["dpr", "--limit", "4", "--methods", "xcos_s,rnd", "--out", str(tmp_path / "dpr")]
    assert main([*dpr, "--xcos-head", str(out / "head.safetensors")]) == 0
    assert "\nxcos_s " in capsys.readouterr().out


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_photo_that_does_not_open_is_named(tmp_path, capsys, workers):
    faces = folder_of_people(tmp_path / "faces", photos=2)
    for person in faces.iterdir():
        (person / "0.jpg").write_bytes(b"no photo")
    assert main(command(faces, tmp_path / "xcos", "--workers", workers)) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "0.jpg: want an image file, got 8 bytes" in error
    assert "Traceback" not in error


def test_too_few_people_or_photos_are_named(tmp_path, capsys):
    few = folder_of_people(tmp_path / "few", people=3, photos=1)
    assert main(command(few, tmp_path / "xcos")) == 2
    assert "held out: got 2 of 3 people" in capsys.readouterr().err
    single = folder_of_people(tmp_path / "single", photos=1)
    assert main(command(single, tmp_path / "xcos")) == 2
    assert "held out of single: got 2 photos of 2 people; pairs want" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--epochs=0", "argument --epochs: got '0'; want a whole number above 0"),
        ("--held-out=0", "argument --held-out: got '0'"),
        ("--workers=-1", "argument --workers: got '-1'; want a whole number, 0 to below"),
        ("--seed=-1", "argument --seed: got '-1'"),
        ("--margin=nan", "margin: got nan; want a finite number"),
        ("--batch=2", "batch: got 2; want 4 photos or more"),
    ],
)
def test_bad_numbers_are_named_before_the_work(tmp_path, capsys, option, message):
    out = tmp_path / "xcos"
    try:
        code = main(["xcos-train", "--out", str(out), option])
    except SystemExit as stop:  # argparse leaves this way
        code = stop.code
    assert code == 2
    assert message in capsys.readouterr().err
    assert not out.exists()
