"""Erasing a record on instruction: permitted to information governance, written down, then done.

Rules:
- The event names the person and the source, never the record; it is durable before anything goes.
- Whoever runs this holds the workspace. An erasure that died is finished by running it again, by
  the next night, or by a restore.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from consent.commands import Action
from schemas.dates import Clock
from schemas.errors import InputError
from schemas.identifiers import LocalId, SourceId
from service.access import Actor, failure_recorded, permit, record
from service.ports import Erased, Store


def erase_record(
    store: Store,
    actor: Actor,
    named: tuple[str, str],
    reason: str,
    clock: Clock,
    *,
    may_return: bool = False,
) -> Erased:
    """Erases one record, or lets an erased one back in. Raises: NotPermitted, NotFound, InputError
    (no reason), InvalidValue (erased already)."""
    permit(actor, Action.PERSON_ERASE, store, clock)
    if not reason.strip():
        raise InputError("--reason: expected who instructed this and why; got nothing")
    source, local_id = SourceId(named[0]), LocalId(named[1])
    held = store.record(source, local_id)
    persons = [held.person_id] if held and held.person_id else []
    told: dict[str, Any] = {"source": source, "instruction": reason, "may_return": may_return}
    record(actor, Action.PERSON_ERASE, store, clock, persons=persons, **told)
    with failure_recorded(actor, Action.PERSON_ERASE, store, clock):
        return store.erase(source, local_id, clock(), may_return=may_return)


def erased_document(done: Erased) -> dict[str, Any]:
    """What was done, in counts."""
    return asdict(done)


def erased_lines(done: Erased) -> list[str]:
    """The same for people."""
    if done.lifted:
        return ["the record may come back: a feed that names it is loaded again"]
    return [
        f"erased: {done.versions:,} versions of the record and {done.items:,} care items;"
        f" {done.keys:,} data keys destroyed, {done.resealed:,} rows of others sealed anew",
        "the next link publishes the persons without it: `commonthread link`",
        "feeds in the inbox, exported files and backups made before still hold it: see the"
        " operator's guide",
    ]
