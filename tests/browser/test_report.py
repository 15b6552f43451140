"""The report in a real browser with the network off: every chart draws, nothing is asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from linkage.charts import to_svg
from service.link_page import Section, Table, link_page
from tests.browser.chromium import Page, chromium
from tests.linkage import chart_samples as samples

pytestmark = pytest.mark.slow

DONE = 'document.documentElement.dataset.charts === "done"'
NAME = samples.HOSTILE[0]
CHARTS = {
    **samples.drawn(),
    **{f"hostile {n}": c for n, c in samples.hostile().items()},
    **{f"empty {n}": c for n, c in samples.empty().items()},
}
ELSEWHERE = "http://elsewhere.invalid/picture.png"


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as page:
        yield page


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    table = Table(NAME, (NAME, "pairs"), ((NAME, 12),))
    sections = [Section(name, NAME, make(), table) for name, make in CHARTS.items()]
    path = tmp_path_factory.mktemp("report") / "report.html"
    path.write_text(link_page(NAME, sections), encoding="utf-8")
    return path


@pytest.fixture
def report(browser: Page, file: Path) -> Page:
    """The report, opened afresh and drawn."""
    browser.requests.clear()
    browser.complaints.clear()
    browser.call("Emulation.setEmulatedMedia", media="", features=[])
    browser.open(file)
    browser.wait_for(DONE)
    return browser


def test_every_chart_draws_with_the_network_off(report: Page, file: Path) -> None:
    states = report.ask('[...document.querySelectorAll(".chart")].map(c => c.dataset.state)')
    assert states == ["drawn"] * len(CHARTS)
    drawn = report.ask(
        """[...document.querySelectorAll(".chart")].map(chart =>
             chart.querySelectorAll('svg.marks [role="graphics-symbol"]').length)"""
    )
    rendered = (to_svg(make()).count('role="graphics-symbol"') for make in CHARTS.values())
    assert dict(zip(CHARTS, drawn, strict=True)) == dict(zip(CHARTS, rendered, strict=True))
    assert report.complaints == []
    assert report.requests == [file.as_uri()]


def test_no_name_becomes_an_element(report: Page) -> None:
    assert report.ask("document.title") == NAME
    assert report.ask('document.querySelectorAll("b").length') == 0
    captions = report.ask('[...document.querySelectorAll("caption")].map(c => c.textContent)')
    assert captions == [NAME] * len(CHARTS)


def test_a_tooltip_shows_a_hostile_name_as_text(report: Page) -> None:
    at = [*CHARTS].index("hostile match_weights") + 1
    spot = report.ask(
        f"""(() => {{
          const bars = document.querySelectorAll('#chart-{at} [aria-roledescription="bar"]');
          const bar = [...bars].find(b => b.__data__.datum.field === {json.dumps(NAME)});
          bar.scrollIntoView({{block: "center"}});
          const box = bar.getBoundingClientRect();
          return [box.x + box.width / 2, box.y + box.height / 2];
        }})()"""
    )
    report.call("Input.dispatchMouseEvent", type="mouseMoved", x=spot[0], y=spot[1])
    report.wait_for('document.querySelector("#vg-tooltip-element.visible") !== null')
    tip = 'document.getElementById("vg-tooltip-element")'
    assert NAME in report.ask(f"{tip}.textContent")
    assert report.ask(f'{tip}.querySelectorAll("b").length') == 0
    assert report.ask(f"getComputedStyle({tip}).position") == "fixed"
    assert report.complaints == []


@pytest.mark.parametrize(("label", "start"), [("PNG", "data:image/png"), ("SVG", "blob:")])
def test_a_chart_can_be_saved(report: Page, label: str, start: str) -> None:
    link = f"""[...document.querySelectorAll("#chart-1 .vega-actions a")]
        .find(a => a.textContent.includes("{label}"))"""
    report.ask(f'{link}.dispatchEvent(new MouseEvent("mousedown"))')
    report.wait_for(f"{link}.href.startsWith({start!r})")
    assert report.complaints == []


def test_ink_follows_dark_mode_and_paper_stays_light(report: Page) -> None:
    ink = """getComputedStyle(document.querySelector("#chart-1 .role-title-text text")).fill"""
    light = report.ask(ink)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    report.call("Emulation.setEmulatedMedia", features=dark)
    assert (light, report.ask(ink)) == ("rgb(33, 43, 50)", "rgb(232, 237, 238)")
    report.call("Emulation.setEmulatedMedia", media="print", features=dark)
    assert report.ask(ink) == light
    assert report.ask('getComputedStyle(document.querySelector(".chart details")).display') == (
        "none"
    )


def test_a_telephone_shows_the_page_without_scrolling_sideways(report: Page) -> None:
    size = {"width": 400, "height": 800, "deviceScaleFactor": 1, "mobile": False}
    report.call("Emulation.setDeviceMetricsOverride", **size)
    try:
        assert report.ask("document.documentElement.scrollWidth") <= 400
    finally:
        report.call("Emulation.clearDeviceMetricsOverride")


def test_the_policy_refuses_a_planted_picture_and_script(
    report: Page, file: Path, tmp_path: Path
) -> None:
    planted = f'<img src="{ELSEWHERE}"><script>document.title = "run"</script></main>'
    path = tmp_path / "planted.html"
    path.write_text(file.read_text("utf-8").replace("</main>", planted), encoding="utf-8")
    report.open(path)
    assert report.ask("document.title") == NAME
    refused = [c for c in report.complaints if "Content Security Policy" in c]
    assert len(refused) == 2, report.complaints


def test_without_the_policy_the_same_picture_would_be_asked_for(
    report: Page, tmp_path: Path
) -> None:
    """The watch on requests sees what it must see."""
    path = tmp_path / "open.html"
    path.write_text(f'<!doctype html><img src="{ELSEWHERE}">', encoding="utf-8")
    report.open(path)
    assert ELSEWHERE in report.requests
