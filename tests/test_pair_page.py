"""The page of one pair: layers and words by closed forms, data whole, texts harmless."""

import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import PIL.Image
import pytest
from skimage.measure import points_in_poly
from skimage.transform import SimilarityTransform

import captum_fv as fv
from captum_fv.report import pair_frame_html, pair_page_html
from captum_fv.report.pair_data import pair_record
from captum_fv.report.pair_layers import map_layer, middles, outlines, svg_matrix
from captum_fv.report.pair_scale import score_line
from captum_fv.report.pair_words import map_words, strangers_sentences, verdict_sentence
from tests.support.pair_documents import NAMES, bare_document, bump, full_document, labels

HOSTILE = [
    "<img src=x onerror=alert(1)>.jpg",
    "</script><script>alert(1)</script>",
    "\"' onmouseover='alert(1)",
    "{{ 7 * 7 }}${7*7}",
    "\u2028\u202egpj.exe",
    "caf\udce9.jpg",  # a byte that is no UTF-8, as file names may hold
    "x" * 3000,
]


class Page(HTMLParser):
    def __init__(self, html):
        super().__init__()
        self.elements, self.text, self.inside = [], [], None
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside = tag

    def handle_data(self, data):
        if self.inside not in ("script", "style"):
            self.text.append(data)

    def handle_endtag(self, tag):
        self.inside = None


def data_of(html, name):
    (found,) = re.findall(rf'id="{name}">(.*?)</script>', html, re.DOTALL)
    return json.loads(found)


def pixels(png):
    return np.asarray(PIL.Image.open(io.BytesIO(png)).convert("RGBA")).astype(int)


def test_a_map_is_green_where_positive_and_striped_pink_where_negative():
    values = np.zeros((20, 24))
    values[:10, :12], values[10:, 12:] = 2.0, -2.0
    layer = pixels(map_layer(values, 2.0))
    assert layer.shape == (60, 72, 4)
    same, different, nothing = layer[8:22, 8:28], layer[38:52, 44:64], layer[38:52, 8:28]
    assert (same == (0x00, 0x69, 0x1C, round(0.85 * 255))).all()
    assert (nothing[..., 3] == 0).all()
    strong = different[..., 3] > 200
    assert (different[strong][:, :3] == (0xC2, 0x00, 0x6E)).all()
    assert strong.mean() == pytest.approx(0.5, abs=0.03)
    assert strong.any(0).all()
    assert strong.any(1).all()


def test_strength_follows_the_limit_and_stops_there():
    opacity = [
        pixels(map_layer(np.full((4, 4), value), 2.0))[6, 6, 3] for value in (0.1, 0.5, 1, 2, 9)
    ]
    assert opacity[0] == 0
    assert opacity == sorted(opacity)
    assert opacity[-1] == opacity[-2]


def test_what_does_not_stand_out_is_grey():
    significant = np.zeros((20, 20), dtype=bool)
    significant[:, :10] = True
    layer = pixels(map_layer(np.full((20, 20), 1.0), 1.0, significant))
    assert (layer[:, :28] == pixels(map_layer(np.full((20, 20), 1.0), 1.0))[:, :28]).all()
    grey = layer[:, 32:]
    assert (np.ptp(grey[..., :3], axis=2) == 0).all()
    assert (grey[..., 3] > 100).all()


def test_the_matrix_takes_pixel_centres_to_pixel_centres():
    transform = SimilarityTransform(scale=1.7, rotation=0.4, translation=(30, -12))
    a, b, c, d, e, f = svg_matrix(transform.params[:2])
    for x, y in [(0, 0), (10, 3), (111, 50)]:
        centre_x, centre_y = x + 0.5, y + 0.5
        found = a * centre_x + c * centre_y + e, b * centre_x + d * centre_y + f
        np.testing.assert_allclose(found, transform((x, y))[0] + 0.5)


def test_outlines_hold_their_regions_and_middles_lie_within():
    numbers = labels()
    for region, path in enumerate(outlines(numbers, len(NAMES))):
        ring = [tuple(map(float, point.split())) for point in path[1:-1].split("L")]
        rows, columns = np.nonzero(numbers == region)
        inside = points_in_poly(np.stack([columns, rows], 1) + 0.5, ring)
        assert inside.mean() > 0.95
        left, top = np.min(ring, 0)
        assert abs(left - columns.min()) < 1
        assert abs(top - rows.min()) < 1
    for region, (x, y) in enumerate(middles(numbers, len(NAMES))):
        assert numbers[int(y), int(x)] == region


def test_a_region_of_one_pixel_has_an_outline():
    numbers = np.full((5, 5), -1)
    numbers[0, 4] = 0
    assert outlines(numbers, 1)[0].startswith("M")
    assert middles(numbers, 1) == [[4.5, 0.5]]


def test_the_page_holds_the_numbers_of_the_document():
    document = full_document()
    record = data_of(pair_page_html(document), "record")
    assert record == pair_record(document)
    assert record["score"] == document.score
    assert record["matches"] is True
    assert record["photos"][1]["size"] == [420, 500]
    np.testing.assert_array_equal(record["links"], document.links)
    np.testing.assert_array_equal(record["labels"], document.labels)
    for method, found in zip(document.methods, record["methods"], strict=True):
        shown = method.limit * np.array(found["maps"])
        np.testing.assert_allclose(shown, method.maps, atol=0.0005 * method.limit + 1e-12)
    np.testing.assert_array_equal(
        record["methods"][1]["significant"], document.methods[1].significant
    )


def test_all_is_there_without_scripts():
    document = full_document()
    page = Page(pair_page_html(document))
    text = " ".join(" ".join(page.text).split())
    said = [
        *document.summary,
        *document.limits,
        *strangers_sentences(document),
        *(region.sentence for region in document.regions),
        verdict_sentence(document),
        document.evidence.sentence,
        document.link_note,
        document.model_hash,
    ]
    for sentence in said:
        assert sentence in text
    layers = [some for tag, some in page.elements if some.get("class") == "map"]
    assert len(layers) == 2
    assert all(some["href"].startswith("data:image/png") for some in layers)
    rows = [some["data-region"] for tag, some in page.elements if "data-region" in some]
    assert rows == ["4", "3", "2", "1", "0"]  # the largest contribution first


@pytest.mark.parametrize("document", [full_document(), bare_document(), bare_document(methods=())])
def test_a_page_refers_to_nothing_and_is_equal_for_equal_documents(document):
    html = pair_page_html(document)
    assert html == pair_page_html(document)
    sources = [
        some[key] for _, some in Page(html).elements for key in ("src", "href") if key in some
    ]
    assert sources
    assert all(source.startswith("data:image/") for source in sources)
    assert set(re.findall(r"https?://[^\s\"']+", html)) == {"http://www.w3.org/2000/svg"}
    assert "default-src 'none'" in html


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_texts_stay_text(name, tmp_path):
    document = full_document()
    photos = tuple(replace(photo, name=name, notes=(name,)) for photo in document.photos)
    regions = tuple(replace(region, name=name, sentence=name) for region in document.regions)
    methods = tuple(replace(method, name=name, note=name) for method in document.methods)
    texts = dict.fromkeys(("model", "model_hash", "threshold_from", "link_note"), name)
    views = {"photos": photos, "regions": regions, "methods": methods}
    document = replace(document, **views, **texts, summary=(name,), limits=(name,))
    path = fv.write_pair_page(document, tmp_path / "pair.html")
    page, plain = Page(path.read_text(encoding="utf-8")), Page(pair_page_html(full_document()))
    assert [tag for tag, _ in page.elements] == [tag for tag, _ in plain.elements]
    assert not [some for _, some in page.elements if any(key.startswith("on") for key in some)]
    assert data_of(path.read_text(encoding="utf-8"), "record")["model"] == name
    for character in "\u2028\u202e":
        assert character not in "".join(page.text)


@pytest.mark.parametrize(
    ("score", "words"),
    [
        (0.4211, "one person: their cosine is 0.421, 0.121 above the threshold of 0.300."),
        (-0.05, "two different people: their cosine is \u22120.050, 0.350 below the threshold of"),
        (0.29996, "two different people: their cosine is 0.29996, 0.00004 below the threshold of"),
        (0.3, "one person: their cosine is 0.300, exactly the threshold, 0.300."),
    ],
)
def test_the_verdict_in_words(score, words):
    assert words in verdict_sentence(full_document(score=score))


def test_strangers_are_counted():
    scores = np.array([0.5, 0.1]), np.array([-0.2])
    said = strangers_sentences(full_document(strangers=scores))
    assert said == [
        "1 of 2 strangers scores as high with A as B does (highest +0.500).",
        "None of 1 strangers score as high with B as A does (highest \u22120.200).",
    ]


def test_a_map_in_words_names_its_regions_or_places():
    mapped = bump(60, 56) - bump(94, 56)
    assert map_words(mapped, 1.0, full_document()) == (
        "speaks most for the same person at the nose and the left eye; "
        "speaks most against the same person at the mouth"
    )
    assert "at the middle centre" in map_words(bump(56, 56), 1.0, bare_document())
    assert map_words(0 * mapped, 1.0, full_document()) == "says little anywhere"


def test_the_line_holds_every_score():
    document = full_document(strangers=(np.array([-0.43]), np.array([0.55])))
    line = score_line(document)
    assert (line.low, line.high) == pytest.approx((-0.5, 0.6))
    assert line.at(line.low) == 0
    assert line.at(0.05) == pytest.approx(50)
    assert line.ticks() == pytest.approx([-0.4, -0.2, 0, 0.2, 0.4, 0.6])
    assert score_line(bare_document(score=0.31)).low < 0 < 0.4 < score_line(bare_document()).high
    line = score_line(bare_document(score=-0.99, threshold=0.98))
    assert (line.low, line.high) == (-1, 1)


def test_a_notebook_shows_the_page_in_a_frame():
    document = bare_document()
    ((tag, frame),) = Page(pair_frame_html(document)).elements
    assert tag == "iframe"
    assert frame["srcdoc"] == pair_page_html(document)
    assert "allow-same-origin" not in frame["sandbox"]


def test_a_blind_page_opens_without_the_decision():
    assert "checked" not in switch(pair_page_html(full_document()))
    assert "checked" in switch(pair_page_html(full_document(), blind=True))


def switch(html):
    (found,) = (some for _, some in Page(html).elements if some.get("id") == "blind")
    return found


def test_what_does_not_fit_is_refused():
    document = full_document()
    first = document.methods[0]
    broken = np.where(first.maps[0] > 0.5, np.nan, first.maps[0])
    for changes, message in [
        ({"score": float("nan")}, "want cosines"),
        ({"methods": (replace(first, maps=(broken, broken)),)}, "want finite maps"),
        ({"methods": (replace(first, maps=(first.maps[0][:9], first.maps[1])),)}, r"\(9, 112\)"),
        ({"methods": (replace(first, limit=0.0),)}, "want above 0"),
        ({"labels": None}, "labels: want one for each pixel"),
        ({"links": np.zeros((2, 2))}, r"want \(5, 5\), the regions"),
    ]:
        with pytest.raises(ValueError, match=message):
            replace(document, **changes)
