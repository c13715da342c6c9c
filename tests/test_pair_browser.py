"""The page of one pair in a real browser: each control does what it says, and nothing else."""

import json
import time
from dataclasses import replace

import numpy as np
import PIL.Image
import pytest

from captum_fv.report import pair_frame_html, pair_page_html, write_pair_page
from tests.support.browser import (
    LOW_CONTRAST,
    UNNAMED,
    open_browser,
    requests_since,
    set_screen,
)
from tests.support.pair_documents import NAMES, bare_document, full_document

pytestmark = pytest.mark.extended

NOSE, MOUTH = NAMES.index("nose"), NAMES.index("mouth")


@pytest.fixture(scope="session")
def downloads(tmp_path_factory):
    return tmp_path_factory.mktemp("downloads")


@pytest.fixture(scope="session")
def browser(tmp_path_factory, downloads):
    browser = open_browser(tmp_path_factory.mktemp("profile"), downloads)
    yield browser
    browser.quit()


@pytest.fixture
def page(browser, tmp_path):
    """Opens a document's page; afterwards the console must be empty and the network unused."""
    opened = []

    def open_page(document, **options):
        path = write_pair_page(document, tmp_path / "pair.html", **options)
        set_screen(browser, 1280, 900)
        browser.get(path.as_uri())
        opened.append(path.as_uri())
        return Page(browser)

    requests_since(browser), browser.get_log("browser")
    yield open_page
    assert requests_since(browser) == opened
    assert [entry["message"] for entry in browser.get_log("browser")] == []


class Page:
    """What a person does with the page, and what it then shows."""

    def __init__(self, browser):
        self.browser = browser

    def ask(self, script, *arguments):
        return self.browser.execute_script(script, *arguments)

    def find(self, selector):
        return self.browser.find_element("css selector", selector)

    def click(self, selector):
        self.ask("document.querySelector(arguments[0]).click()", selector)

    def slide(self, selector, value):
        script = "const [slider, value] = [document.querySelector(arguments[0]), arguments[1]];"
        script += "slider.value = value; slider.dispatchEvent(new Event('input', {bubbles: true}));"
        self.ask(script, selector, value)

    def text(self, selector):
        return self.ask("return document.querySelector(arguments[0]).textContent", selector)

    def get(self, selector, name):
        script = "return document.querySelector(arguments[0]).getAttribute(arguments[1])"
        return self.ask(script, selector, name)

    def shown(self, selector):
        return self.ask("return document.querySelector(arguments[0]).checkVisibility()", selector)

    def point(self, which, place, kinds=("pointermove",)):
        """A pointer at a place (x, y) of a photo's aligned face."""
        self.ask(
            """
            const [which, [x, y], kinds] = arguments;
            const figure = document.querySelector(`[data-which="${which}"]`);
            const matrix = figure.querySelector(".aligned").getScreenCTM();
            const at = new DOMPoint(x, y).matrixTransform(matrix);
            for (const kind of kinds) figure.querySelector(".stage").dispatchEvent(new PointerEvent(
              kind, {clientX: at.x, clientY: at.y, bubbles: true, pointerId: 1}));
            """,
            which,
            place,
            kinds,
        )

    def lit(self, which):
        return len(self.browser.find_elements("css selector", f"[data-which='{which}'] .lit path"))

    def box(self, which):
        return [
            float(value) for value in self.get(f"[data-which='{which}'] svg", "viewBox").split()
        ]


def row(region):
    return f"tr[data-region='{region}']"


def test_the_first_screen_answers(page):
    opened = page(full_document())
    for selector in ("#verdict", ".line", ".stage", ".panel form"):
        assert opened.shown(selector)
        bottom = "return document.querySelector(arguments[0]).getBoundingClientRect().bottom"
        assert opened.ask(bottom, selector) < 900
    assert opened.text("#verdict").split() == ["Match"]


def test_methods_strength_and_mask(page):
    opened = page(full_document())
    layers = [opened.get(".map", "href")]
    assert not opened.shown("#significance")
    opened.click("input[name=method][value='1']")
    layers.append(opened.get(".map", "href"))
    assert opened.text("#method-note") == "What xface2 shows."
    assert "map of xface2 speaks" in opened.get(".stage svg", "aria-label")
    opened.click("input[name=masked]")
    layers.append(opened.get(".map", "href"))
    assert len(set(layers)) == 3
    opened.click("input[name=method][value='0']")
    assert opened.get(".map", "href") == layers[0]
    opened.slide("input[name=opacity]", 25)
    assert float(opened.get(".map", "opacity")) == 0.25
    assert opened.text(".slider output") == "25 %"


def test_views_and_zoom_go_together(page):
    opened = page(full_document())
    faces = [opened.box(which) for which in (0, 1)]
    opened.click("[data-zoom='1.5']")
    for which, (_, _, side, _) in enumerate(faces):
        assert opened.box(which)[2] == pytest.approx(side / 1.5)
    before = [opened.box(which) for which in (0, 1)]
    stage = opened.find("[data-which='0'] .stage")
    stage.send_keys("\ue014")  # the right arrow
    moved = [np.subtract(opened.box(which), old)[:2] for which, old in enumerate(before)]
    matrices = [photo.to_photo[:, :2] for photo in full_document().photos]
    on_face = [np.linalg.solve(m, shift) for m, shift in zip(matrices, moved, strict=True)]
    np.testing.assert_allclose(on_face[0], on_face[1], atol=1e-9)
    assert on_face[0][0] > 1
    assert on_face[0][1] == pytest.approx(0, abs=1e-9)
    stage.send_keys("0")
    assert [opened.box(which) for which in (0, 1)] == faces
    opened.click("input[name=frame][value='photo']")
    assert opened.box(0) == pytest.approx([0, -20, 260, 260])
    opened.click("input[name=frame][value='crop']")
    assert opened.box(1) == pytest.approx([0, 0, 112, 112])
    assert opened.get("[data-which='1'] .crop", "visibility") == "visible"
    assert opened.get("[data-which='1'] .photo", "visibility") == "hidden"


def test_dragging_keeps_the_place_under_the_pointer(page):
    opened = page(full_document())
    opened.click("[data-zoom='1.5']")
    opened.click("[data-zoom='1.5']")
    opened.point(1, (50, 50), ("pointerdown",))
    before = np.array(opened.box(1))
    opened.ask(
        """
        const stage = document.querySelector("[data-which='1'] .stage");
        stage.setPointerCapture = () => {};
        const {left, top} = stage.getBoundingClientRect();
        window.from = new DOMPoint(50, 50).matrixTransform(
          stage.querySelector(".aligned").getScreenCTM());
        stage.dispatchEvent(new PointerEvent("pointermove",
          {clientX: from.x + 40, clientY: from.y - 30, bubbles: true, buttons: 1}));
        """
    )
    after = np.array(opened.box(1))
    pixels = opened.ask("return document.querySelector('.stage').clientWidth")
    np.testing.assert_allclose((before - after)[:2], np.array([40, -30]) * before[2] / pixels)


def test_a_place_of_a_lights_where_b_answers_and_back(page):
    document = full_document()
    opened = page(document)
    opened.point(0, (56, 70))
    assert opened.lit(0) == 4  # ring and place, each white on black
    assert opened.lit(1) > 2
    said = opened.text("#said")
    assert said.startswith("Nose of A: answered in B by ")
    assert f"nose +{document.links[NOSE, NOSE]:.3f}" in said
    assert opened.get(row(NOSE), "class") == "lit"
    assert "% in A" in opened.text("#here")
    opened.point(1, (56, 94))
    assert opened.text("#said").startswith("Mouth of B: answered in A by ")
    assert f"mouth +{document.links[MOUTH, MOUTH]:.3f}" in opened.text("#said")
    opened.point(1, (1, 1))  # no region is there
    assert opened.lit(0) == 2
    assert opened.get(row(MOUTH), "class") == ""
    opened.point(0, (56, 70), ("click",))
    opened.point(0, (56, 94))
    assert opened.get(row(NOSE), "class") == "lit", "a click keeps it"
    opened.point(0, (56, 70), ("click",))
    opened.point(0, (56, 94))
    assert opened.get(row(MOUTH), "class") == "lit"


def test_rows_light_their_regions_by_keyboard(page):
    opened = page(full_document())
    button = opened.find(f"{row(MOUTH)} .light")
    opened.ask("arguments[0].focus()", button)
    assert opened.lit(0) == 2
    assert opened.text("#said").startswith("Mouth of A")
    button.send_keys("\ue007")
    assert button.get_attribute("aria-pressed") == "true"
    opened.click("input[name=source][value='1']")
    assert opened.text("#said").startswith("Mouth of B")
    assert opened.lit(1) == 2
    button.send_keys("\ue00c")  # Escape lets go
    assert opened.lit(0) == opened.lit(1) == 0
    assert button.get_attribute("aria-pressed") == "false"


def test_hiding_a_region_says_what_becomes_of_the_decision(page):
    opened = page(full_document())
    opened.click(f"{row(NOSE)} .hide")
    assert opened.text(".label.hidden") == "nose hidden: 0.270, now no match"
    assert opened.text("#said").startswith("Nose hidden: 0.270, now no match.")
    for which in (0, 1):
        assert opened.get(f"[data-which='{which}'] .cover path", "d")
    opened.click(f"{row(1)} .hide")
    assert opened.text(".label.hidden") == "right eye hidden: 0.370, still a match"
    opened.click(f"{row(1)} .hide")
    assert not opened.shown(".label.hidden")


def test_blind_mode_hides_all_that_decides(page):
    opened = page(full_document(), blind=True)
    text = opened.find("body").text
    for told in ("0.421", "one person", "Match", "threshold", "still", "likelihood", "counts most"):
        assert told not in text
    assert opened.shown(".map")
    opened.find("#reveal").click()
    assert "one person" in opened.find("body").text
    assert opened.ask("return document.activeElement.id") == "verdict"
    opened.click("#blind")
    assert not opened.shown("#verdict")


@pytest.mark.parametrize("document", [full_document(), bare_document(score=0.1)])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_have_contrast_and_controls_names(page, document, scheme):
    opened = page(document)
    set_screen(opened.browser, 1280, 900, scheme=scheme)
    for selector in ("[data-zoom='1.5']", f"{row(0)} .hide", f"{row(1)} .light"):
        if document.regions or "zoom" in selector:
            opened.click(selector)
    assert opened.ask(LOW_CONTRAST) == []
    assert opened.ask(UNNAMED) == []


def test_the_theme_button_overrules_the_system(page):
    opened = page(full_document())
    colour = "return getComputedStyle(document.body).backgroundColor"
    light = opened.ask(colour)
    opened.click("#theme")
    assert opened.ask(colour) != light
    assert opened.get("#theme", "aria-pressed") == "true"
    set_screen(opened.browser, 1280, 900, media="print")
    assert opened.ask(colour) == light, "paper is white"
    assert not opened.shown(".tools")
    assert opened.shown("#verdict")
    assert opened.shown(f"{row(0)} td")


@pytest.mark.parametrize("document", [full_document(), bare_document(methods=())])
def test_a_phone_needs_no_scrolling_sideways(page, document):
    long = tuple(replace(photo, name="w" * 400) for photo in document.photos)
    opened = page(replace(document, photos=long, model_hash="0" * 300))
    set_screen(opened.browser, 390, 844)
    assert opened.ask("return document.documentElement.scrollWidth") == 390
    tops = "return [...document.querySelectorAll('.stage')].map(s => s.getBoundingClientRect().top)"
    assert len(set(opened.ask(tops))) == 1, "side by side"


def test_downloads_are_whole(page, downloads):
    document = full_document()
    opened = page(document)
    opened.click("#save-json")
    opened.click("#save-png")
    written = [downloads / "pair.json", downloads / "pair.png"]
    for _ in range(100):
        if all(path.exists() for path in written):
            break
        time.sleep(0.05)
    assert json.loads(written[0].read_text(encoding="utf-8"))["score"] == document.score
    picture = np.asarray(PIL.Image.open(written[1]).convert("RGB"))
    assert picture.shape == (832, 1512, 3)
    left, right = picture[100:800, 30:740], picture[100:800, 780:1490]
    assert np.ptp(left) > 100
    assert np.ptp(right) > 100
    assert (left != right).any()


def test_hostile_texts_run_nothing(page):
    hit = "document.title='hit'"
    name = f'<img src=x onerror="{hit}">\'"</script><script>{hit}</script>'
    document = full_document()
    photos = tuple(replace(photo, name=name) for photo in document.photos)
    regions = tuple(replace(region, name=name) for region in document.regions)
    opened = page(replace(document, photos=photos, regions=regions, model=name))
    opened.click(f"{row(NOSE)} .light")
    opened.click(f"{row(NOSE)} .hide")
    assert name in opened.text("#said")
    assert opened.text("figcaption bdi") == name
    assert opened.ask("return document.title") != "hit"
    assert opened.ask("return document.images.length") == 0


def test_it_works_in_a_notebooks_frame(browser, tmp_path):
    notebook = tmp_path / "notebook.html"
    notebook.write_text(f"<!doctype html>{pair_frame_html(bare_document())}", encoding="utf-8")
    browser.get(notebook.as_uri())
    browser.switch_to.frame(0)
    try:
        opened = Page(browser)
        opened.click("[data-zoom='1.5']")
        assert opened.text("#zoom") == "1.5\u00d7"
    finally:
        browser.switch_to.default_content()
    assert [entry["message"] for entry in browser.get_log("browser")] == []


def test_without_scripts_the_page_still_tells_all(browser, tmp_path):
    path = tmp_path / "pair.html"
    path.write_text(pair_page_html(full_document()), encoding="utf-8")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get(path.as_uri())
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    opened = Page(browser)
    assert opened.shown("#verdict")
    assert opened.shown(".map")
    assert opened.shown(f"{row(0)} .unscripted")
    assert not opened.shown(".panel form")
    assert not opened.shown("#print")
