"""Care items of one system's records, as columns.

Rules:
- Numbers follow `ITEM_MIX`, scaled so that all systems together send the wished number per person;
  each heading that a system sends has at least one item, so that every feed has the same files.
- Nothing happens before a person is born or after they died; only appointments lie in the future.
- A sexual-health entry goes only to clients of the sexual health service and of the practices.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from demo.catalogue import CATALOGUE, ITEM_MIX, ONCE, STATUSES, Entry
from demo.households import EXTRACT_DAY
from demo.names import Ints, Texts
from demo.population import NEVER, Population
from demo.records import View, iso_days

DEFAULT_PER_PERSON = 3.0
_SEXUAL_HEALTH = "ZZS01"
_ENDED = frozenset({"finished", "completed", "inactive", "cancelled", "noshow", "fulfilled"})


@dataclass(frozen=True, eq=False)
class Items:
    """Items of one heading of one system, as columns; `row` is the record in the view.

    `start` and `end` are ISO dates (`end` empty while it lasts), `time` the time of day of the
    start, `value` a result or the name of a contact, empty for none.
    """

    heading: str
    row: npt.NDArray[np.int64]
    item_id: Texts
    entry: list[Entry]
    status: Texts
    start: Texts
    end: Texts
    time: Texts
    author: Texts
    value: Texts

    def __len__(self) -> int:
        return len(self.row)


def scale_for(per_person: float, people: int, records: dict[str, int]) -> float:
    """The factor on `ITEM_MIX` that gives `per_person` items for each of `people`."""
    unscaled = sum(sum(ITEM_MIX[system].values()) * n for system, n in records.items())
    return per_person * people / unscaled


def build_items(
    rng: np.random.Generator, view: View, population: Population, scale: float, authors: Texts
) -> list[Items]:
    """The items of a system, one entry per heading it sends."""
    return [
        _of_heading(
            rng, view, population, heading, max(1, round(share * scale * len(view))), authors
        )
        for heading, share in ITEM_MIX[view.system.id].items()
    ]


def _entries(rng: np.random.Generator, view: View, heading: str, row: npt.NDArray[np.int64]
             ) -> list[Entry]:  # fmt: skip
    entries = CATALOGUE[heading]
    plain = [e for e in entries if not e.sensitivity]
    sensitive = [e for e in entries if e.sensitivity]
    lucks = rng.random(len(row)).tolist()
    codes = view.columns["organisation"][row]
    shares = [_sensitive_share(view.system.format, heading, code) for code in codes]
    sure = rng.random(len(row)).tolist()
    return [
        sensitive[int(u * len(sensitive))]
        if sensitive and s < share
        else plain[int(u * len(plain))]
        for u, s, share in zip(lucks, sure, shares, strict=True)
    ]


def _values(
    rng: np.random.Generator, p: Population, person: Ints, heading: str, entry: list[Entry]
) -> Texts:
    """Results with a unit, and the names of personal contacts: relatives, or else anybody."""
    if heading == "personal_contact":
        anybody = rng.integers(0, len(p), size=len(person))
        contact = np.where(p.relative[person] >= 0, p.relative[person], anybody)
        names: Texts = p.given[contact] + " " + p.family[contact]
        return names
    lucks = rng.random(len(entry)).tolist()
    return np.array(
        [f"{e.low + u * (e.high - e.low):.0f}" if e.unit else ""
         for e, u in zip(entry, lucks, strict=True)],
        dtype=object,
    )  # fmt: skip


def _sensitive_share(form: str, heading: str, organisation: str) -> float:
    if organisation == _SEXUAL_HEALTH:
        return 1.0
    return 0.02 if form == "fhir" and heading == "condition" else 0.0


def _of_heading(
    rng: np.random.Generator, view: View, p: Population, heading: str, count: int, authors: Texts
) -> Items:
    if heading in ONCE:
        row = np.sort(rng.permutation(len(view))[:count])
    else:
        row = np.sort(rng.integers(0, len(view), size=count))
    count = len(row)
    person = view.person[row]
    death = p.death[person]
    until = np.where(death == NEVER, EXTRACT_DAY - 1, death)
    since = np.maximum(p.birth[person], until - 1500)
    start = (since + rng.random(count) ** 0.6 * (until - since)).astype(np.int64)
    states = STATUSES.get(heading, ("active", "inactive"))
    status = np.array(states, dtype=object)[rng.integers(0, len(states), size=count)]
    booked = (status == "booked") & (death == NEVER)
    start[booked] = EXTRACT_DAY + rng.integers(1, 60, size=int(booked.sum()))
    status[(status == "booked") & ~booked] = "cancelled"
    length = rng.integers(0, 15, size=count)
    end = np.minimum(start + length, np.maximum(until, start))
    ended = np.isin(status.astype(str), sorted(_ENDED))
    hours = [
        f"{8 + int(u * 10):02d}:{int(u * 6000) % 60:02d}:00" for u in rng.random(count).tolist()
    ]
    entry = _entries(rng, view, heading, row)
    values = _values(rng, p, person, heading, entry)
    prefix = f"{view.system.id[:2]}-{heading[:4]}-"
    return Items(
        heading=heading, row=row,
        item_id=np.array([f"{prefix}{i:07d}" for i in range(1, count + 1)], dtype=object),
        entry=entry, status=status, start=iso_days(start.astype(np.int32)),
        end=np.where(ended, iso_days(end.astype(np.int32)), "").astype(object),
        time=np.array(hours, dtype=object),
        author=authors[rng.integers(0, len(authors), size=count)],
        value=values,
    )  # fmt: skip
