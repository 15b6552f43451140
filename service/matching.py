"""Match and search: demographics in, the persons they may be out, with minimum demographics.

Two ways to ask. *Match* (IHE PDQm [ITI-119], FHIR Patient/$match) weighs all that is known and
grades each candidate. *Search* (as the NHS Personal Demographics Service searches) takes parameters
that must be met, and for a system gives one person or nobody.

Rules:
- Permit first, event next, answer last: the event names every person that was matched, those too
  that `count` or "too many" leaves out of the answer.
- What is shown is minimum demographics: names, birth date, gender, NHS number, death. No address,
  telephone, e-mail or practice of anybody.
- Whether a person is restricted is asked of the store each time. Of those who are, what says where
  they are is no evidence (linkage/lookup.py); a search by postcode, practice, telephone
  or e-mail does not find them.
- A person that a guard rail speaks against is counted, never shown.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from audit.events import EventOutcome
from consent.commands import Action
from linkage.asked import Value
from linkage.grades import Grade
from linkage.lookup import FLOOR_BITS, Answer, Candidate
from schemas.codes import Gender
from schemas.columns import match_table
from schemas.dates import Clock, check_partial_date
from schemas.demographics import HumanName
from schemas.errors import InvalidSearch, InvalidValue
from schemas.identifiers import NhsNumber, PersonId, parse_nhs_number, parse_postcode
from service.access import Actor, permit, record
from service.ports import HeldRecord, Store
from service.warm_index import WarmIndex

MOST = 50
"""Persons that one question can name."""


@dataclass(frozen=True)
class MinimumDemographics:
    """Enough to recognise a person by, no more; from the record that says most and is newest."""

    names: tuple[str, ...]
    birth_date: str | None
    gender: str | None
    nhs_number: NhsNumber | None
    nhs_number_verified: bool
    died: bool
    restricted: bool


@dataclass(frozen=True)
class PersonMatch:
    """One person matched.

    Attributes:
        score: 0 to 1, for ranking: the probability of being the person asked about; in a search 1
            where every parameter is met by what is current.
    """

    person_id: PersonId
    grade: Grade | None
    score: float
    bits: float
    demographics: MinimumDemographics


class Caution(StrEnum):
    """What the asker should know of an answer that stands."""

    TOO_COMMON = "too-common"
    """So many records share what was given that not all were looked at: give more."""
    OMITTED = "omitted"
    """More persons were matched than were asked for."""


@dataclass(frozen=True)
class MatchResult:
    """The answer of a match, the likeliest first."""

    matches: tuple[PersonMatch, ...]
    cautions: tuple[Caution, ...]


class Access(StrEnum):
    """Who searches."""

    SYSTEM = "system"
    """A program that acts on the answer: one person, or nobody."""
    WORKER = "worker"
    """A person who chooses from a list."""


TOO_MANY = "TOO_MANY_MATCHES"


@dataclass(frozen=True)
class SearchResult:
    """The answer of a search. `issue` is TOO_MANY where there were more than may be shown, and then
    nobody is."""

    matches: tuple[PersonMatch, ...]
    issue: str | None = None


def _texts(value: Any) -> list[str]:
    texts = list(value) if isinstance(value, list | tuple) else [value]
    if not texts or not all(isinstance(text, str) and text.strip() for text in texts):
        raise InvalidValue("expected a text, or a list of texts")
    return texts


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value.strip():
        raise InvalidValue("expected a text")
    return value.strip()


FIELDS: dict[str, Callable[[Any], Any]] = {
    "given": _texts,
    "family": _texts,
    "name_text": _texts,
    "birth_date": lambda value: check_partial_date(_text(value)),
    "death": lambda value: check_partial_date(_text(value)),
    "gender": lambda value: Gender(_text(value)).value,
    "nhs_number": lambda value: parse_nhs_number(_text(value)),
    "postcode": lambda value: [parse_postcode(text) for text in _texts(value)],
    "address": _texts,
    "phone": _texts,
    "email": _texts,
    "identifier": _texts,
    "gp_practice": _text,
}
"""Field of a question → how its value is read. Lists have the current value first; an identifier is
`system|value`."""
_LISTS = frozenset(name for name, read in FIELDS.items() if read is _texts) | {"postcode"}


def question(fields: Mapping[str, Any]) -> pa.Table:
    """What is known of the person asked about, as one row for the lookup.

    Raises: InvalidSearch naming the field; never its value.
    """
    if not fields:
        raise InvalidSearch("UNSUPPORTED_SERVICE", "nothing was given to go by")
    unknown = sorted(set(fields) - set(FIELDS))
    if unknown:
        raise InvalidSearch(
            "ADDITIONAL_PROPERTIES",
            f"{len(unknown)} field(s) that nobody is matched by; there are {', '.join(FIELDS)}",
        )
    columns = {}
    for name, value in fields.items():
        try:
            read = FIELDS[name](value)
        except InvalidValue as error:
            raise InvalidSearch("INVALID_VALUE", f"{name}: {error.reason}") from None
        except ValueError:
            wanted = ", ".join(Gender)
            raise InvalidSearch("INVALID_VALUE", f"{name}: expected one of {wanted}") from None
        kind = pa.list_(pa.string()) if name in _LISTS else pa.string()
        columns[name] = pa.array([read], kind)
    return pa.table(columns)


def match(
    store: Store,
    index: WarmIndex,
    actor: Actor,
    fields: Mapping[str, Any],
    clock: Clock,
    *,
    only_certain: bool = False,
    count: int | None = None,
) -> MatchResult:
    """The persons who may be the one described, graded, the likeliest first.

    Args:
        only_certain: nobody but one who is certain.
        count: at most so many.

    Raises: NotPermitted; InvalidSearch.
    """
    permit(actor, Action.MATCH, store, clock)
    with _failures_recorded(store, actor, clock):
        if count is not None and count < 1:
            raise InvalidSearch("INVALID_VALUE", "count: expected 1 or more")
        row = question(fields)
    looked = _look(store, index, row)
    wanted = {Grade.CERTAIN} if only_certain else {Grade.CERTAIN, Grade.PROBABLE, Grade.POSSIBLE}
    matched = [one for one in looked.matched if one.grade in wanted]
    shown = matched[: MOST if count is None else min(count, MOST)]
    record(
        actor, Action.MATCH, store, clock,
        persons=[one.person_id for one in matched], shown=len(shown), certain_only=only_certain,
    )  # fmt: skip
    cautions = []
    if looked.answer.too_common:
        cautions.append(Caution.TOO_COMMON)
    if len(shown) < len(matched):
        cautions.append(Caution.OMITTED)
    return MatchResult(tuple(shown), tuple(cautions))


MINIMUM: dict[bool, tuple[frozenset[str], ...]] = {
    False: (frozenset({"family", "birth_date"}),),
    True: (
        frozenset({"given", "family", "birth_date"}),
        frozenset({"family", "birth_date", "gender", "postcode"}),
        frozenset({"given", "birth_date", "gender", "postcode"}),
    ),
}
"""Fuzzy or not → combinations of parameters, one of which a search must have (PDS FHIR API)."""
SEARCHABLE = frozenset(
    ("given", "family", "birth_date", "gender", "postcode", "gp_practice", "email", "phone",
     "death")
)  # fmt: skip
HIDES_RESTRICTED = frozenset(("postcode", "gp_practice", "email", "phone"))
"""Parameters by which no restricted person is found at all."""


def search(
    store: Store,
    index: WarmIndex,
    actor: Actor,
    fields: Mapping[str, Any],
    clock: Clock,
    *,
    access: Access,
    fuzzy: bool = False,
    exact: bool = False,
    history: bool = False,
    max_results: int | None = None,
) -> SearchResult:
    """The persons who meet all parameters.

    Args:
        fuzzy: what sounds or reads alike is enough, former values count: those whom a match would
            name. Otherwise each parameter must be a value of the person's, without slips.
        exact: every parameter is met by what is current.
        history: former names and addresses count as well.
        max_results: 1 to 50, 50 by default; for a system 1.

    Raises: NotPermitted; InvalidSearch.
    """
    permit(actor, Action.MATCH, store, clock)
    with _failures_recorded(store, actor, clock):
        row = question(fields)
        most = _most(access, max_results)
        _check_search(fields, fuzzy, exact)
        asked = _wanted(index, row)
    looked = _look(store, index, row, everyone=not fuzzy)
    hidden = bool(HIDES_RESTRICTED & fields.keys())
    found = []
    for one in looked.matched:
        if hidden and one.demographics.restricted:
            continue
        current, former = _met(index, asked, looked.records[one.person_id])
        if exact and not current:
            continue
        if not fuzzy and not (current or (former and history)):
            continue
        score = 1.0 if current else min(one.score, 0.9999)
        found.append(PersonMatch(one.person_id, one.grade, score, one.bits, one.demographics))
    found.sort(key=lambda one: (-one.score, -one.bits, one.person_id))
    too_many = len(found) > most or (bool(looked.answer.too_common) and not found)
    record(
        actor, Action.MATCH, store, clock,
        persons=[one.person_id for one in found], shown=0 if too_many else len(found),
        access=access.value,
    )  # fmt: skip
    return SearchResult((), TOO_MANY) if too_many else SearchResult(tuple(found))


def _check_search(fields: Mapping[str, Any], fuzzy: bool, exact: bool) -> None:
    """Raises: InvalidSearch."""
    strange = sorted(set(fields) - SEARCHABLE)
    if strange:
        raise InvalidSearch(
            "ADDITIONAL_PROPERTIES", f"a search does not go by {', '.join(strange)}; a match does"
        )
    if not any(wanted <= fields.keys() for wanted in MINIMUM[fuzzy]):
        wanted = "; or ".join(", ".join(sorted(one)) for one in MINIMUM[fuzzy])
        raise InvalidSearch("INVALID_SEARCH_DATA", f"a search needs at least: {wanted}")
    if any("*" in text for value in fields.values() for text in _texts(value)):
        raise InvalidSearch("INVALID_VALUE", "wildcards are not searched by; search fuzzily")
    if fuzzy and exact:
        raise InvalidSearch("INVALID_SEARCH_DATA", "a search is fuzzy or exact, not both")


def _most(access: Access, max_results: int | None) -> int:
    """How many persons may be shown. Raises: InvalidSearch."""
    if access is Access.SYSTEM:
        if max_results not in (None, 1):
            raise InvalidSearch("INVALID_VALUE", "max-results: a system is given one person only")
        return 1
    if max_results is not None and not 1 <= max_results <= MOST:
        raise InvalidSearch("INVALID_VALUE", f"max-results: expected 1 to {MOST}")
    return MOST if max_results is None else max_results


@contextmanager
def _failures_recorded(store: Store, actor: Actor, clock: Clock) -> Iterator[None]:
    """What is wrong with a question is written down, by its code."""
    try:
        yield
    except InvalidSearch as error:
        record(actor, Action.MATCH, store, clock, outcome=EventOutcome.FAILED, reason=error.code)
        raise


Wanted = Mapping[str, tuple[Value, ...]]
_COLUMNS = {
    "given": "given", "family": "family", "birth_date": "birth_date", "gender": "sex",
    "postcode": "postcode", "gp_practice": "practice", "email": "email", "phone": "phone",
    "death": "death",
}  # fmt: skip
"""Parameter of a search → column of features that it is compared in."""


def _wanted(index: WarmIndex, row: pa.Table) -> Wanted:
    """Column → the values that a person must have one of. Raises: InvalidSearch."""
    asked = index.lookup.read(row).columns
    for name in row.column_names:
        if _COLUMNS[name] not in asked and name != "gender":
            raise InvalidSearch("INVALID_VALUE", f"{name}: it says that nothing is known")
    return {column: asked[column][:1] for column in _COLUMNS.values() if column in asked}


def _met(index: WarmIndex, asked: Wanted, records: Sequence[HeldRecord]) -> tuple[bool, bool]:
    """Whether a person's current values meet all parameters, and whether former ones do."""
    held = [index.lookup.read(match_table([h.record])).columns for h in records]
    current = former = True
    for column, wanted in asked.items():
        values = [columns.get(column, ()) for columns in held]
        current &= any(set(wanted) & set(one[:1]) for one in values)
        former &= any(set(wanted) & set(one) for one in values)
    return current, former


@dataclass(frozen=True)
class _Looked:
    """What the index found, with what the store says of it now."""

    answer: Answer
    matched: tuple[PersonMatch, ...]
    records: Mapping[PersonId, Sequence[HeldRecord]]


def _look(store: Store, index: WarmIndex, row: pa.Table, *, everyone: bool = False) -> _Looked:
    """Candidates that are present persons still. Where one turns out to be restricted, the question
    is asked again without what says where it is, until none does."""
    restricted: set[int] = set()
    records: dict[int, Sequence[HeldRecord]] = {}
    while True:
        answer = index.lookup.ask(
            row,
            restricted=restricted,
            everyone=everyone,
            floor=-math.inf if everyone else FLOOR_BITS,
        )
        likely = [one for one in answer.candidates if one.grade is not Grade.CERTAINLY_NOT]
        for one in likely[: MOST + 1]:
            if one.person not in records:
                records[one.person] = store.person_records(index.person_id(one.person))
        shown = [one for one in likely[: MOST + 1] if records[one.person]]
        found = {
            one.person for one in shown if any(h.record.restricted for h in records[one.person])
        }
        if found <= restricted:
            break
        restricted |= found
    return _Looked(
        answer,
        tuple(_match(index, one, records[one.person]) for one in shown),
        {index.person_id(one.person): records[one.person] for one in shown},
    )


def _match(index: WarmIndex, one: Candidate, records: Sequence[HeldRecord]) -> PersonMatch:
    return PersonMatch(
        index.person_id(one.person), one.grade, one.probability, one.bits, minimum(records)
    )


def minimum(records: Sequence[HeldRecord]) -> MinimumDemographics:
    """A person's minimum demographics: each from the newest of the records that have it, those with
    a traced number before the others. Requires: at least one record."""
    ordered = sorted(records, key=lambda h: (_verified(h), h.as_at, -h.record_id), reverse=True)
    named = next((h.record.names for h in ordered if h.record.names), ())
    numbered = next((h.record.nhs_number for h in ordered if h.record.nhs_number), None)
    return MinimumDemographics(
        names=tuple(_written(name) for name in named[:1]),
        birth_date=next((h.record.birth_date for h in ordered if h.record.birth_date), None),
        gender=next((h.record.gender for h in ordered if h.record.gender), None),
        nhs_number=numbered.value if numbered else None,
        nhs_number_verified=bool(ordered) and _verified(ordered[0]),
        died=any(h.record.death is not None for h in records),
        restricted=any(h.record.restricted for h in records),
    )


def _verified(held: HeldRecord) -> bool:
    number = held.record.nhs_number
    return number is not None and number.status == "01"


def _written(name: HumanName) -> str:
    return " ".join([*name.given, name.family or ""]).strip() or name.text or ""
