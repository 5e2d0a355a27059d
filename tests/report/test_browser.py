"""The page in a real browser, opened from disk."""

import dataclasses
import os
import shutil

import pytest

from ofa_hw.cost import PeakMemory
from ofa_hw.report.page import report_html
from ofa_hw.search import FrontColumn

BROWSER = os.environ.get("OFA_HW_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(BROWSER is None, reason="no chromium on the PATH; on Debian: apt-get install chromium")


@pytest.fixture(scope="module")
def address(tmp_path_factory, synthetic_results) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(report_html([synthetic_results]))
    return path.as_uri()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api")
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield chromium
        chromium.close()


@pytest.fixture
def open_page(browser, address):
    """Return a function that opens the page at a width and waits until its charts are drawn; it fails on any noise."""
    noise, contexts = [], []

    def open_at(width: int, address: str = address, **options):
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: noise.append(message.text))
        page.on("pageerror", lambda error: noise.append(str(error)))
        page.on("request", lambda request, own=address: request.url == own or noise.append(request.url))
        page.goto(address)
        page.wait_for_selector("html[data-drawn=yes]", timeout=30_000)
        return page

    yield open_at
    for context in contexts:
        context.close()
    assert noise == []


def networks_shown(page) -> int:
    return page.locator("#networks tbody tr:not(.out)").count()


CUT_OFF = """() => [...document.querySelectorAll("svg text")].filter((text) => {
  const whole = text.closest("svg").getBoundingClientRect(), own = text.getBoundingClientRect();
  return own.width > 0 && (own.left < whole.left - 1 || own.right > whole.right + 1
    || own.top < whole.top - 1 || own.bottom > whole.bottom + 1);
}).map((text) => text.textContent)"""
"""The texts that reach over the edge of their picture."""


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fits_every_width_and_draws_every_chart(open_page, width, scheme):
    page = open_page(width, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.evaluate(CUT_OFF) == []
    assert page.locator(".chart svg").count() == 9
    assert page.locator(".chart svg .mark-symbol path").count() > 100


def test_a_network_is_chosen_by_keyboard_and_shown_as_a_picture(open_page, synthetic_results):
    page, second = open_page(1280), synthetic_results.verified["arch_id"].iloc[1]
    page.locator("#verified button.pick").nth(1).press("Enter")
    panel = page.locator("#network")
    assert panel.locator("h3").inner_text() == f"Network {second}, verified"
    assert panel.locator("svg rect title").count() >= 3
    assert "ofa-hw export" in panel.locator("code").inner_text()
    assert page.locator("#verified tr.chosen").count() == 1


def test_a_click_on_a_point_chooses_its_network(open_page):
    page = open_page(1280)
    before = page.locator("#network h3").inner_text()
    page.locator("#chart-front svg .mark-symbol path[aria-label*='sampled']").first.click(force=True)
    page.wait_for_function("text => document.querySelector('#network h3').innerText !== text", arg=before)
    shown = page.locator("#network h3").inner_text().split()[1]
    assert f"--pick {shown} " in " ".join(page.locator("#network code").inner_text().split()) + " "


def test_brushing_the_picture_filters_the_table(open_page):
    page = open_page(1280)
    everything = networks_shown(page)
    brush(page, "chart-front")
    assert 0 < networks_shown(page) < everything


def brush(page, chart: str) -> None:
    box = page.locator(f"#{chart} svg").bounding_box()
    page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + 0.05 * box["height"])
    page.mouse.down()
    page.mouse.move(box["x"] + 0.3 * box["width"], box["y"] + 0.9 * box["height"], steps=5)
    page.mouse.up()
    page.wait_for_function("document.querySelectorAll('#networks tr.out').length > 0")


@pytest.mark.parametrize("width", [390, 1280])
def test_each_picture_of_three_objectives_chooses_and_filters(open_page, synthetic_results, tmp_path, width):
    front = synthetic_results.front
    memory = PeakMemory(space=synthetic_results.space).evaluate(front.space.encode(front.archs))
    column = FrontColumn(
        name="peak_memory", unit="bytes", direction="min", source="counted", values=tuple(map(float, memory))
    )
    three = dataclasses.replace(front, objectives=(*front.objectives, column))
    path = tmp_path / "three.html"
    path.write_text(report_html([dataclasses.replace(synthetic_results, front=three)]))
    page = open_page(width, address=path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == width
    assert page.locator(".trade-off .chart svg").count() == 4
    page.locator("#networks button.pick").nth(1).press("Enter")
    # One network is ringed in every picture; what was not verified is not on test images.
    ringed = 'document.querySelectorAll(\'.trade-off svg path[stroke="var(--ink)"][opacity="1"]\').length'
    assert page.evaluate(ringed) == 2
    if width > 1000:
        everything = networks_shown(page)
        page.locator("#chart-front-2 svg").scroll_into_view_if_needed()
        brush(page, "chart-front-2")
        assert 0 < networks_shown(page) < everything


def test_a_page_of_two_runs_knows_the_networks_of_both(open_page, synthetic_results, tmp_path):
    path = tmp_path / "runs.html"
    path.write_text(report_html([synthetic_results, dataclasses.replace(synthetic_results, name="second")]))
    page = open_page(390, address=path.as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate(CUT_OFF) == []
    assert page.locator(".trade-off .legend").first.locator("li").count() == 2
    last = synthetic_results.verified["arch_id"].iloc[-1]
    page.locator("#verified button.pick").last.press("Enter")
    assert page.locator("#network h3").inner_text() == f"Network {last}, verified"
    assert page.locator("#verified tr.chosen").count() == 1


def test_the_theme_can_be_changed(open_page):
    page = open_page(1280, color_scheme="light")
    color = "getComputedStyle(document.body).backgroundColor"
    before = page.evaluate(color)
    page.locator("#theme").press("Enter")
    assert page.evaluate(color) != before
