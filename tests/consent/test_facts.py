"""What is read from items, words and dates, as the rows of tests/spec/consent_facts.txt say it."""

from __future__ import annotations

from pathlib import Path

import pytest

from consent import directives, flags, relationships
from consent.labels import labels_of
from consent.roles import role_of_directory
from consent.scopes import ALL, categories_in
from consent.terms import Terms, flag_stands, holds, proxy_stands
from schemas.dates import Instant, PartialDate
from schemas.held import FlagKind, PersonFacts, Proxy, ProxyBasis, SafeguardingFlag
from schemas.identifiers import OdsCode, PersonId
from schemas.items import CareItem, Coding, Heading

SPEC = Path(__file__).parent.parent / "spec" / "consent_facts.txt"
ORGANISATION = OdsCode("ZZR01")


def section(name: str) -> list[list[str]]:
    rows: list[list[str]] = []
    inside = False
    for line in SPEC.read_text("utf-8").splitlines():
        if line.startswith("== "):
            inside = line[3:].split(":")[0] == name
        elif inside and line and not line.startswith("#"):
            rows.append([cell.strip() for cell in line.split(" | ")])
    assert rows, f"no rows of {name}"
    return rows


def table(name: str) -> pytest.MarkDecorator:
    rows = section(name)
    return pytest.mark.parametrize("row", rows, ids=[" ".join(row) for row in rows])


def listed(cell: str) -> list[str]:
    return [] if cell == "-" else sorted(cell.split(", "))


def some(cell: str) -> str | None:
    return None if cell == "-" else cell


def day(cell: str) -> PartialDate | None:
    return None if cell == "-" else PartialDate(cell)


def noon(cell: str) -> Instant:
    return Instant(f"{cell}T12:00:00Z")


@table("labels")
def test_labels(row: list[str]) -> None:
    sent, code, text, wanted = row
    item = CareItem(
        heading=Heading.CONDITION, item_id="1", subject=None, text=some(text),
        sensitivity=tuple(listed(sent)), codes=(Coding(code),) if some(code) else (),
    )  # fmt: skip
    assert sorted(label.value for label in labels_of(item)) == listed(wanted)


@table("roles")
def test_roles(row: list[str]) -> None:
    assert role_of_directory(row[0]) == some(row[1])


@table("scopes")
def test_scopes(row: list[str]) -> None:
    named = {"allergy", "condition", "demographics", "safeguarding"}
    found = {one.value for one in categories_in(frozenset(row[0].split()))} & named
    assert found == set(row[1].split()) - {"-"}


def test_where_the_way_in_knows_no_scopes_all_is_in_scope() -> None:
    assert categories_in(None) == ALL
    assert categories_in(frozenset()) == frozenset()


@table("relationships")
def test_relationships(row: list[str]) -> None:
    heading, status, start, end, on, wanted = row
    item = CareItem(
        heading=Heading(heading), item_id="1", subject=None, text="x", status=status,
        start=day(start), end=day(end),
    )  # fmt: skip
    found = relationships.from_item(item, ORGANISATION)
    assert all(one.organisation == ORGANISATION and one.basis == heading for one in found)
    assert any(holds(one.start, one.end, noon(on)) for one in found) == (wanted == "yes")
    assert relationships.from_item(item, None) == ()


def test_a_claim_lasts_a_week() -> None:
    claim = relationships.claimed(ORGANISATION, "ST1", noon("2026-03-01"))
    assert claim.self_claimed
    assert holds(claim.start, claim.end, noon("2026-03-08"))
    assert not holds(claim.start, claim.end, noon("2026-03-09"))
    assert not holds(claim.start, claim.end, noon("2026-02-28"))


@table("flags")
def test_flags(row: list[str]) -> None:
    code, text, wanted = row
    for heading, expected in ((Heading.SAFEGUARDING, some(wanted)), (Heading.ALERT, None)):
        item = CareItem(
            heading=heading, item_id="1", subject=None, text=some(text),
            codes=(Coding(code),) if some(code) else (), start=PartialDate("2026-01-01"),
        )  # fmt: skip
        found = flags.from_item(item, ORGANISATION)
        assert (found.kind.value if found else None) == expected


@table("flag in time")
def test_flags_in_time(row: list[str]) -> None:
    start, end, on, wanted = row
    flag = SafeguardingFlag(FlagKind.LOOKED_AFTER_CHILD, ORGANISATION, PartialDate(start), day(end))
    assert flag_stands(flag, Terms(), noon(on)) == (wanted == "yes")


@table("wishes")
def test_wishes(row: list[str]) -> None:
    said = [one.split() for one in row[0].split(", ")]
    preferences = [
        (
            f"k{n}",
            CareItem(
                heading=Heading.SHARING_PREFERENCE, item_id=str(n), subject=None,
                codes=(Coding(code),), start=day(when),
            ),
        )
        for n, (code, when) in enumerate(said)
    ]  # fmt: skip
    for given in (preferences, preferences[::-1]):
        assert sorted(one.kind.value for one in directives.standing(given)) == listed(row[1])


def test_a_dissent_entered_in_error_is_none() -> None:
    item = CareItem(
        heading=Heading.SHARING_PREFERENCE, item_id="1", subject=None, codes=(Coding("93C1."),),
        status="entered-in-error",
    )  # fmt: skip
    assert directives.standing([("k", item)]) == ()


@pytest.mark.parametrize(
    ("scope", "rule", "provision", "wanted"),
    [
        ("patient-privacy", "OPTOUT", {}, ["gp-dissent"]),
        ("patient-privacy", "", {"type": "deny"}, ["gp-dissent"]),
        ("patient-privacy", "OPTIN", {"type": "deny"}, ["gp-dissent"]),
        ("patient-privacy", "", {"type": "deny", "actor": [{}]}, ["gp-dissent"]),
        ("patient-privacy", "OPTIN", {"type": "permit"}, []),
        ("research", "OPTOUT", {}, ["national-data-opt-out"]),
        ("treatment", "OPTOUT", {}, []),
        ("patient-privacy", "", {}, []),
    ],
)
def test_a_consent_of_a_feed(
    scope: str, rule: str, provision: dict[str, object], wanted: list[str]
) -> None:
    item = CareItem(
        heading=Heading.SHARING_PREFERENCE, item_id="1", subject=None, text="Consent",
        original={
            "resourceType": "Consent", "scope": {"coding": [{"code": scope}]},
            "policyRule": {"coding": [{"code": rule}]}, "provision": provision,
        },
    )  # fmt: skip
    assert [one.kind.value for one in directives.standing([("k", item)])] == wanted


@table("proxies")
def test_proxies(row: list[str]) -> None:
    basis, seen, born, reviewed, renewed, state, on, wanted = row
    evidence, orders = seen.split(", ")
    words = set(listed(state))
    proxy = Proxy(
        proxy_id="PX2" if "another" in words else "PX1",
        basis=ProxyBasis(basis),
        evidenced=evidence == "seen",
        orders_checked=orders == "looked up",
        start=PartialDate("2020-06-01"),
        end=PartialDate("2026-02-28") if "ended" in words else None,
        reviewed_on=day(reviewed),
        renewed_on=day(renewed),
        let_stand="let stand" in words,
    )
    facts = PersonFacts(
        person=PersonId("p"),
        birth_dates=frozenset({PartialDate(born)}) if some(born) else frozenset(),
        proxies=(proxy,),
        proxies_suspended="suspended" in words,
        restricted="restricted" in words,
        restricted_household="household" in words,
        deceased_on=PartialDate("2026-01-01") if "dead" in words else None,
    )
    assert proxy_stands("PX1", facts, Terms(), noon(on)) == (wanted == "yes")
