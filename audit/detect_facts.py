"""What detection works on: facts of the partnership, accesses as columns. Tables in; no I/O.

Rules:
- An access is one event about one person: an event that names three persons is three rows, one
  that names nobody is a row whose person is `NOBODY`.
- Names become whole numbers once, over one vocabulary of the facts and of the events; whatever is
  named by neither is not there.
- Days count from 1970-01-01, moments in seconds from then, both in UTC; hours are local.
- Details are opened once for each distinct text of them, never once for each event.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from audit.actions import EventClass, row_of
from audit.event_columns import EVENT_COLUMNS
from schemas.errors import InvalidValue

Ints = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int32]
Mask = npt.NDArray[np.bool_]

NOBODY = -1
"""Code of a person, team or reason that is not named."""
NEVER = 2_000_000
"""A day that does not come: an end that is open."""
DAY = 86_400
"""Seconds."""

EVENT_SCHEMA = pa.schema(
    [
        pa.field(one.name, pa.timestamp(one.type.unit)) if one.name == "at" else one
        for one in EVENT_COLUMNS
    ]
)
"""Those columns with moments of no zone, in UTC. Text may be dictionary-encoded."""

OPENS = frozenset({EventClass.ACCESS})
CLASSES: tuple[str, ...] = tuple(one.value for one in EventClass)
CLASS: dict[str, int] = {name: n for n, name in enumerate(CLASSES)}
OUTCOMES = ("permitted", "refused", "failed")
PERMITTED, REFUSED, FAILED = range(3)

FACT_COLUMNS: dict[str, tuple[str, ...]] = {
    "people": ("person", "died", "restricted", "watched", "flagged"),
    "names": ("person", "family"),
    "homes": ("person", "place", "postcode"),
    "staff": ("actor", "organisation", "role", "team", "start", "end", "rota", "family"),
    "own": ("actor", "person"),
    "ties": ("person", "organisation", "team", "actor", "kind", "start", "end"),
    "wishes": ("person", "start", "end"),
    "bonds": ("actor", "person"),
}
"""Table of `Facts` → its columns. Text columns hold '' for nothing; days are whole numbers."""


def empty(table: str) -> pd.DataFrame:
    """A table of facts without rows."""
    days = {"died", "start", "end"}
    marks = {"restricted", "watched", "flagged"}
    return pd.DataFrame(
        {
            name: pd.Series(dtype=np.int64 if name in days else bool if name in marks else object)
            for name in FACT_COLUMNS[table]
        }
    )


@dataclass(frozen=True, eq=False)
class Facts:
    """What is known beside the log, as tables with the columns of `FACT_COLUMNS`.

    Attributes:
        people: who is held; `died` a day or `NEVER`; flagged: a safeguarding flag stands.
        names, homes: one row for each family name and each address that somebody has now.
        staff: the directory; `rota` a key of `detect_rules.ROTAS` or ''.
        own: which person a member of staff is.
        ties: who cares for whom, from and until a day, both included; `team`, `actor` only where
            the tie is of these alone; `kind` a value of `RelationshipKind`.
        wishes: days on which somebody does not wish to be seen (opt-outs and dissent).
        bonds: who must not look at whom: barred staff, former partners.
        family_counts: family name → persons of that name, of all that are held.
        place_people: place → persons who live there; postcode_homes: postcode → places there; both
            of all that are held.
        population: persons held.
    """

    people: pd.DataFrame = field(default_factory=partial(empty, "people"))
    names: pd.DataFrame = field(default_factory=partial(empty, "names"))
    homes: pd.DataFrame = field(default_factory=partial(empty, "homes"))
    staff: pd.DataFrame = field(default_factory=partial(empty, "staff"))
    own: pd.DataFrame = field(default_factory=partial(empty, "own"))
    ties: pd.DataFrame = field(default_factory=partial(empty, "ties"))
    wishes: pd.DataFrame = field(default_factory=partial(empty, "wishes"))
    bonds: pd.DataFrame = field(default_factory=partial(empty, "bonds"))
    family_counts: pd.Series[int] = field(default_factory=lambda: pd.Series(dtype=np.int64))
    place_people: pd.Series[int] = field(default_factory=lambda: pd.Series(dtype=np.int64))
    postcode_homes: pd.Series[int] = field(default_factory=lambda: pd.Series(dtype=np.int64))
    population: int = 0

    def __post_init__(self) -> None:
        for name, columns in FACT_COLUMNS.items():
            missing = set(columns) - set(getattr(self, name).columns)
            if missing:
                raise InvalidValue(f"the facts '{name}' lack the columns {', '.join(missing)}")


class Told(msgspec.Struct, frozen=True):
    """Of an event's details what the rules read."""

    team: Any = None
    terminal: Any = None
    reason: Any = None
    words: Any = None
    break_glass: Any = None
    escalate: Any = None
    located: Any = None
    sealed: Any = None
    sensitive: Any = None
    rows: Any = None
    headings: Any = None


_TOLD = msgspec.json.Decoder(Told)


@dataclass(frozen=True, eq=False)
class Accesses:
    """Accesses as columns of one length; codes index the vocabularies.

    Attributes:
        leaf: of the event; at: seconds; day: of `at`; hour: local, with fractions.
        weekday: local, Monday is 0.
        kind: an index of `CLASSES`; outcome: of `OUTCOMES`.
        team: where the sign-in or the directory names one. station: the terminal signed in at.
        reason: of a broken glass, its words (a digest) or its code; glass: opened through one.
        escalate, located, sealed, sensitive: marks of the event. located: looked for by where
            somebody lives; sensitive: another organisation's sensitive data was shown.
        rows: how many rows left, 0 where none did. headings: a bit for each heading opened.
    """

    leaf: Ints
    at: Ints
    day: Codes
    hour: npt.NDArray[np.float32]
    weekday: npt.NDArray[np.int8]
    kind: npt.NDArray[np.int8]
    action: Codes
    outcome: npt.NDArray[np.int8]
    actor: Codes
    person: Codes
    role: Codes
    purpose: Codes
    organisation: Codes
    team: Codes
    station: Codes
    reason: Codes
    glass: Mask
    escalate: Mask
    located: Mask
    sealed: Mask
    sensitive: Mask
    rows: Ints
    headings: Ints

    def __len__(self) -> int:
        return len(self.leaf)

    @property
    def opens(self) -> Mask:
        """Rows that open a record, or tried to."""
        about = (self.person != NOBODY) & (self.outcome != FAILED)
        return np.asarray(about & (self.kind == CLASS["access"]), np.bool_)


class Words:
    """Distinct texts as whole numbers."""

    def __init__(self, *columns: Iterable[str] | pa.Array | pa.ChunkedArray) -> None:
        parts = [pc.unique(_plain(column)) for column in columns]
        texts = pc.unique(pa.concat_arrays(parts)) if parts else pa.array([], pa.string())
        texts = texts.drop_null()
        self.texts: pa.Array = texts.filter(pc.not_equal(texts, ""))
        self.list: list[str] = self.texts.to_pylist()

    def __len__(self) -> int:
        return len(self.list)

    def codes(self, column: Sequence[str] | pa.Array | pa.ChunkedArray | pd.Series[str]) -> Codes:
        """Each text's number, `NOBODY` for '' and whatever is unknown."""
        array = _arrow(column)
        if pa.types.is_dictionary(array.type):
            known = self.codes(array.dictionary)
            at = pc.fill_null(array.indices, len(known)).to_numpy(zero_copy_only=False)
            return np.asarray(np.append(known, NOBODY)[at], np.int32)
        found = pc.fill_null(pc.index_in(array, value_set=self.texts), NOBODY)
        return np.asarray(found.to_numpy(zero_copy_only=False), np.int32)

    def code(self, text: str) -> int:
        """The number of one text."""
        return int(self.codes([text])[0])


def _arrow(column: Any) -> Any:
    """One array of text, dictionary-encoded or not."""
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):  # nothing in it
            column = pa.array([], pa.string())
    if isinstance(column, pa.Array):
        return column
    if isinstance(column, pd.Series):
        if isinstance(column.dtype, pd.CategoricalDtype):
            return _of_categories(column.array)
        column = column.to_numpy()
    if isinstance(column, np.ndarray) and column.dtype.kind == "U":
        column = column.astype(object)
    return pa.array(column, pa.string())


def _of_categories(column: Any) -> Any:
    texts = pa.array(column.categories.to_numpy(object), pa.string())
    return pa.DictionaryArray.from_arrays(pa.array(column.codes.astype(np.int32)), texts)


def _plain(column: Any) -> Any:
    array = _arrow(column)
    if pa.types.is_dictionary(array.type):
        array = array.dictionary
    return array.cast(pa.string())


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the codes stand for."""

    actors: Words
    persons: Words
    organisations: Words
    roles: Words
    purposes: Words
    teams: Words
    actions: Words
    headings: Words
    reasons: Words
    stations: Words


def vocabulary(facts: Facts, events: pa.Table) -> Vocabulary:
    """Over the facts and the events."""
    told = _told(events.column("details"))[0]
    persons = pc.list_flatten(events.column("persons"))
    return Vocabulary(
        actors=Words(_text(facts.staff.actor), events.column("actor")),
        persons=Words(_text(facts.people.person), persons),
        organisations=Words(
            _text(facts.staff.organisation), _text(facts.ties.organisation),
            events.column("organisation"),
        ),
        roles=Words(_text(facts.staff.role), events.column("role")),
        purposes=Words(events.column("purpose")),
        teams=Words(_text(facts.staff.team), _text(facts.ties.team),
                    [str(one.team or "") for one in told]),
        actions=Words(events.column("action")),
        headings=Words([str(h) for one in told for h in _listed(one.headings)]),
        reasons=Words([_reason(one) for one in told]),
        stations=Words([str(one.terminal or "") for one in told]),
    )  # fmt: skip


def _text(column: pd.Series[str]) -> Any:
    return _arrow(column)


def _reason(one: Told) -> str:
    return str(one.words or one.reason or "")


def _listed(value: object) -> list[object]:
    return list(value) if isinstance(value, list) else []


def _told(details: pa.ChunkedArray) -> tuple[list[Told], Codes]:
    """The distinct details opened, and each event's number among them."""
    array = _arrow(details)
    if not pa.types.is_dictionary(array.type):
        array = pc.dictionary_encode(array)
    texts = array.dictionary.to_pylist()
    try:
        opened = [_TOLD.decode(text or "{}") for text in texts]
    except msgspec.DecodeError as error:
        raise InvalidValue("an event's details are no JSON object") from error
    at = pc.fill_null(array.indices, 0).to_numpy(zero_copy_only=False)
    return opened, at.astype(np.int32, copy=False)


def accesses(
    events: pa.Table, facts: Facts, words: Vocabulary, zone: str = "Europe/London"
) -> Accesses:
    """Events, one row for each person they are about. zone: of the clocks on the wall.

    Args: `events`: of `EVENT_SCHEMA`.
    """
    persons = _arrow_list(events.column("persons"))
    counts = np.maximum(pc.fill_null(pc.list_value_length(persons), 0).to_numpy(), 1)
    of = np.repeat(np.arange(len(events), dtype=np.int64), counts)
    flat = words.persons.codes(pc.list_flatten(persons))
    person = np.full(len(of), NOBODY, np.int32)
    person[np.repeat(pc.fill_null(pc.list_value_length(persons), 0).to_numpy() > 0, counts)] = flat
    at = events.column("at").cast(pa.timestamp("s"), safe=False).cast(pa.int64()).to_numpy()
    local = pd.DatetimeIndex(at.astype("datetime64[s]")).tz_localize("UTC").tz_convert(zone)
    hour = (local.hour.to_numpy() + local.minute.to_numpy() / 60).astype(np.float32)
    actor = words.actors.codes(events.column("actor"))
    marks = _marks(events.column("details"), words)
    team = np.where(marks["team"] == NOBODY, _home_team(facts, words)[actor], marks["team"])
    outcome = Words(OUTCOMES).codes(events.column("outcome"))
    columns: dict[str, Any] = {
        "leaf": events.column("leaf").to_numpy(), "at": at, "day": (at // DAY).astype(np.int32),
        "hour": hour, "weekday": local.weekday.to_numpy().astype(np.int8),
        "kind": _kinds(words)[words.actions.codes(events.column("action"))],
        "action": words.actions.codes(events.column("action")),
        "outcome": outcome.astype(np.int8), "actor": actor,
        "role": words.roles.codes(events.column("role")),
        "purpose": words.purposes.codes(events.column("purpose")),
        "organisation": words.organisations.codes(events.column("organisation")),
        **marks, "team": team.astype(np.int32),
    }  # fmt: skip
    return Accesses(person=person, **{name: column[of] for name, column in columns.items()})


def _arrow_list(column: pa.ChunkedArray) -> Any:
    joined = column.combine_chunks()
    if isinstance(joined, pa.ChunkedArray):
        return pa.array([], pa.list_(pa.string()))
    return joined


def _kinds(words: Vocabulary) -> npt.NDArray[np.int8]:
    """Action code → its class. Raises: InvalidValue for an action that nobody may write."""
    return np.array(
        [*(CLASS[row_of(name).event_class.value] for name in words.actions.list), CLASS["system"]],
        np.int8,
    )


def _home_team(facts: Facts, words: Vocabulary) -> Codes:
    """Actor code → team in the directory; the last entry stands for nobody."""
    teams = np.full(len(words.actors) + 1, NOBODY, np.int32)
    teams[words.actors.codes(facts.staff.actor)] = words.teams.codes(facts.staff.team)
    return teams


def _marks(details: pa.ChunkedArray, words: Vocabulary) -> dict[str, Any]:
    """What the details say, for each event."""
    opened, at = _told(details)

    def flags(name: str) -> Mask:
        return np.array([bool(getattr(one, name)) for one in opened], np.bool_)[at]

    bits = {name: 1 << n for n, name in enumerate(words.headings.list[:62])}
    headings = [sum(bits.get(str(h), 0) for h in _listed(one.headings)) for one in opened]
    rows = [one.rows if isinstance(one.rows, int) else 0 for one in opened]
    return {
        "team": words.teams.codes([str(one.team or "") for one in opened])[at],
        "station": words.stations.codes([str(one.terminal or "") for one in opened])[at],
        "reason": words.reasons.codes([_reason(one) for one in opened])[at],
        "glass": flags("break_glass"), "escalate": flags("escalate"), "located": flags("located"),
        "sealed": flags("sealed"), "sensitive": flags("sensitive"),
        "rows": np.array(rows, np.int64)[at], "headings": np.array(headings, np.int64)[at],
    }  # fmt: skip
