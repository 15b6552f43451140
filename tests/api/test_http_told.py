"""What may be told is told over HTTP: that something is withheld, and whom to ring where."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from schemas.dates import Instant
from schemas.identifiers import OdsCode, SourceId
from schemas.items import Heading
from schemas.sharing import Category, DirectiveKind, Targets
from tests.api.in_process import Api, asked, code_of, matches
from tests.api.test_http_probing import who
from tests.service.sharing_world import (
    ANN,
    MUM,
    TOM,
    care,
    lay_down,
    wish,
    world,
)
from tests.store_samples import load, one


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Api]:
    """A partnership that nobody has asked yet."""
    with world(tmp_path) as sharing, asked(sharing, tmp_path / "keys") as made:
        yield made


def test_what_may_be_told_is_told_with_whom_to_ring(fresh: Api) -> None:
    refused = fresh.ask(who("ST1"), f"Patient/{MUM}")
    assert refused.status_code == 403
    assert "Ring records desk, Story." in refused.text
    searched = fresh.ask(who("ST1"), "AllergyIntolerance", params={"patient": MUM})
    (told,) = matches(searched, "outcome")
    assert told["issue"][0]["code"] == "suppressed"
    assert searched.json()["total"] == 0


@pytest.mark.parametrize("staff_id", ["ST1", "ST3"])
def test_a_seal_that_may_be_told_is_told(fresh: Api, staff_id: str) -> None:
    form = {"patient": TOM}
    (asthma,) = matches(fresh.ask(who(staff_id), "Condition", params=form))
    lay_down(fresh.sharing, TOM, directive=wish(DirectiveKind.SEAL, item_key=asthma["id"]))
    after = fresh.ask(who(staff_id), "Condition", params=form)
    assert after.json()["total"] == 0
    assert "Asthma" not in after.text
    assert [one["issue"][0]["code"] for one in matches(after, "outcome")] == ["suppressed"]
    read = fresh.ask(who(staff_id), f"Condition/{asthma['id']}")
    assert (read.status_code, code_of(read)) == (403, "NOT_PERMITTED")


def test_a_refusal_of_one_item_names_its_custodian_unless_that_is_a_place(fresh: Api) -> None:
    for person, named in ((TOM, True), (ANN, False)):
        (allergy,) = matches(
            fresh.ask(who("ST1"), "AllergyIntolerance", params={"patient": person})
        )
        everything = Targets(categories=frozenset({Category.ALLERGY}))
        lay_down(fresh.sharing, person, directive=wish(DirectiveKind.SEAL, targets=everything))
        read = fresh.ask(who("ST1"), f"AllergyIntolerance/{allergy['id']}")
        assert read.status_code == 403
        assert "ring the records desk" in read.text
        assert ("Practice" in read.text) == named


def test_demographics_that_a_wish_withholds_are_said_to_be_withheld(fresh: Api) -> None:
    assert fresh.ask(who("ST3"), f"Patient/{TOM}").status_code == 200
    council = Targets(organisations=frozenset({OdsCode("CO001")}))
    lay_down(fresh.sharing, TOM, directive=wish(DirectiveKind.PARTY, targets=council))
    refused = fresh.ask(who("ST3"), f"Patient/{TOM}")
    assert refused.status_code == 403
    assert "Ring records desk, Story." in refused.text
    assert "Open" not in refused.text


def test_what_has_no_date_comes_last(fresh: Api) -> None:
    undated = [
        care(Heading.CONDITION, f"u{n}", "tom", f"Undated {n}", start=None) for n in range(3)
    ]
    recorded = care(
        Heading.CONDITION, "r1", "tom", "Long ago", start=None,
        recorded_at=Instant("1999-01-01T00:00:00Z"),
    )  # fmt: skip
    load(fresh.sharing.store, [one(item) for item in (*undated, recorded)], "u", SourceId("gp"))
    found = matches(fresh.ask(who("ST1"), "Condition", params={"patient": TOM}))
    order = [resource["code"]["text"] for resource in found]
    assert order[:2] == ["Asthma", "Long ago"]
    assert sorted(order[2:]) == ["Undated 0", "Undated 1", "Undated 2"]
