"""What the texts say can be run, their links lead somewhere, and their pictures are there."""

import re
from pathlib import Path
from textwrap import dedent

import captum.attr
import pytest
import torch
from PIL import Image

import captum_fv as fv
from captum_fv.attr.method_notes import NOTES
from captum_fv.attr.methods import METHODS
from tests.support.nets import THRESHOLD, random_pair, small_head, small_siamese

ROOT = Path(__file__).resolve().parents[1]
TEXTS = {
    str(path.relative_to(ROOT)): path.read_text(encoding="utf-8")
    for pattern in ("*.md", "docs/*.md", "benchmarks/**/*.md", "examples/*.ipynb")
    for path in ROOT.glob(pattern)
}
BLOCK = re.compile(r"```python\n(.*?)```", flags=re.DOTALL)
RUN_HERE = {
    "README.md": 2,
    "docs/benchmark.md": 8,
    "docs/alternative.md": 0,
    "docs/backbones.md": 0,
    "docs/getting_started.md": 0,
    "docs/methods.md": 0,
    "docs/photos.md": 0,
    "docs/evidence.md": 0,
    "docs/regions.md": 0,
    "docs/speed.md": 0,
}
"""Texts, and how many words their code prints."""


@pytest.mark.extended
@pytest.mark.parametrize(("text", "words"), RUN_HERE.items())
def test_python_runs_in_an_empty_folder(text, words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    names = {}
    for block in BLOCK.findall(TEXTS[text]):
        exec(block, names)
    assert len(capsys.readouterr().out.split()) == words
    assert (tmp_path / "run/report.html").is_file() == (words > 0)
    if text == "README.md":
        Image.open("pair.png").verify()


def test_the_sample_of_a_method_runs_and_is_what_its_formula_says():
    (sample,) = BLOCK.findall(TEXTS["CONTRIBUTING.md"])
    names = {}
    exec(dedent(sample), names)
    siamese, pair = small_siamese(), random_pair()
    maps = names["GradientTimesInput"](siamese).attribute(pair)
    pair = tuple(image.requires_grad_() for image in pair)
    torch.testing.assert_close(maps, captum.attr.InputXGradient(siamese).attribute(pair))


def test_all_python_in_texts_is_run_by_a_test():
    with_code = {text for text, content in TEXTS.items() if BLOCK.search(content)}
    elsewhere = {"CONTRIBUTING.md", "docs/captum_methods.md", "docs/toolkits.md"}
    assert with_code == {*RUN_HERE, *elsewhere}


def test_links_lead_to_files_and_headings():
    links = [
        (text, link)
        for text, content in TEXTS.items()
        for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", BLOCK.sub("", content))
    ]
    assert len(links) > 50
    for text, link in links:
        path, _, anchor = link.partition("#")
        target = (ROOT / text).parent / path if path else ROOT / text
        assert target.is_file(), (text, link)
        assert not anchor or anchor in anchors(target), (text, link)


def anchors(path):
    """What GitHub calls the headings of a text in links."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_pictures_can_be_opened():
    pictures = [
        (ROOT / text).parent / picture
        for text, content in TEXTS.items()
        for picture in re.findall(r"!\[.+?\]\((.+?)\)", content)
    ]
    assert len(pictures) >= 5
    for picture in pictures:
        Image.open(picture).verify()


def test_the_table_of_methods_spells_them_as_they_are_built():
    rows = re.findall(r"^\| `(\w+)` \| `(\w+\(.*?\))` \|", TEXTS["README.md"], re.MULTILINE)
    assert len(rows) >= 15
    siamese = small_siamese()
    siamese.backbone.patched_cosine_head = small_head()
    for name, spelling in rows:
        spelled = eval(
            spelling,
            {name: getattr(fv, name) for name in fv.__all__}
            | {"siamese": siamese, "threshold": THRESHOLD},
        )
        built = METHODS[name](siamese, THRESHOLD)
        assert type(spelled) is type(built)
        for option in vars(built).keys() - {"generator"}:
            assert getattr(spelled, option) == getattr(built, option), (name, option)


def test_the_page_of_methods_and_the_command_list_all_of_them():
    """Each in the same words, which stand in one place."""
    rows = re.findall(r"^\| `(\w+)` \|(.+)\|$", TEXTS["docs/methods.md"], re.MULTILINE)
    assert [name for name, _ in rows] == list(METHODS) == list(NOTES)
    for name, row in rows:
        shows, _, cost, source = (cell.strip() for cell in row.split("|"))
        assert (shows, cost, source) == NOTES[name], name
