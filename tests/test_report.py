"""The report's files: equal for equal results, whole, harmless, and true to their run."""

import base64
import io
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from captum_fv.attr.method_notes import NOTES
from captum_fv.report import write_report
from captum_fv.report.charts import model_charts
from captum_fv.report.gallery import choose_pairs, show_pairs
from captum_fv.report.run_page import run_page_html
from captum_fv.report.summary import result_sentence, summary_table
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
            self.rows[-1][-1] = f"{self.rows[-1][-1]} {data}".strip()

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
    page = Page(run_page_html(run, benchmark_tables(run), {}, {}))
    assert [row[0] for row in page.cells["table2"][1:]] == [name, "$y$", "rnd"]


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
    assert "default-src 'none'" in page.all("meta")[1]["content"]
    anchors = {attributes.get("id") for _, attributes in page.elements}
    assert {link["href"][1:] for link in page.all("a") if "href" in link} <= anchors


def test_the_page_is_accessible(page):
    assert page.all("html")[0]["lang"] == "en"
    *shown, enlarged = page.all("img")
    assert all(len(image["alt"]) > 10 for image in shown)
    assert enlarged == {"src": "data:,", "alt": ""}
    assert all(image.get("aria-label") or "aria-hidden" in image for image in page.all("svg"))
    assert all(button.get("aria-label", "") != "" for button in page.all("button")[:-1])
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


@pytest.mark.parametrize("models", [MODELS, MODELS[:1]])
def test_the_page_has_the_tables_figures_and_each_model_once(models):
    results = synthetic_run(models=models)
    page = Page(run_page_html(results, benchmark_tables(results), {}, {}))
    for table in [summary_table(results), *benchmark_tables(results)]:
        header, by_model = table.by_model()
        expected = [header]
        for model, rows in by_model.items():
            expected += [[model], *([str(cell) for cell in row] for row in rows)]
        assert page.cells[table.name] == expected


def test_the_page_begins_with_the_result(page, run, files):
    html = files["report.html"].decode()
    places = [html.index(part) for part in ("<h1>", "<polyline", "<article>", 'id="summary"')]
    assert places[0] < min(places[1:])
    assert max(places) < html.index('id="measure"')
    assert html.count("<article>") == 3
    text = "".join(page.text)
    assert result_sentence("net", run[0].models["net"]) in text
    body, footnote = text.split("The files in tables/ and figures/ are numbered")
    assert not re.search(r"(Figure|Table)s? \d", body)
    assert "Table 2" in footnote


def test_the_curves_of_the_page_are_the_runs(page, run):
    net = run[0].models["net"]
    (chart,) = model_charts(net)  # all were measured on the same pairs, and none within strata
    on_page = [line["points"] for line in page.all("polyline") if "data-method" in line]
    assert on_page == [line.points for panel in chart.panels for line in panel.lines]
    for panel in chart.panels:
        (x0, _), *_, (x1, hundred) = panel.across
        (y0, _), *_, (y1, top) = panel.up
        assert hundred == "100 %"
        for line in panel.lines:
            dpr = net.methods[line.name].dpr
            x, y = np.array([point.split(",") for point in line.points.split()], float).T
            np.testing.assert_allclose((x - x0) / (x1 - x0), dpr.fractions, atol=2e-4)
            errors = (y - y0) / (y1 - y0) * float(top)
            np.testing.assert_allclose(errors, getattr(dpr, panel.rate.lower()), atol=5e-4)
    for key in chart.keys:
        dpr = net.methods[key.line.name].dpr
        assert key.areas == (dpr.fmr_auc, dpr.fnmr_auc)


def test_curves_without_an_error_lie_on_the_axis():
    results = measured_run(names=("fast",))[0]
    dpr = results.models["net"].methods["fast"].dpr
    dpr.scores[:] = np.where(dpr.genuine, 1.0, -1.0)
    (chart,) = model_charts(results.models["net"])
    for panel in chart.panels:
        assert {point.split(",")[1] for point in panel.lines[0].points.split()} == {
            f"{panel.up[0][0]:.1f}"
        }


def test_every_method_is_explained(page, run):
    legend = [(attributes["id"], attributes) for attributes in page.all("dt") if "id" in attributes]
    links = {link["href"][1:]: link["title"] for link in page.all("a") if "title" in link}
    assert {name for name, _ in legend} == links.keys()
    assert links["method-1"] == NOTES["xface2"].shows
    assert links["method-0"] == "a method of one's own"  # "fast" has no note
    assert len(legend) == len(run[0].models["net"].methods)


def test_pairs_link_to_their_pages(run):
    results, methods, pairs, _ = run
    shown = show_pairs(
        results.models["net"], methods["net"], pairs, choose_pairs(results.models["net"], 1)
    )
    number = shown[0].number

    def links(path):
        html = run_page_html(results, [], {"net": shown}, {"net": {number: path}})
        return {link["href"] for link in Page(html).all("a") if link.get("href", "#")[0] != "#"}

    assert links("pairs/7 #1?.html") == {"./pairs/7%20%231%3F.html"}
    assert links("javascript:alert(1)") == {"./javascript%3Aalert%281%29"}
    for path in ("/etc/passwd", "../other.html", "", "//example.org"):
        with pytest.raises(ValueError, match="want a path below the report's folder"):
            links(path)


def test_the_gallery_has_every_chosen_pair_with_its_kinds(page, run):
    results, methods, _, _ = run
    chosen = choose_pairs(results.models["net"])
    cards = [card for card in page.all("article") if "data-kinds" in card]
    kinds = [card["data-kinds"].split() for card in cards]
    for kind, numbers in chosen.items():
        assert sum(kind in some for some in kinds) == len(numbers) > 0
    assert {radio["value"] for radio in page.all("input") if "name" in radio} == {"all", *chosen}
    sparks = [image for image in page.all("svg") if image.get("class") == "spark"]
    assert len(sparks) == len(kinds) * len(methods["net"])
    sources = [image["src"] for image in page.all("img") if "jpeg" in image["src"]]
    photo = Image.open(io.BytesIO(base64.b64decode(sources[-1].partition(",")[2])))
    assert photo.size == (18, 20)


def test_hostile_names_are_text():
    run = synthetic_run(models=MODELS[1:], methods={"<b>": 1.0, "rnd": 1.0}, stratified=False)
    html = dict(report_files(run))["report.html"].decode()
    page = Page(html)
    assert len(page.all("script")) == 1
    assert "<b>" not in html
    assert [row[0] for row in page.cells["table2"][1:]] == [MODELS[1], "<b>", "rnd"]
    assert [MODELS[1]] in page.cells["table1"]
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
