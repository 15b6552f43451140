"""The reports of a linkage, without truth and with it: whole, right, and no person's value."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from lxml import html

from linkage import frames
from linkage.api import Linked
from linkage.metrics import interval, quality
from linkage.thresholds import sampling_plan
from service.evaluating import Evaluation, _figures
from service.evaluation_page import evaluation_page, subgroup_frame
from service.link_report import link_report
from tests.linkage import linked_samples as samples

ALWAYS = (
    "What was linked",
    "How your columns were understood",
    "What carries no evidence",
    "Which pairs were compared",
    "What each field says",
    "Fields that go together",
    "Pairs by match weight",
    "Precision and recall by threshold",
    "Error rates by threshold",
    "A clerical check",
    "Records per person",
    "The most contested cluster",
    "Records that cannot be linked",
    "The model",
)
OF_TRAINING = ("How the training settled", "What each pass found")
SUBGROUPS = "Expected errors by subgroup"


class Page:
    """A page as its sections, tables and charts."""

    def __init__(self, text: str) -> None:
        self.tree = html.document_fromstring(text)
        (library,) = self.tree.xpath("//script[@type!='application/json']")
        self.own = text.replace(library.text, "").casefold()
        (specs,) = self.tree.xpath("//script[@type='application/json']")
        self.charts = json.loads(specs.text)
        self.headings = [h.text_content().strip() for h in self.tree.xpath("//section//h2")]

    def section(self, title: str) -> html.HtmlElement:
        (found,) = (
            s for s in self.tree.xpath("//section") if s.xpath(".//h2")[0].text_content() == title
        )
        return found

    def text(self, title: str) -> str:
        return " ".join(self.section(title).text_content().split())

    def table(self, title: str) -> dict[str, list[str]]:
        """First cell of each row → the others."""
        rows = [
            [cell.text_content().strip() for cell in row]
            for row in self.section(title).xpath(".//tbody/tr")
        ]
        return {row[0]: row[1:] for row in rows}


@pytest.fixture(scope="module", params=list(samples.SHAPES))
def both(request: pytest.FixtureRequest) -> tuple[Linked, Page]:
    linked = samples.SHAPES[request.param]()
    return linked, Page(link_report(linked))


@pytest.fixture(scope="module")
def trained() -> Page:
    return Page(link_report(samples.trained()))


def test_every_section_is_there(both: tuple[Linked, Page]) -> None:
    linked, page = both
    wanted = list(ALWAYS)
    if SUBGROUPS in page.headings:
        wanted.insert(wanted.index("Records per person"), SUBGROUPS)
    if linked.trained:
        wanted[-1:-1] = OF_TRAINING
    assert page.headings == wanted


def test_no_value_of_a_person_is_in_the_page(both: tuple[Linked, Page]) -> None:
    _, page = both
    held = samples.values(samples.people()) | samples.values(samples.people(120, 8))
    assert len(held) > 500
    assert page.own.count("</section>") == len(page.headings)
    shown = {value for value in held if value.casefold() in page.own}
    assert not shown


def test_record_ids_stand_in_the_cluster_graph_alone(trained: Page) -> None:
    ids = set(samples.people()["record_id"])
    nodes, _ = frames.contested_cluster(samples.trained())
    with_ids = [c for c in trained.charts if any(f'"{one}"' in json.dumps(c) for one in ids)]
    assert [c["title"]["text"] for c in with_ids] == ["Records and their links"]
    assert all(f'"{one}"' in json.dumps(with_ids[0]) for one in nodes["label"])
    assert not any(one in trained.tree.text_content() for one in ids - set(nodes["label"]))


def test_figures_are_those_of_the_linkage(both: tuple[Linked, Page]) -> None:
    linked, page = both
    figures = {name: int(cells[0].replace(",", "")) for name, cells in
               page.table("What was linked").items()}  # fmt: skip
    assert figures == {
        "Records": len(linked.records),
        "Sources": 3 if len(linked.records) > 2 else 2,
        "Persons": linked.persons,
        "Pairs compared": linked.partition.compared,
        "Pairs joined or worth a look (table of pairs)": len(linked.partition.edges),
        "Pairs for a person to decide": len(linked.partition.tasks),
    }
    assert page.table("The model")["Hash (SHA-256)"] == [linked.model.hash]
    rules = page.table("Which pairs were compared")
    assert {name: [int(cell.replace(",", "")) for cell in row] for name, row in rules.items()} == {
        r.rule: [r.proposed, r.credited, r.cut_blocks, r.cut_pairs] for r in linked.partition.rules
    }


def test_estimates_are_those_at_the_threshold(both: tuple[Linked, Page]) -> None:
    linked, page = both
    at = frames.at_join(linked)
    text = page.text("What was linked")
    assert f"joined from {linked.join_bits:+.1f} bits" in text
    if at.pairs[0]:
        assert f"{at.precision[0]:.2%} of joined pairs" in text
        assert f"{at.recall[0]:.2%} of the pairs" in text
    else:
        assert "No pair reaches that threshold" in text
    if linked.partition.compared:
        rows = page.table("Precision and recall by threshold")
        place = int(np.flatnonzero(linked.rates.bits == 10.0)[0])
        shown = [float(cell.replace(",", "")) for cell in rows["10"]]
        assert shown[1:3] == [
            pytest.approx(linked.rates.precision[place], abs=1e-5),
            pytest.approx(linked.rates.recall[place], abs=1e-5),
        ]


def test_the_clerical_check_is_the_sampling_plan(trained: Page) -> None:
    linked = samples.trained()
    plan = sampling_plan(linked.sample, linked.join_bits)
    rows = list(trained.table("A clerical check").values())
    assert [int(row[-1].replace(",", "")) for row in rows] == [s.look_at for s in plan]
    assert f"{sum(s.look_at for s in plan):,} in all" in trained.text("A clerical check")


def test_how_columns_were_understood(trained: Page) -> None:
    rows = trained.table("How your columns were understood")
    assert rows["family_name"] == ["surname", "recognised"]
    assert rows["identifier"] == ["case_no", "as you named it"]


def test_what_was_cut_is_said() -> None:
    page = Page(link_report(samples.SHAPES["cut"]()))
    (rule, *_) = samples.SHAPES["cut"]().partition.rules
    said = f"rule “year” lost {rule.cut_blocks} blocks ({rule.cut_pairs} pairs)"
    assert rule.cut_pairs
    assert said in page.text("Which pairs were compared")


def test_nothing_cut_is_said(trained: Page) -> None:
    assert "nothing was cut" in trained.text("Which pairs were compared")


def test_a_threshold_of_the_users_own_is_said() -> None:
    text = Page(link_report(samples.SHAPES["frozen"]())).text("Precision and recall by threshold")
    assert "Recommended: join from +0.0 bits" in text
    assert "This linkage joined from +3.3 bits, as it was told to" in text


def test_without_pairs_nothing_is_estimated() -> None:
    page = Page(link_report(samples.SHAPES["no pairs"]()))
    for title in ALWAYS[7:10]:
        assert "nothing can be estimated" in page.text(title)
    assert "No two records were joined" in page.text("The most contested cluster")


def test_forbidden_pairs_are_counted_with_their_reason() -> None:
    linked = samples.SHAPES["disputed"]()
    forbidden = linked.partition.edges["guard"].drop_null()
    assert len(forbidden) > 5
    text = Page(link_report(linked)).text("Pairs by match weight")
    assert f"{len(forbidden)} pairs (one source holds both and keeps its people apart" in text


def test_small_groups_are_not_shown(trained: Page) -> None:
    rows = trained.section(SUBGROUPS).xpath(".//tbody/tr")
    cells = [[cell.text_content().strip() for cell in row] for row in rows]
    assert {"source", "sex", "born"} == {row[0] for row in cells}
    assert all(int(row[-1]) >= 10 and float(row[-2]) >= 5 for row in cells)


def test_the_same_linkage_gives_the_same_page() -> None:
    linked = samples.SHAPES["one field"]()
    assert link_report(linked) == link_report(linked)


# --- with truth --------------------------------------------------------------------------------

PERSON = np.array([1, 1, 1, 2, 3, 3, 4, 4, 5, 5])
TRUE = np.array([1, 1, 2, 2, 3, 3, 4, 4, 6, 6])
EVALUATION = Evaluation(
    engines={"commonthread": _figures(PERSON, TRUE), "NHS number alone": _figures(TRUE, TRUE)},
    recall={
        "source": {"gp": (90, 100), "ward": (10, 20)},
        "sex": {"female": (50, 60), "male": (0, 0)},
        "ethnicity": {"White British": (70, 72), "Somali": (6, 9)},
        "age_band": {"0-4": (3, 3)},
    },
    planted={"twins": (40, 2), "mother_and_baby": (0, 0)},
    unknown=17,
)


@pytest.fixture(scope="module")
def truthful() -> Page:
    return Page(evaluation_page(EVALUATION))


def test_the_headline_is_the_share_of_mixed_persons_with_its_bound(truthful: Page) -> None:
    found = quality(PERSON, TRUE)
    text = truthful.text("Persons showing another person's record")
    assert f"{found.mixed_per_100k:,.1f} persons in 100,000" in text
    assert f"no more than {found.mixed_per_100k_upper95:,.1f}" in text
    assert "17 further published records" in text


def test_engines_stand_side_by_side(truthful: Page) -> None:
    rows = truthful.table("Beside simpler means")
    found = quality(PERSON, TRUE)
    ours = [float(cell.replace(",", "")) for cell in rows["commonthread"]]
    assert ours[:2] == [found.persons, found.mixed_persons]
    assert ours[4:7] == pytest.approx([found.precision, found.recall, found.f1], abs=1e-5)
    assert set(rows) == set(EVALUATION.engines)


def test_missed_matches_are_shown_by_group_with_exact_intervals(truthful: Page) -> None:
    frame = subgroup_frame(EVALUATION)
    order = ["ethnicity", "ethnicity", "age band", "sex", "source", "source"]
    assert frame["group"].tolist() == order
    somali = frame[frame["value"] == "Somali"].iloc[0]
    assert somali["rate"] == pytest.approx(3 / 9)
    assert (somali["lower"], somali["upper"]) == interval(3, 9)
    assert "male" not in set(frame["value"])
    text = truthful.text("Missed matches by group")
    assert "Highest: source “ward”, 50.00%" in text
    (chart,) = truthful.charts
    assert chart["title"]["text"] == "By subgroup: missed matches"


def test_planted_cases_are_told(truthful: Page) -> None:
    rows = truthful.table("Planted cases")
    assert rows == {"twins": ["40", "2", "0.05"], "mother and baby": ["0", "0", ""]}


def test_an_evaluation_of_strangers_says_so() -> None:
    bare = replace(EVALUATION, recall={"source": {"gp": (0, 0)}}, planted={}, unknown=0)
    text = evaluation_page(bare)
    assert "no match could be missed" in text
    assert "Planted cases" not in text
    assert "further published records" not in text
