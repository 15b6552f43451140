"""The store as it is seen by those who are not of the named team: no former identity is in it.

Rules:
- What service/former.py says is of an old identity, and what the last run found to bear its number,
  answers as unknown: no record, no person, no membership now or at a former time, no history of it,
  and no word of it in the history of others.
- Every use case that tells of persons reads through `seen_by`. Each reading of the store stands in
  one of two tables: those that hide, and those that tell of nobody. A test compares them with the
  protocol, so that no new reading is forgotten.
- Linking, ingesting and keeping read the store itself: they tell nobody.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, cast

from schemas.dates import Instant
from schemas.identifiers import LocalId, NhsNumber, PersonId, SourceId
from service.access import Actor
from service.former import FormerIdentity, Hidden
from service.ports import HeldRecord, Store
from service.runs import Fate, PersonPast, Resolution

TELLS_OF_NOBODY = frozenset({
    "close", "feeds", "begin_feed", "load_batch", "withdraw_absent", "end_feed", "quarantined",
    "match_columns", "past_columns", "memberships", "last_persons", "founded_counts", "last_run",
    "runs", "run_as_at", "run_delta", "generation", "state_key", "link_state", "save_link_state",
    "publish", "undos", "undo_sequence", "undo_run", "release_run", "decisions",
    "decision_sequence", "write_decisions", "decided", "resting_decisions", "review_tasks",
    "with_items", "add_quality_pairs", "quality_pairs", "record_sources", "source_states",
    "last_feeds", "counts", "erase", "finish_erasures", "barred_units", "save", "sign",
    "append_event", "events", "live_versions", "prepared", "keep_prepared", "recent_columns",
    "published_run",
})  # fmt: skip
"""Methods of the store that pass: they count, write, or give ids of records that no other tells of,
or serve what shows nothing to anybody."""


def hidden_of(store: Store) -> Hidden:
    """What the named team alone may see."""
    changes = store.former_identities()
    if not changes:
        return Hidden()
    last = store.last_run()
    found = last.summary.get("protected", {}) if last else {}
    return Hidden.of(changes, found.get("withheld", ()))


def seen_by(actor: Actor, store: Store) -> Store:
    """The store as the actor may see it."""
    if actor.named or isinstance(store, Shielded):
        return store
    hidden = hidden_of(store)
    return cast("Store", Shielded(store, hidden)) if hidden else store


class Shielded:
    """A store without what is hidden; see service.ports.Store for what each method does."""

    def __init__(self, store: Store, hidden: Hidden) -> None:
        self._store, self._hidden = store, hidden

    def __getattr__(self, name: str) -> Any:
        if name not in TELLS_OF_NOBODY:
            raise AttributeError(name)
        return getattr(self._store, name)

    def former_identities(self) -> Sequence[FormerIdentity]:
        """None: there is nothing to tell of them."""
        return ()

    def _kept(self, records: Iterable[HeldRecord]) -> list[HeldRecord]:
        hidden = self._hidden
        return [
            one
            for one in records
            if one.record_id not in hidden.records and one.person_id not in hidden.persons
        ]

    def held(self, record_ids: Collection[int]) -> Sequence[HeldRecord]:
        """The live ones of these records."""
        return self._kept(self._store.held(record_ids))

    def numbered(self, number: NhsNumber) -> Sequence[HeldRecord]:
        """The live records that bear this NHS number."""
        return self._kept(self._store.numbered(number))

    def record(self, source: SourceId, local_id: LocalId) -> HeldRecord | None:
        """One live record by its source's id."""
        found = self._store.record(source, local_id)
        return next(iter(self._kept([found] if found else [])), None)

    def person_records(self, person: PersonId) -> Sequence[HeldRecord]:
        """The person's live records."""
        return self._kept(self._store.person_records(person))

    def members(self, persons: Collection[PersonId]) -> frozenset[int]:
        """Ids of the records published in these persons."""
        shown = self._store.members(set(persons) - self._hidden.persons)
        return shown - self._hidden.records

    def person_items(self, person: PersonId) -> Mapping[str, int]:
        """Heading → number of care items."""
        return {} if person in self._hidden.persons else self._store.person_items(person)

    def resolve(self, person: PersonId) -> Resolution:
        """The present person that an id leads to."""
        found = self._store.resolve(person)
        if person in self._hidden.persons or found.person in self._hidden.persons:
            return Resolution(None, Fate.UNKNOWN)
        return found

    def person_past(self, person: PersonId) -> PersonPast | None:
        """What is known of a person over time."""
        if person in self._hidden.persons:
            return None
        past = self._store.person_past(person)
        if past is None:
            return None
        return replace(
            past,
            continues=None if past.continues in self._hidden.persons else past.continues,
            records=past.records - self._hidden.records,
            merged=tuple(one for one in past.merged if one[1] not in self._hidden.persons),
            parts=tuple(one for one in past.parts if one[1] not in self._hidden.persons),
        )

    def shown_together(
        self, ones: Collection[int], others: Collection[int]
    ) -> Mapping[PersonId, Instant]:
        """Persons that ever showed records of both groups, and since when."""
        found = self._store.shown_together(ones, others)
        return {p: at for p, at in found.items() if p not in self._hidden.persons}

    def export_rows(
        self, run_id: int | None = None, hidden: Hidden | None = None
    ) -> Iterator[Sequence[tuple[SourceId, LocalId, PersonId]]]:
        """(source, local id, person id) of every published membership, or of a former run's."""
        del hidden
        return self._store.export_rows(run_id, self._hidden)
