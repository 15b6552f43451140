"""Reports of the log in a real browser with the network off: nothing is asked for, nothing is cut
off on A4, what is drawn is named for who cannot see it."""

from __future__ import annotations

import base64
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from audit.events import AuditEvent, EventOutcome
from schemas.dates import Instant
from schemas.identifiers import PersonId
from service.audit_reports_asked import Asked, LogState
from service.audit_reports_desk import REPORTS
from service.audit_reports_page import page
from tests.audit.histories import asked, frame
from tests.browser.chromium import Page, chromium

pytestmark = pytest.mark.slow

A4_ACROSS = 1_032
"""Pixels between the margins of an A4 page on its side: 273 mm at 96 a inch."""
WORDS = "averyveryverylongstaffidwithoutaspace@directory.partnership.example"


def history(count: int = 400) -> list[AuditEvent]:
    """A month of looks, some by an id that no line can hold."""
    chance = random.Random(5)
    return [
        AuditEvent(
            at=Instant(f"2026-10-{1 + n % 31:02}T{n % 24:02}:00:00Z"),
            action=chance.choice(["read", "everything", "items", "search", "break-glass"]),
            outcome=chance.choice([*EventOutcome]),
            actor=chance.choice(["ST1", "ST2", WORDS]),
            role=chance.choice(["nurse", "gp", "safeguarding_lead"]),
            purpose="direct-care",
            organisation=chance.choice(["RA7", "GP1", "CO1"]),
            persons=(PersonId("pann"), *(PersonId(f"p{n:015}{k}") for k in range(n % 7))),
            details={
                "reason": "unconscious", "custodians": ["GP1", "RA7"], "relationship": "caseload",
                "policies": ["agreement-needed", "a-rule-of-a-rather-long-name-indeed"],
            },
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    with chromium() as one:
        yield one


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("pages")
    told = history()
    a: Asked = asked(told, log=LogState(400, "ab" * 32, "test/log", 400))
    made = {name: kind.build(frame(told), a) for name, kind in REPORTS.items()}
    files = {name: folder / f"{name}.html" for name in made}
    for name, report in made.items():
        files[name].write_bytes(page(report, a))
    return files


@pytest.mark.parametrize("name", sorted(REPORTS))
def test_a_page_stands_alone_and_prints_whole(
    browser: Page, pages: dict[str, Path], name: str
) -> None:
    browser.requests.clear()
    browser.complaints.clear()
    browser.call(
        "Emulation.setDeviceMetricsOverride", width=A4_ACROSS, height=730, deviceScaleFactor=1,
        mobile=False,
    )  # fmt: skip
    browser.call("Emulation.setEmulatedMedia", media="print")
    browser.open(pages[name])
    assert [one for one in browser.requests if not one.startswith("file:")] == []
    assert browser.complaints == []
    assert browser.ask("document.documentElement.scrollWidth") <= A4_ACROSS
    cut = browser.ask(
        f"""[...document.querySelectorAll("td, th, svg")].filter(cell =>
              cell.getBoundingClientRect().right > {A4_ACROSS + 1}).length"""
    )
    assert cut == 0
    printed = browser.call("Page.printToPDF", preferCSSPageSize=True)
    assert base64.b64decode(printed["data"]).startswith(b"%PDF")


@pytest.mark.parametrize("name", ["pack", "person", "person-own"])
def test_what_a_screen_reader_needs_is_there(
    browser: Page, pages: dict[str, Path], name: str
) -> None:
    browser.call("Emulation.setEmulatedMedia", media="screen")
    browser.open(pages[name])
    assert browser.ask("document.documentElement.lang") == "en-GB"
    assert browser.ask('document.querySelectorAll("h1").length') == 1
    assert browser.ask('document.querySelectorAll("th:not([scope])").length') == 0
    assert browser.ask('document.querySelectorAll("table:not(:has(caption))").length') == 0
    assert browser.ask("""document.querySelectorAll('figure > svg:not([role=img])').length""") == 0
    twice = browser.ask(
        """(() => { const ids = [...document.querySelectorAll("[id]")].map(e => e.id);
                    return ids.length - new Set(ids).size; })()"""
    )
    assert twice == 0
