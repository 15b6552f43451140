"""What detection is told beside the log, collected from the store: who works where, who cares for
whom, who lives where, who must not look at whom.

Rules:
- Ties, wishes, flags and bars are read of the persons that the events name, set-based, as of now: a
  tie that came in late counts.
- How common a family name is, how many live at an address, is counted over all records.
- Names and addresses stay in memory, for as long as detection runs.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from audit.detect_facts import FACT_COLUMNS, NEVER, Facts, empty
from audit.detect_rules import ROTAS
from consent import relationships
from consent.roles import role_of_directory
from consent.terms import first_day, last_day
from schemas.dates import Instant, PartialDate
from schemas.identifiers import LocalId, OdsCode, PersonId, SourceId
from schemas.records import StaffEntry
from schemas.settings import Settings
from schemas.sharing import DirectiveKind, Relationship
from service.sharing_facts import (
    FACTS,
    OPTING_OUT,
    OpenItem,
    Surroundings,
    directives_of,
    facts_of,
)
from service.sharing_ports import PersonView, SharingStore

_AT_ONCE = 2_000
"""Persons opened at once."""
_EPOCH = date(1970, 1, 1)


@dataclass
class _Rows:
    """Rows of the tables of facts, as they are found."""

    people: list[tuple[object, ...]] = field(default_factory=list)
    ties: list[tuple[object, ...]] = field(default_factory=list)
    wishes: list[tuple[object, ...]] = field(default_factory=list)
    bonds: list[tuple[object, ...]] = field(default_factory=list)

    def table(self, name: str) -> pd.DataFrame:
        rows = getattr(self, name)
        return pd.DataFrame(rows, columns=list(FACT_COLUMNS[name])) if rows else empty(name)


def collect(
    store: SharingStore,
    settings: Settings,
    persons: Collection[PersonId],
    watched: Collection[PersonId],
    at: Instant,
    *,
    names: bool = True,
) -> Facts:
    """The facts about these persons, and the whole staff directory. names: with who bears which
    name and lives where, which is read of every record; explanations need none of it."""
    rows = _Rows()
    practices = {o.code for o in settings.organisations if o.kind == "general_practice"}
    custodians = {source.id: source.organisations[0] for source in settings.sources}
    ordered = sorted(set(persons))
    for first in range(0, len(ordered), _AT_ONCE):
        _, views = store.views_now(ordered[first : first + _AT_ONCE], FACTS, at)
        for view in views.values():
            _add_person(rows, view, _opened(store, view, custodians), practices, custodians,
                        view.person in watched, at)  # fmt: skip
    if not names:
        return Facts(
            people=rows.table("people"), ties=rows.table("ties"), wishes=rows.table("wishes"),
            bonds=rows.table("bonds"), staff=_staff(store, settings),
        )  # fmt: skip
    own = _own(store, settings)
    known, counts = _demographics(store, {*ordered, *own.person})
    return Facts(
        people=rows.table("people"), ties=rows.table("ties"), wishes=rows.table("wishes"),
        bonds=rows.table("bonds"), staff=_staff(store, settings), own=own, names=known["names"],
        homes=known["homes"], **counts,
    )  # fmt: skip


def _opened(
    store: SharingStore, view: PersonView, custodians: Mapping[SourceId, OdsCode]
) -> list[OpenItem]:
    contents = store.open_items(view.items)
    return [
        OpenItem(held, item, item.organisation or custodians.get(held.source))
        for held, item in zip(view.items, contents, strict=True)
    ]


def _add_person(
    rows: _Rows,
    view: PersonView,
    items: Sequence[OpenItem],
    practices: Collection[str],
    custodians: Mapping[SourceId, OdsCode],
    watched: bool,
    at: Instant,
) -> None:
    """What is known of one person."""
    facts = facts_of(view, items, Surroundings(), at)
    died = _day(last_day(facts.deceased_on)) if facts.deceased_on else NEVER
    flagged = bool(facts.safeguarding_flags)
    rows.people.append((view.person, died, facts.restricted, watched, flagged))
    for one in items:
        for tie in relationships.from_item(one.item, one.custodian):
            rows.ties.append(_tie(view.person, tie))
    for held in view.records:
        custodian = held.record.organisation or custodians.get(held.source)
        if custodian in practices and held.record.gp_practice is not None:
            said = min(held.as_at, view.received.get(held.record_id, held.as_at))
            since = _day(date.fromisoformat(said[:10]))
            end = died if held.record.death is not None else NEVER
            rows.ties.append((view.person, custodian, "", "", "registration", since, end))
    for wish in directives_of(view, items, at):
        if wish.kind in OPTING_OUT:
            end = _day(last_day(PartialDate(wish.end[:10]))) if wish.end else NEVER
            start = _day(first_day(PartialDate(wish.start[:10])))
            rows.wishes.append((view.person, start, end))
        elif wish.kind is DirectiveKind.BAR_STAFF:
            rows.bonds += [(staff, view.person) for staff in sorted(wish.targets.staff)]


def _tie(person: PersonId, tie: Relationship) -> tuple[object, ...]:
    start = _day(first_day(PartialDate(tie.start[:10])))
    end = _day(last_day(PartialDate(tie.end[:10]))) if tie.end else NEVER
    return (person, tie.organisation, tie.team or "", tie.staff_id or "", tie.kind.value, start,
            end)  # fmt: skip


def _day(value: date) -> int:
    return min(NEVER, (value - _EPOCH).days)


# --- staff --------------------------------------------------------------------------------------


def _staff(store: SharingStore, settings: Settings) -> pd.DataFrame:
    directory = settings.sharing.staff_directory
    entries = () if directory is None else store.staff_entries(directory)
    rows = [_entry(one) for one in entries]
    return pd.DataFrame(rows, columns=list(FACT_COLUMNS["staff"])) if rows else empty("staff")


def _entry(one: StaffEntry) -> tuple[object, ...]:
    rota = (one.rota or "").strip().casefold()
    return (
        one.staff_id, one.organisation, role_of_directory(one.role) or one.role, one.team or "",
        _day(first_day(one.start)) if one.start else -NEVER,
        _day(last_day(one.end)) if one.end else NEVER,
        rota if rota in ROTAS else "", _folded((one.name or "").rpartition(" ")[2]),
    )  # fmt: skip


def _own(store: SharingStore, settings: Settings) -> pd.DataFrame:
    """Which persons members of staff are, by the settings."""
    rows = set()
    for staff_id, names in settings.sharing.own_records.items():
        for name in names:
            source, _, local_id = name.partition("/")
            held = store.record(SourceId(source), LocalId(local_id))
            if held is not None and held.person_id is not None:
                rows.add((staff_id, held.person_id))
    return pd.DataFrame(sorted(rows), columns=list(FACT_COLUMNS["own"])) if rows else empty("own")


# --- names and places ---------------------------------------------------------------------------


def _folded(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalpha())


def _firsts(column: pa.ChunkedArray) -> pa.Array:
    """The first entry of each list, '' where there is none."""
    lists = pc.list_slice(column.combine_chunks(), 0, 1)
    flat = pc.fill_null(pc.list_flatten(lists), "")
    place = np.full(len(lists), len(flat), np.int64)
    place[pc.list_parent_indices(lists).to_numpy()] = np.arange(len(flat))
    return pa.concat_arrays([flat.cast(pa.string()), pa.array([""])]).take(pa.array(place))


def _only(kept: str, texts: pa.Array) -> pd.Series[str]:
    """The texts in small letters, without what is not of these classes of character."""
    left = pc.replace_substring_regex(pc.utf8_lower(texts), f"[^{kept}]", "")
    return pd.Series(left.to_pandas(), dtype=object)


def _demographics(
    store: SharingStore, wanted: Collection[str]
) -> tuple[dict[str, pd.DataFrame], dict[str, Any]]:
    """Names and homes of the persons wanted; and the counts over all records. Nothing is done for
    each record in Python: there are a million of them."""
    table = store.match_columns()
    codes = _firsts(table.column("postcode")).to_pandas()
    lines = _only(r"\p{L}\p{N}", _firsts(table.column("address")))
    held = pd.DataFrame(
        {
            "record_id": table.column("record_id").to_numpy(),
            "family": _only(r"\p{L}", _firsts(table.column("family"))),
            "postcode": codes,
            "place": (codes + " " + lines).where((codes != "") & (lines != ""), ""),
        }
    )
    members = store.memberships().to_pandas().rename(columns={"person_id": "person"})
    held = held.merge(members, on="record_id")
    names = held.loc[held.family != "", ["person", "family"]].drop_duplicates()
    homes = held.loc[held.place != "", ["person", "place", "postcode"]].drop_duplicates()
    chosen = {
        "names": names[names.person.isin(wanted)].reset_index(drop=True),
        "homes": homes[homes.person.isin(wanted)].reset_index(drop=True),
    }
    counts = {
        "family_counts": names.family.value_counts(),
        "place_people": homes.place.value_counts(),
        "postcode_homes": homes.drop_duplicates("place").postcode.value_counts(),
        "population": int(held.person.nunique()),
    }
    return chosen, counts
