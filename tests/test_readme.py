"""What the README and the page on the benchmark say can be run as it stands."""

import re
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]


def test_the_readmes_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    # face.pt2 stands for the reader's own model.
    runnable = [block for block in blocks if "face.pt2" not in block]
    assert len(runnable) == len(blocks) - 1 == 2
    names = {}
    for block in runnable:
        exec(block, names)
    Image.open("pair.png").verify()
    assert len(capsys.readouterr().out.split()) == 5


def test_the_benchmarks_python_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "docs/benchmark.md").read_text(encoding="utf-8")
    (block,) = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    exec(block, {})
    assert len(capsys.readouterr().out.split()) == 2
    assert (tmp_path / "run/report.html").is_file()


def test_the_readmes_pictures_are_there():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = re.findall(r"!\[.+?\]\((.+?)\)", text)
    assert len(pictures) >= 4
    for picture in pictures:
        Image.open(ROOT / picture).verify()
