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

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import pyarrow as pa

from audit.events import EventOutcome
from consent.commands import Action
from linkage.asked import Value
from linkage.grades import Grade
from schemas.codes import Gender
from schemas.columns import match_table
from schemas.dates import Clock, check_partial_date
from schemas.errors import InvalidSearch, InvalidValue
from schemas.identifiers import PersonId, parse_nhs_number, parse_postcode
from service.access import Actor, permit, record
from service.candidates import MOST, Gate, PersonMatch, Standing, look
from service.ports import HeldRecord, Store
from service.shielded import seen_by
from service.warm_index import WarmIndex


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


@dataclass(frozen=True)
class FoundMatches:
    """Whom a match found, those too that are not shown, and its answer."""

    persons: tuple[PersonId, ...]
    result: MatchResult


def _held_by(store: Store) -> Gate:
    """Lets every present person through."""

    def gate(persons: Sequence[PersonId]) -> Mapping[PersonId, Standing]:
        held = ((one, store.person_records(one)) for one in persons)
        return {one: Standing.of(records) for one, records in held if records}

    return gate


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


def _identifiers(value: Any) -> list[str]:
    texts = _texts(value)
    if not all(all(part.strip() for part in text.partition("|")) for text in texts):
        raise InvalidValue("expected the system and the value with a | between them: system|value")
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
    "identifier": _identifiers,
    "gp_practice": _text,
}
"""Field of a question → how its value is read. Lists have the current value first; an identifier is
`system|value`."""
_LISTS = frozenset(name for name, read in FIELDS.items() if read in (_texts, _identifiers)) | {
    "postcode"
}


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
    store = seen_by(actor, store)
    with _failures_recorded(store, actor, clock):
        if count is not None and count < 1:
            raise InvalidSearch("INVALID_VALUE", "count: expected 1 or more")
        row = question(fields)
    found = find_matches(_held_by(store), index, row, only_certain=only_certain, count=count)
    record(
        actor, Action.MATCH, store, clock,
        persons=found.persons, shown=len(found.result.matches), certain_only=only_certain,
    )  # fmt: skip
    return found.result


def find_matches(
    gate: Gate,
    index: WarmIndex,
    row: pa.Table,
    *,
    only_certain: bool,
    count: int | None,
    hides: bool = False,
) -> FoundMatches:
    """What `match` answers, of those persons whom the gate lets through.

    Args: `row`: see `question`; `hides`: see service.candidates.look.
    """
    looked = look(gate, index, row, hides=hides)
    wanted = {Grade.CERTAIN} if only_certain else {Grade.CERTAIN, Grade.PROBABLE, Grade.POSSIBLE}
    matched = [one for one in looked.matched if one.grade in wanted]
    shown = matched[: MOST if count is None else min(count, MOST)]
    cautions = []
    if looked.answer.too_common:
        cautions.append(Caution.TOO_COMMON)
    if len(shown) < len(matched):
        cautions.append(Caution.OMITTED)
    persons = tuple(one.person_id for one in matched)
    return FoundMatches(persons, MatchResult(tuple(shown), tuple(cautions)))


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
    store = seen_by(actor, store)
    with _failures_recorded(store, actor, clock):
        row = question(fields)
        asked = Asking(
            fuzzy=fuzzy,
            exact=exact,
            history=history,
            most=most_shown(access is Access.SYSTEM, max_results),
        )
        _check_search(fields, fuzzy, exact)
        wanted = _wanted(index, row)
    found = _search(_held_by(store), index, row, wanted, fields.keys(), asked)
    record(
        actor, Action.MATCH, store, clock,
        persons=found.persons, shown=len(found.result.matches), access=access.value,
    )  # fmt: skip
    return found.result


@dataclass(frozen=True)
class Asking:
    """How a search is meant; see `search`. most: persons that may be shown."""

    fuzzy: bool = False
    exact: bool = False
    history: bool = False
    most: int = MOST


@dataclass(frozen=True)
class FoundBySearch:
    """Whom a search found, those too that are not shown, and its answer."""

    persons: tuple[PersonId, ...]
    result: SearchResult


def find_by_search(
    gate: Gate, index: WarmIndex, fields: Mapping[str, Any], asked: Asking
) -> FoundBySearch:
    """What `search` answers, of those persons whom the gate lets through. Raises: InvalidSearch."""
    row = question(fields)
    _check_search(fields, asked.fuzzy, asked.exact)
    return _search(gate, index, row, _wanted(index, row), fields.keys(), asked, hides=True)


def _search(
    gate: Gate,
    index: WarmIndex,
    row: pa.Table,
    wanted: Wanted,
    names: Collection[str],
    asked: Asking,
    *,
    hides: bool = False,
) -> FoundBySearch:
    looked = look(gate, index, row, everyone=not asked.fuzzy, hides=hides)
    hidden = bool(HIDES_RESTRICTED & set(names))
    found = []
    for one in looked.matched:
        if hidden and looked.standing[one.person_id].restricted:
            continue
        current, former = _met(index, wanted, looked.standing[one.person_id].records)
        if not current and (asked.exact or not looked.standing[one.person_id].history):
            continue
        if not asked.fuzzy and not (current or (former and asked.history)):
            continue
        score = 1.0 if current else min(one.score, 0.9999)
        found.append(PersonMatch(one.person_id, one.grade, score, one.bits, one.demographics))
    found.sort(key=lambda one: (-one.score, -one.bits, one.person_id))
    too_many = len(found) > asked.most or (bool(looked.answer.too_common) and not found)
    result = SearchResult((), TOO_MANY) if too_many else SearchResult(tuple(found))
    return FoundBySearch(tuple(one.person_id for one in found), result)


def check_searchable(fields: Collection[str]) -> None:
    """Raises: InvalidSearch: a parameter that nobody is searched by."""
    strange = sorted(set(fields) - SEARCHABLE)
    if strange:
        raise InvalidSearch(
            "ADDITIONAL_PROPERTIES", f"a search does not go by {', '.join(strange)}; a match does"
        )


def _check_search(fields: Mapping[str, Any], fuzzy: bool, exact: bool) -> None:
    """Raises: InvalidSearch."""
    check_searchable(fields)
    if not any(wanted <= fields.keys() for wanted in MINIMUM[fuzzy]):
        wanted = "; or ".join(", ".join(sorted(one)) for one in MINIMUM[fuzzy])
        raise InvalidSearch("INVALID_SEARCH_DATA", f"a search needs at least: {wanted}")
    if any("*" in text for value in fields.values() for text in _texts(value)):
        raise InvalidSearch("INVALID_VALUE", "wildcards are not searched by; search fuzzily")
    if fuzzy and exact:
        raise InvalidSearch("INVALID_SEARCH_DATA", "a search is fuzzy or exact, not both")


def most_shown(system: bool, max_results: int | None) -> int:
    """How many persons may be shown to a system, or to somebody who chooses from a list. Raises:
    InvalidSearch."""
    if system:
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
COLUMNS = {
    "given": "given", "family": "family", "birth_date": "birth_date", "gender": "sex",
    "postcode": "postcode", "gp_practice": "practice", "email": "email", "phone": "phone",
    "death": "death",
}  # fmt: skip
"""Parameter of a search → column of features that it is compared in."""


def _wanted(index: WarmIndex, row: pa.Table) -> Wanted:
    """Column → the values that a person must have one of. Raises: InvalidSearch."""
    asked = index.lookup.read(row).columns
    for name in row.column_names:
        if COLUMNS[name] not in asked and name != "gender":
            raise InvalidSearch("INVALID_VALUE", f"{name}: it says that nothing is known")
    return {column: asked[column][:1] for column in COLUMNS.values() if column in asked}


def _met(index: WarmIndex, asked: Wanted, records: Sequence[HeldRecord]) -> tuple[bool, bool]:
    """Whether a person's current values meet all parameters, and whether former ones do."""
    held = [index.lookup.read(match_table([h.record])).columns for h in records]
    current = former = True
    for column, wanted in asked.items():
        values = [columns.get(column, ()) for columns in held]
        current &= any(set(wanted) & set(one[:1]) for one in values)
        former &= any(set(wanted) & set(one) for one in values)
    return current, former
