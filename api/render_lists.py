"""What silence means, what is withheld, and safeguarding notices, as FHIR R4 resources.

Rules:
- Takes a SharedRecord, and shows all of it: nothing is decided here.
- Per heading and source it is said what a source shows, or in `emptyReason` why it shows nothing.
  Nothing that is not there is left to be guessed from a bundle's being short.
- FHIR's own code for an empty list stands only where it says exactly that; ours always stands.
- A safeguarding notice says that there is one, and whom to ring; nothing of what it says.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache

import msgspec

from api.outcomes import OWN_CODES
from api.render_items import kind_of
from api.render_patient import reference
from api.words import (
    EMPTY_REASON_OF,
    EMPTY_REASONS,
    FLAG_CODES,
    HEADING_CODES,
    RING,
    SILENCE_CODES,
    SINCE,
    SOURCE,
    slug,
)
from consent.shared import FlagNotice, Ring, SharedRecord, Silence, SilenceState, Withheld
from schemas.fhir_items import Resource, organisation, without_empty
from schemas.identifiers import OdsCode, SourceId
from schemas.items import HEADINGS, Heading

Naming = Callable[[OdsCode | SourceId | None], str]
"""The name of an organisation or source, for people to read; None is the partnership itself."""


def lists(
    record: SharedRecord, naming: Naming, headings: frozenset[Heading] | None = None
) -> list[Resource]:
    """What silence means under each heading of the record, or under some of them. Sources whose
    silence means the same share a List, which names them all."""
    alike: dict[Silence, list[Silence]] = {}
    for one in record.silences:
        if headings is None or one.heading in headings:
            alike.setdefault(_shared(one), []).append(one)
    entries, subject = _entries(record), reference(record)
    return [
        _list(record, subject, held, n, naming, entries) for n, held in enumerate(alike.values())
    ]


@lru_cache(maxsize=4_096)
def _shared(silence: Silence) -> Silence:
    """What a List says, equal for the silences that share one."""
    present = silence.state is SilenceState.PRESENT
    return silence if present else msgspec.structs.replace(silence, source=None)


def _entries(record: SharedRecord) -> dict[tuple[Heading, SourceId | None], list[Resource]]:
    """Heading and source → references to the items that are shown."""
    found: dict[tuple[Heading, SourceId | None], list[Resource]] = {}
    for one in record.items:
        kind = kind_of(one.item)
        if kind is not None:
            item = {"item": {"reference": f"{kind}/{one.item_key}"}}
            found.setdefault((one.item.heading, one.source), []).append(item)
    return found


def _list(
    record: SharedRecord,
    subject: Resource,
    alike: list[Silence],
    number: int,
    naming: Naming,
    entries: dict[tuple[Heading, SourceId | None], list[Resource]],
) -> Resource:
    silence = alike[0]
    sources = tuple([one.source for one in alike if one.source])
    present = silence.state is SilenceState.PRESENT
    held = entries.get((silence.heading, silence.source)) if present else None
    made = {
        "resourceType": "List",
        "id": slug(f"{record.person}-{silence.heading}-{number}"),
        "subject": subject,
        **_said(silence, sources, naming),
    }
    return made | {"entry": held} if held else made


@lru_cache(maxsize=4_096)
def _said(silence: Silence, sources: tuple[SourceId, ...], naming: Naming) -> Resource:
    """What a List says of whomever it is: the same for all persons, so it is built once. Not to be
    changed by whoever gets it."""
    present = silence.state is SilenceState.PRESENT  # its entries may be on other pages
    said = {"system": SILENCE_CODES, "code": slug(silence.state), "display": silence.state.value}
    ring = _ring(silence.ring, naming) if silence.ring else None
    return without_empty(
        {
            "extension": [
                {"url": SILENCE_CODES, "valueCode": slug(silence.state)},
                *({"url": SOURCE, "valueCode": source} for source in sources),
                *([{"url": SINCE, "valueInstant": silence.since}] if silence.since else []),
                *([{"url": RING, "valueString": ring}] if ring else []),
            ],
            "status": "current",
            "mode": "snapshot",
            "title": HEADINGS[silence.heading].title,
            "code": {"coding": [{"system": HEADING_CODES, "code": slug(silence.heading)}]},
            "note": [{"text": _words(silence, sources, ring, naming)}],
            "emptyReason": None if present else _empty(silence, said),
        }
    )


def _empty(silence: Silence, said: Resource) -> Resource:
    standard = EMPTY_REASON_OF[silence.state]
    codings = [{"system": EMPTY_REASONS, "code": standard}] if standard else []
    return {"coding": [*codings, said], "text": silence.state.value}


def _words(silence: Silence, sources: Sequence[SourceId], ring: str | None, naming: Naming) -> str:
    """What the list says, for people to read."""
    since = f" {silence.since}" if silence.since else ""
    named = f": {', '.join(map(naming, sources))}" if sources else ""
    return f"{silence.state.value}{since}{named}{f'; ring {ring}' if ring else ''}"


def _ring(ring: Ring, naming: Naming) -> str:
    """Whom to ring, and where: in the partnership where no organisation is named, unless that is a
    custodian who must not be."""
    if ring.organisation is None and ring.of_custodian:
        return ring.office
    return f"{ring.office}, {naming(ring.organisation)}"


def notice(record: SharedRecord, flag: FlagNotice, naming: Naming) -> Resource:
    """A safeguarding notice as a Flag."""
    kind = flag.kind.value
    return {
        "resourceType": "Flag",
        "id": notice_id(record, flag),
        "extension": [{"url": RING, "valueString": _ring(flag.ring, naming)}],
        "status": "active",
        "category": [{"coding": [{"code": "safeguarding"}], "text": "Safeguarding"}],
        "code": {
            "coding": [{"system": FLAG_CODES, "code": kind}],
            "text": f"{kind.replace('-', ' ')}: ring {_ring(flag.ring, naming)}",
        },
        "subject": reference(record),
        **({"author": organisation(flag.ring.organisation)} if flag.ring.organisation else {}),
    }


def notice_id(record: SharedRecord, flag: FlagNotice) -> str:
    """The id of a safeguarding notice."""
    return f"{record.person}-{flag.kind.value}"


def withheld(record: SharedRecord, naming: Naming) -> Resource | None:
    """An OperationOutcome that says what is withheld, and whom to ring; None where nothing is."""
    issues = [_withheld(one, naming) for one in _once(record.withheld)]
    if not issues:
        return None
    identity = f"{record.person}-withheld"
    return {"resourceType": "OperationOutcome", "id": identity, "issue": issues}


def _once(told: Iterable[Withheld]) -> list[Withheld]:
    return list(dict.fromkeys(told))


def _withheld(one: Withheld, naming: Naming) -> Resource:
    what = HEADINGS[one.heading].title if one.heading else "Part of the record"
    whose = f" of {naming(one.source)}" if one.source else ""
    remedies = f" It would be shown: {'; '.join(one.remedies)}." if one.remedies else ""
    coding = {"system": OWN_CODES, "code": "WITHHELD", "display": "Withheld"}
    return {
        "severity": "warning",
        "code": "suppressed",
        "details": {"coding": [coding], "text": f"{what}{whose}: withheld"},
        "diagnostics": f"Ring {_ring(one.ring, naming)}.{remedies}",
    }
