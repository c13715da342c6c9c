"""The report's files: equal for equal results, whole, harmless, and true to their run."""

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from captum_fv.report import write_report
from captum_fv.report.gallery import choose_pairs
from captum_fv.report.html import tag, text
from captum_fv.report.page import Pictures, render_page
from captum_fv.report.tables import benchmark_tables
from captum_fv.report.write import file_name, report_files
from tests.support.synthetic_run import MODELS, measured_run, synthetic_run

VOID = {"meta", "img", "input", "br", "line", "polyline"}


class Page(HTMLParser):
    """The page's elements, checked for balance; the text of each table cell."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.cells, self.text = [], [], {}, []
        self.feed(html)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)
        if tag == "table":
            self.rows = self.cells.setdefault(dict(attributes)["id"], [])
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)
        if "tr" in self.open and {"td", "th"} & set(self.open):
            self.rows[-1][-1] += (" " if "small" in self.open else "") + data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture(scope="module")
def run():
    return measured_run(names=("fast", "rnd", "xface2"))


@pytest.fixture(scope="module")
def files(run):
    results, methods, pairs, _ = run
    return dict(report_files(results, pairs, methods))


@pytest.fixture(scope="module")
def page(files):
    return Page(files["report.html"].decode())


@pytest.mark.extended
def test_equal_results_give_equal_bytes(run, files, tmp_path):
    results, methods, pairs, _ = run
    path = write_report(results, tmp_path, pairs, methods)
    written = {
        str(file.relative_to(tmp_path)): file.read_bytes()
        for file in tmp_path.rglob("*")
        if file.is_file()
    }
    assert path.read_bytes() == files["report.html"]
    assert written.keys() == files.keys()
    assert [name for name in files if files[name] != written[name]] == []


@pytest.mark.extended
def test_a_report_without_faces_leaves_no_photos_of_an_earlier_one(run, tmp_path):
    results, methods, pairs, _ = run
    write_report(results, tmp_path, pairs, methods)
    assert (tmp_path / "figures/figure3_net.png").is_file()
    (tmp_path / "figures/mine.png").write_bytes(b"mine")
    (tmp_path / "figure3_mine.png").write_bytes(b"mine")
    write_report(results, tmp_path)
    left = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert left == {name for name, _ in report_files(results)} | {
        "figures/mine.png",
        "figure3_mine.png",
    }


def test_files_beside_no_report_are_left_alone(run, tmp_path):
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures/figure3_of_my_paper.png").write_bytes(b"mine")
    write_report(run[0], tmp_path)
    assert (tmp_path / "figures/figure3_of_my_paper.png").is_file()


def test_dollars_in_names_are_text_on_the_page():
    name = "$title ${style} $$ \\frac{1}{2} $x^2"
    run = synthetic_run(models=[name], methods={"$y$": 1.0, "rnd": 1.0}, stratified=False)
    page = Page(render_page(run, benchmark_tables(run), {name: Pictures({}, {}, [])}))
    assert [row[:2] for row in page.cells["table2"][1:]] == [[name, "$y$"], [name, "rnd"]]


def test_all_files_are_there_and_open(files):
    figures = ("figure3", "figure4_6", "figure5", "figure7")
    tables = ("table1", "table2", "localisation")
    expected = {f"figures/{name}_net.{kind}" for name in figures for kind in ("png", "svg")}
    expected |= {f"tables/{name}.{kind}" for name in tables for kind in ("md", "csv", "tex")}
    assert files.keys() == expected | {"report.html"}
    for name, content in files.items():
        if name.endswith(".png"):
            assert "Software" not in Image.open(io.BytesIO(content)).info
        elif name.endswith(".svg"):
            assert ElementTree.fromstring(content).tag.endswith("svg")
            assert b"dc:date" not in content


def test_the_page_is_self_contained(page, files):
    for tag_name, attributes in page.elements:
        assert tag_name not in ("link", "iframe", "object", "base")
        for key in ("src", "href", "xlink:href", "srcset", "action"):
            if key in attributes:
                assert attributes[key].startswith(("data:", "#"))
    html = files["report.html"].decode()
    assert not re.search(r"url\(|@import|fetch\(|XMLHttpRequest|https?://", html)
    anchors = {attributes.get("id") for _, attributes in page.elements}
    assert {link["href"][1:] for link in page.all("a")} <= anchors


def test_the_page_is_accessible(page):
    assert page.all("html")[0]["lang"] == "en"
    assert all(len(image["alt"]) > 10 for image in page.all("img"))
    assert all(image["aria-label"] for image in page.all("svg"))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_the_page_has_the_tables_figures(page, run):
    for table in benchmark_tables(run[0]):
        shown = page.cells[table.name]
        assert shown[0] == list(table.header)
        assert shown[1:] == [[str(cell) for cell in row] for row in table.rows]


def test_the_gallery_has_every_chosen_pair_with_its_kinds(page, run):
    results, methods, _, _ = run
    chosen = choose_pairs(results.models["net"])
    kinds = [card["data-kinds"].split() for card in page.all("article")]
    for kind, numbers in chosen.items():
        assert sum(kind in some for some in kinds) == len(numbers) > 0
    assert {radio["value"] for radio in page.all("input")} == {"all", *chosen}
    assert len(page.all("svg")) == len(kinds) * len(methods["net"])
    sources = [image["src"] for image in page.all("img") if "jpeg" in image["src"]]
    photo = Image.open(io.BytesIO(base64.b64decode(sources[-1].partition(",")[2])))
    assert photo.size == (18, 20)


def test_hostile_names_are_text():
    run = synthetic_run(models=MODELS[1:], methods={"<b>": 1.0, "rnd": 1.0}, stratified=False)
    html = dict(report_files(run))["report.html"].decode()
    page = Page(html)
    assert len(page.all("script")) == 1
    assert "<b>" not in html
    assert [row[1] for row in page.cells["table2"][1:]] == ["<b>", "rnd"]
    assert MODELS[1] in [row[0] for row in page.cells["table1"]]
    assert "captum-fv benchmark --out <b>" in page.text
    assert "gallery" not in {attributes.get("id") for attributes in page.all("section")}


def test_files_of_models_whose_names_look_alike_are_kept_apart():
    names = ("a/b", "a b", "../c", "///")
    models = synthetic_run(models=names, methods={}, timed=False).models
    assert [file_name(name, models) for name in names] == ["a-b0", "a-b1", "c", "3"]


def test_curves_compare_methods_on_the_same_pairs_only():
    names = {name for name, _ in report_files(synthetic_run(models=["net"], stratified=False))}
    curves = {"figures/figure5_net.svg", "figures/figure5_2_net.svg"}
    assert {name for name in names if name.endswith(".svg")} == curves


def test_a_run_without_errors_has_a_report():
    results, methods, pairs, _ = measured_run(names=("fast",))
    net = results.models["net"]
    right = np.where(net.genuine, 1.0, -1.0)
    for scores in (net.clean_scores, net.patched_scores):
        scores[:] = right
    net.methods["fast"].dpr.scores[:] = right
    names = [name for name, _ in report_files(results, pairs, methods)]
    assert "figures/figure5_net.svg" in names
    assert "figures/figure3_net.svg" not in names


def test_html_is_escaped():
    assert text("<&>") == "&lt;&amp;&gt;"
    assert tag("p", "<b>x</b>", class_='"') == '<p class="&quot;"><b>x</b></p>'
