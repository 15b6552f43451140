"""The report's page: one file, closed to the network, and no text of it can become markup."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from html.parser import HTMLParser

import pytest

from service.link_page import Section, Table, link_page
from tests.linkage import chart_samples as samples

HOSTILE = samples.HOSTILE[0]
TABLE = Table(HOSTILE, ("rule", HOSTILE, "share"), ((HOSTILE, 1_234_567, 0.5), ("b", None, 1e-9)))


class Outline(HTMLParser):
    """The elements of a page with their attributes, and the text inside some of them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.inside: dict[str, list[str]] = {}
        self.open: list[str] = []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self.inside.setdefault(tag, []).append("")
        if tag not in ("meta", "link"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open:
            self.inside[self.open[-1]][-1] += data

    def named(self, tag: str) -> list[dict[str, str | None]]:
        return [attrs for name, attrs in self.elements if name == tag]


@pytest.fixture(scope="module")
def page() -> str:
    charts = samples.drawn()
    return link_page(
        HOSTILE,
        [
            Section("Weights", "One.\n\nTwo, and\nmore.", charts["match_weights"](), TABLE),
            Section(HOSTILE, HOSTILE, samples.hostile()["match_weights"]()),
            Section("Words only", HOSTILE),
            Section("A table", "", None, TABLE),
        ],
    )


@pytest.fixture(scope="module")
def outline(page: str) -> Outline:
    return Outline(page)


def digest(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def test_the_policy_allows_this_script_and_this_style_and_no_load(outline: Outline) -> None:
    (policy,) = (
        m["content"]
        for m in outline.named("meta")
        if m.get("http-equiv") == "Content-Security-Policy"
    )
    rules = dict(rule.split(" ", 1) for rule in str(policy).split("; "))
    script = outline.inside["script"][-1]
    assert rules == {
        "default-src": "'none'",
        "script-src": digest(script),
        "style-src": digest(outline.inside["style"][0]),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    assert outline.elements.index(("style", {})) > 2  # the policy stands before what it rules


def test_nothing_in_the_page_points_outside(outline: Outline) -> None:
    for tag, attributes in outline.elements:
        assert "src" not in attributes
        assert "style" not in attributes
        assert not [name for name in attributes if name.startswith("on")], tag
        assert str(attributes.get("href", "#")).startswith("#")
    assert "link" not in outline.inside
    assert not re.search(r"url\(|@import", outline.inside["style"][0])


def test_the_library_stands_inside_once(page: str, outline: Outline) -> None:
    data, script = outline.named("script")
    assert data == {"type": "application/json", "id": "specs"}
    assert script == {"type": "module"}
    assert page.count("expressionInterpreter") == outline.inside["script"][1].count(
        "expressionInterpreter"
    )
    assert 600_000 < len(outline.inside["script"][1]) < 1_500_000


def test_hostile_text_stays_text(page: str, outline: Outline) -> None:
    assert "b" not in outline.inside
    assert outline.inside["title"] == [HOSTILE]
    assert outline.inside["h1"] == [HOSTILE]
    assert HOSTILE in outline.inside["h2"]
    assert outline.inside["caption"] == [HOSTILE, HOSTILE]
    assert outline.inside["p"][:2] == ["One.", "Two, and\nmore."]
    assert HOSTILE in outline.inside["p"]
    assert page.count(HOSTILE) == 0


def test_the_charts_come_through_unchanged(outline: Outline) -> None:
    specs = json.loads(outline.inside["script"][0])
    sent = [samples.drawn()["match_weights"](), samples.hostile()["match_weights"]()]
    for spec, chart in zip(specs, sent, strict=True):
        assert {**spec, "config": None} == {**chart.to_dict(), "config": None}
        assert spec["config"]["title"]["color"] == "currentColor"
        assert spec["config"]["background"] == "transparent"


def test_every_chart_has_its_words_and_every_heading_its_place(outline: Outline) -> None:
    specs = json.loads(outline.inside["script"][0])
    assert outline.inside["figcaption"] == [s["description"] for s in specs]
    levels = [int(tag[1]) for tag, _ in outline.elements if re.fullmatch(r"h\d", tag)]
    assert levels == [1, 2, 2, 2, 2, 2]
    targets = {str(a["id"]) for _, a in outline.elements if "id" in a}
    links = [str(a["href"])[1:] for a in outline.named("a")]
    assert len(links) == 5
    assert set(links) <= targets
    assert [h["lang"] for h in outline.named("html")] == ["en-GB"]


def test_a_table_names_its_rows_and_sets_numbers_right(outline: Outline) -> None:
    heads = outline.named("th")[:5]
    assert [h["scope"] for h in heads] == ["col", "col", "col", "row", "row"]
    assert [h.get("class") for h in heads] == [None, "number", "number", None, None]
    assert outline.inside["td"][:4] == ["1,234,567", "0.5", "", "1e-09"]
    assert all(cell["class"] == "number" for cell in outline.named("td"))


@pytest.mark.parametrize(("columns", "row"), [((), ()), (("a", "b"), ("x",)), (("a",), ("x", 1))])
def test_a_table_needs_a_cell_for_each_column(
    columns: tuple[str, ...], row: tuple[str | int, ...]
) -> None:
    with pytest.raises(ValueError, match="one cell for each"):
        Table("t", columns, (row,))


def test_a_page_without_charts_holds_no_script() -> None:
    page = link_page("Plain", [Section("Words", "Only.")])
    assert "<script" not in page
    assert "script-src &#39;none&#39;" in page
    assert len(page) < 10_000


def test_a_page_without_sections_is_a_page() -> None:
    outline = Outline(link_page("Nothing", []))
    assert outline.inside["h1"] == ["Nothing"]
    assert "nav" not in outline.inside


def test_the_same_sections_give_the_same_page() -> None:
    first, second = (
        link_page("Same", [Section("One", "", samples.drawn()["subgroups"](), TABLE)])
        for _ in range(2)
    )
    assert first == second
