"""Looking at persons on the command line: show, export, explain. Minimum demographics, no items.

Rules:
- Permit first, event next, answer last.
- Of a restricted person every locating datum is left out and said to be withheld; the source
  and its local id are among them, because a council or a practice is a place.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from audit.events import EventOutcome
from consent.commands import Action
from linkage.features import build_features
from linkage.guards import GUARDS
from linkage.model import Model
from linkage.score import Scorer, Weights, probability
from schemas.columns import match_table
from schemas.dates import Clock, Instant
from schemas.errors import NotFound, NotPermitted
from schemas.identifiers import LocalId, PersonId, SourceId
from schemas.settings import Settings
from service.access import Actor, about, permit, record
from service.history import person_history
from service.ports import HeldRecord, Store
from service.protected import crosses
from service.runs import Fate
from service.shielded import seen_by

WITHHELD = "withheld: restricted"


_GONE = {
    Fate.UNKNOWN: "no person of that id; expected it as `match` and `person export` write it: p and"
    " 16 small letters or digits",
    Fate.SPLIT: "that id is gone: its records lie in several persons now; identify it again",
    Fate.EMPTIED: "that id is gone: no record of it is held any more",
    Fate.UNDONE: "that id is gone: the run that made it was undone; identify it again",
}


def present_person(
    store: Store, actor: Actor, action: Action, asked: str, clock: Clock
) -> PersonId:
    """The present person that an id leads to. Raises: NotFound: unknown, or gone."""
    found = store.resolve(PersonId(asked))
    if found.person is None:
        record(actor, action, store, clock, outcome=EventOutcome.FAILED)
        raise NotFound(_GONE[found.fate])
    return found.person


def show_person(store: Store, actor: Actor, asked: str, clock: Clock) -> dict[str, Any]:
    """One person: the records it is made of, side by side. Raises: NotPermitted, NotFound."""
    permit(actor, Action.PERSON_SHOW, store, clock)
    store = seen_by(actor, store)
    person = present_person(store, actor, Action.PERSON_SHOW, asked, clock)
    records = store.person_records(person)
    restricted = any(held.record.restricted for held in records)
    record(actor, Action.PERSON_SHOW, store, clock, persons=[person], records=len(records))
    return {
        "person_id": person,
        "asked_for": asked,
        "restricted": restricted,
        "records": [shown_record(held, restricted) for held in records],
        "items": {} if restricted else dict(sorted(store.person_items(person).items())),
    }


def shown_record(held: HeldRecord, restricted: bool) -> dict[str, Any]:
    """Minimum demographics of one record; of a restricted person's without what locates it."""
    r = held.record
    names = [" ".join([*n.given, n.family or ""]).strip() or n.text for n in r.names]
    shown: dict[str, Any] = {
        "as_at": held.as_at,
        "names": names,
        "birth_date": r.birth_date,
        "gender": r.gender,
        "nhs_number": r.nhs_number.value if r.nhs_number else None,
        "nhs_number_status": r.nhs_number.status if r.nhs_number else None,
        "death": (r.death.on or "yes") if r.death else None,
    }
    where = {
        "source": held.source,
        "local_id": r.local_id,
        "addresses": [
            ", ".join([*a.lines, a.postcode] if a.postcode else a.lines) for a in r.addresses
        ],
        "telecoms": [t.value for t in r.telecoms],
        "gp_practice": r.gp_practice,
    }
    return (dict.fromkeys(where, WITHHELD) if restricted else where) | shown


def export_persons(
    store: Store, actor: Actor, clock: Clock, as_at: Instant | None = None
) -> Iterator[list[tuple[SourceId, LocalId, PersonId]]]:
    """(source, local id, person id) of all that is published, or was at a time, sorted within the
    store's chunks. Raises: NotPermitted; NotFound: nothing was published then."""
    permit(actor, Action.PERSON_EXPORT, store, clock)
    store = seen_by(actor, store)
    run_id = None if as_at is None else store.run_as_at(as_at)
    if run_id == 0:
        record(actor, Action.PERSON_EXPORT, store, clock, outcome=EventOutcome.FAILED)
        raise NotFound(f"no person was published yet at {as_at}")
    told: dict[str, Any] = {} if run_id is None else {"as_at": as_at, "run": run_id}
    memberships = store.counts()["memberships"] if run_id is None else None
    record(actor, Action.PERSON_EXPORT, store, clock, memberships=memberships, **told)
    for chunk in store.export_rows(run_id):
        yield list(chunk)


def show_history(store: Store, actor: Actor, asked: str, clock: Clock) -> dict[str, Any]:
    """How a person came to be what it is, and what its id answers now. Raises: NotPermitted,
    NotFound."""
    permit(actor, Action.PERSON_HISTORY, store, clock)
    store = seen_by(actor, store)
    person = PersonId(asked)
    said = person_history(store, person)
    if said is None:
        record(actor, Action.PERSON_HISTORY, store, clock, outcome=EventOutcome.FAILED)
        raise NotFound(_GONE[Fate.UNKNOWN])
    found = store.resolve(person)
    persons = sorted({person, found.person or person})
    record(actor, Action.PERSON_HISTORY, store, clock, persons=persons)
    return {
        "person_id": person,
        "now": found.fate.value,
        "leads_to": found.person,
        "history": [asdict(one) for one in said],
    }


@dataclass(frozen=True)
class Explanation:
    """Why two records are, or are not, one person.

    Attributes:
        bits: match weight; probability: the same as a probability.
        fields: per field its level and its bits against relatives and against strangers.
        guard: the guard rail that forbids the pair, in words, or None.
        together: whether they are published as one person.
    """

    bits: float
    probability: float
    fields: list[dict[str, Any]]
    guard: str | None
    together: bool
    verdict: str


def explain_pair(
    store: Store,
    settings: Settings,
    model: Model,
    actor: Actor,
    one: tuple[str, str],
    two: tuple[str, str],
    clock: Clock,
) -> Explanation:
    """Scores two records and says why. Shows levels, not values; of an old and a new identity
    nothing, to nobody. Raises: NotPermitted, NotFound."""
    permit(actor, Action.EXPLAIN, store, clock)
    store = seen_by(actor, store)
    held = []
    for source, local_id in (one, two):
        found = store.record(SourceId(source), LocalId(local_id))
        if found is None:
            record(actor, Action.EXPLAIN, store, clock, outcome=EventOutcome.FAILED)
            raise NotFound(f"no record of that local id in source {source!r}")
        held.append(found)
    if crosses(store, held[0], held[1]):
        refused = EventOutcome.REFUSED
        record(actor, Action.EXPLAIN, store, clock, outcome=refused, **about(held))
        raise NotPermitted(
            "a protected change of identity lies between them: nothing compares them"
        )
    persons = sorted({h.person_id for h in held if h.person_id})
    record(actor, Action.EXPLAIN, store, clock, **about(held))
    together = len(persons) == 1 and all(h.person_id for h in held)
    return explain_records(settings, model, held[0], held[1], together)


def explain_records(
    settings: Settings, model: Model, one: HeldRecord, two: HeldRecord, together: bool
) -> Explanation:
    """The explanation of a pair at hand, by itself: a telephone, e-mail or identifier that the
    nightly run leaves out, because very many records bear it, counts here."""
    return explain_pairs(settings, model, (one, two), [(0, 1)], together)[0]


def explain_pairs(
    settings: Settings,
    model: Model,
    records: Sequence[HeldRecord],
    pairs: Sequence[tuple[int, int]],
    together: bool,
) -> list[Explanation]:
    """As `explain_records`, of several pairs scored at once.

    Args:
        pairs: positions in `records`.
        together: whether each pair is published as one person.
    """
    features = build_features(
        _table_of(records),
        keeps_apart=frozenset(s.id for s in settings.sources if s.keeps_people_apart),
        accept_test_numbers=settings.link.accept_test_numbers,
        extra=model.columns,
    )
    left = np.array([one for one, _ in pairs], np.int32)
    right = np.array([two for _, two in pairs], np.int32)
    scorer = Scorer(features, model)
    levels, scored = scorer.levels(left, right), scorer.score(left, right)
    chances, tables = probability(scored.bits), Weights(model).tables
    found = []
    for at in range(len(pairs)):
        bits, guard = float(scored.bits[at]), int(scored.guard[at])
        rail = GUARDS[guard - 1].reason if guard else None
        found.append(
            Explanation(
                bits=round(bits, 2),
                probability=float(chances[at]),
                fields=_evidence(model, tables, levels[:, at]),
                guard=rail,
                together=together,
                verdict=_verdict(settings, bits, rail),
            )
        )
    return found


def _evidence(model: Model, tables: Any, levels: Any) -> list[dict[str, Any]]:
    """Per field of the model the level of one pair, and its bits."""
    fields = []
    for row, field in enumerate(model.fields):
        code = int(levels[row])
        match, relative, stranger = (float(tables[kind][row, code]) for kind in "mru")
        fields.append(
            {
                "field": field.name,
                "level": field.levels[code - 1].name if code else "missing",
                "bits_against_strangers": round(match - stranger, 2),
                "bits_against_relatives": round(match - relative, 2),
            }
        )
    return fields


def _verdict(settings: Settings, bits: float, rail: str | None) -> str:
    if rail:
        return f"never joined without a person's decision: {rail}"
    if bits >= settings.link.join_bits:
        return "strong enough to join"
    if bits >= settings.link.review_bits:
        return "in the review band: a person decides"
    return "too weak to join"


def _table_of(records: Sequence[HeldRecord]) -> pa.Table:
    """What linkage reads of the records, in their order."""
    table = match_table([held.record for held in records])
    sources = pa.array([str(held.source) for held in records], pa.string())
    founders = pa.array(range(len(records)), pa.int64())
    return table.append_column("source", sources).append_column("founder", founders)
