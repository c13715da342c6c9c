"""The report in a real browser: what moves, what fits a phone, what the console says."""

import pytest

from captum_fv.report.gallery import choose_pairs, show_pairs
from captum_fv.report.run_page import run_page_html
from captum_fv.report.tables import benchmark_tables
from tests.support.browser import (
    LOW_CONTRAST,
    UNNAMED,
    open_browser,
    requests_since,
    set_screen,
)
from tests.support.synthetic_run import MODELS, measured_run, synthetic_run

pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def faces(tmp_path_factory):
    """The page of a run with faces, whose pairs have pages."""
    results, methods, pairs, _ = measured_run(names=("fast", "rnd", "xface2"))
    net = results.models["net"]
    shown = {"net": show_pairs(net, methods["net"], pairs, choose_pairs(net))}
    pages = {"net": {number: f"pairs/{number}.html" for number in range(len(net.genuine))}}
    path = tmp_path_factory.mktemp("faces") / "report.html"
    path.write_text(run_page_html(results, benchmark_tables(results), shown, pages))
    return path


@pytest.fixture(scope="module")
def several(tmp_path_factory):
    """The page of two models, one of a hostile name, without faces."""
    results = synthetic_run(models=MODELS)
    path = tmp_path_factory.mktemp("several") / "report.html"
    path.write_text(run_page_html(results, benchmark_tables(results), {}, {}))
    return path


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    driver = open_browser(tmp_path_factory.mktemp("profile"), tmp_path_factory.mktemp("down"))
    yield driver
    driver.quit()


@pytest.fixture
def show(browser):
    """Shows a page in a window of a size, and gives a function that runs JavaScript in it."""

    def show(path, width=1280, height=900, scheme="light"):
        set_screen(browser, width, height, scheme=scheme)
        browser.get("about:blank")
        browser.get_log("browser"), requests_since(browser)  # of the page before
        browser.get(path.as_uri())
        return lambda script, *given: browser.execute_script(SHORT + script, *given)

    yield show
    assert [entry["message"] for entry in browser.get_log("browser")] == []
    asked = {address.partition(":")[0] for address in requests_since(browser)}
    assert asked <= {"file", "about"}


SHORT = """
const one = (selector) => document.querySelector(selector);
const all = (selector) => [...document.querySelectorAll(selector)];
const seen = (selector) => all(selector).filter((element) => element.checkVisibility());
"""


@pytest.fixture
def page(show, faces):
    return show(faces)


def visible(page, selector):
    return page("return seen(arguments[0]).length", selector)


def test_the_first_screen_has_the_sentence_the_curves_and_three_pairs(page):
    bottoms = "return all(arguments[0]).map((e) => e.getBoundingClientRect().bottom)"
    for selector, count in (("h1", 1), (".first .panels svg", 2), (".telling article", 3)):
        found = page(bottoms, selector)
        assert len(found) == count
        assert max(found) <= 900, selector


def test_intervals_are_shown_on_demand(page):
    assert visible(page, "#summary .span") == 0
    page("one('#intervals').click()")
    assert visible(page, "#summary .span") > 0


def test_pictures_enlarge_and_lead_to_the_page_of_their_pair(page):
    page("one('#gallery .zoom').click()")
    assert visible(page, "dialog[open]") == 1
    small, large = (
        page(f"return one('{place} img').getBoundingClientRect().width")
        for place in ("#gallery .zoom", "dialog")
    )
    assert large > 3 * small
    assert page("return one('dialog a').getAttribute('href')").startswith("./pairs/")
    assert page("return one('dialog figcaption').textContent").startswith("Photo A")
    page("one('dialog button').click()")
    assert visible(page, "dialog") == 0


def test_a_name_in_the_legend_brings_its_curves_out(page):
    page("one('.first .keys li a').focus()")
    name = page("return one('.first .keys li').dataset.method")
    lit = page("return all('.first polyline.on').map(e => e.dataset.method)")
    assert lit == [name, name]
    page("document.activeElement.blur()")
    assert visible(page, ".first .lit") == 0


def test_the_gallery_filters_and_the_address_keeps_it(page):
    whole = visible(page, "#gallery .pair")
    page("one('[value=false-matches]').click()")
    some = visible(page, "#gallery .pair")
    assert 0 < some < whole
    assert page("return one('output').textContent") == f"{some} of {whole} pairs"
    assert page("return location.hash") == "#false-matches"
    hidden = page("return one('.pair[hidden]').id")
    page("location.hash = arguments[0]", hidden)  # a link to a pair that the filter hides
    page("dispatchEvent(new HashChangeEvent('hashchange'))")
    assert visible(page, f"#{hidden}") == 1


def test_tables_sort_by_a_column_both_ways(page):
    cells = "return all('#summary td[data-title=pairs] + td').map(e => e.dataset.value)"
    head = "all('#summary thead button')[2].click()"
    found = []
    for _ in range(2):
        page(head)
        found.append([float(value) for value in page(cells)])
    assert found[0] == sorted(found[0])
    assert found[1] == found[0][::-1]
    assert page("return all('#summary [aria-sort=descending]').length") == 1


@pytest.mark.parametrize("which", ["faces", "several"])
def test_nothing_is_cut_off_on_a_phone(show, request, which):
    page = show(request.getfixturevalue(which), 390, 844)
    page("for (const more of all('details')) more.open = true; one('#intervals').click()")
    assert page("return document.documentElement.scrollWidth") == 390
    wide = page(
        "return seen('svg, img, td, th, h1, .tile')"
        ".filter((e) => e.getBoundingClientRect().right > 390).map((e) => e.outerHTML)"
    )
    assert wide == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_and_curves_stand_out(show, faces, scheme):
    """By WCAG 2.2: 4.5 for text, 3 for lines."""
    page = show(faces, scheme=scheme)
    assert page(LOW_CONTRAST) == []
    assert page(UNNAMED) == []
    # What LOW_CONTRAST says of text, it says of lines too if they are made text.
    page(
        "all('.look').forEach((e) => one('h1').append(Object.assign("
        "document.createElement('b'), {textContent: 'line', style: `color: "
        "${getComputedStyle(e).stroke}`})))"
    )
    assert [low for low in page(LOW_CONTRAST) if float(low.split(":")[0]) < 3] == []


def test_several_models_of_hostile_names(show, several):
    page = show(several)
    assert visible(page, "h1") == 2
    assert MODELS[1] in page("return document.body.innerText")
    assert visible(page, "#summary tr.model") == 2
