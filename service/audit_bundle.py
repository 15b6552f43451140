"""Bundles: events with the proof that they are in the log, for somebody who has no access here.

Rules:
- A bundle is checked by audit/verifier.py alone: a checkpoint, for every event its salt, its
  canonical bytes and its inclusion proof, and proofs that the checkpoint continues those which
  others hold or signed. Beside events that were erased stands their entry.
- `.json` is one document; any other name is an archive, written event by event, so that a bundle of
  millions is never held in memory.
- It holds staff and persons: it is written for its owner only, whole or not at all, and what was
  disclosed is in the log before the file bears its name. What the asker may not know of is left
  out here: nobody is asked what to hide.
- It proves that these events are in the log; it cannot prove that they are all there are.
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from base64 import b64encode
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from audit.verifier import BUNDLE_FORMAT, Unsound, read_checkpoint
from consent.commands import Action
from schemas.dates import Clock, Instant, to_instant
from schemas.errors import InputError, NotFound
from schemas.identifiers import PersonId
from service.access import Actor, failure_recorded, record
from service.audit_log import AuditLog
from service.audit_persons import EventsOfPersons, hidden_from, person_of_log
from service.audit_ports import AuditQuery, AuditStore, Numbered
from service.durable import make_durable

_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass
class Bundled:
    """What a bundle holds.

    Attributes:
        size: entries of its checkpoint. events: how many it holds.
        leaves: ranges of leaves, both ends included. persons: whom they are about.
        unsigned: events that were asked for and are in no checkpoint yet: not in it.
        sha256: of the file.
    """

    size: int
    events: int = 0
    unsigned: int = 0
    leaves: list[list[int]] = field(default_factory=list)
    persons: set[PersonId] = field(default_factory=set)
    sha256: str = ""

    def add(self, leaf: int) -> None:
        """Counts a leaf. Requires: leaves come in order."""
        self.events += 1
        if self.leaves and self.leaves[-1][1] == leaf - 1:
            self.leaves[-1][1] = leaf
        else:
            self.leaves.append([leaf, leaf])


@dataclass(frozen=True)
class Wanted:
    """Which events a bundle is to hold.

    Attributes:
        query: the question for them. leaves: or these, one by one.
        earlier: checkpoints that others hold: the bundle proves that it continues them.
        by: names of what was asked for, for the event.
    """

    query: AuditQuery
    leaves: Sequence[int] = ()
    earlier: Sequence[bytes] = ()
    by: Sequence[str] = ()


def write_bundle(
    path: Path, log: AuditLog, store: EventsOfPersons, actor: Actor, clock: Clock, wanted: Wanted
) -> Bundled:
    """Writes the events as a bundle, and writes down what was disclosed before the file can be
    used. An event that names somebody of whom the actor may not know is left out: what is proven
    cannot be told in part.

    Raises: NotFound: no such person or leaf; InputError: the file cannot be written, or a
    checkpoint is not of this log's past.
    """
    action, person = Action.AUDIT_BUNDLE, wanted.query.person
    if person is not None:
        with failure_recorded(actor, action, store, clock):
            person_of_log(store, actor, person)
    hidden = hidden_from(store, actor).persons
    head = _head(log, wanted.earlier)
    bundled = Bundled(read_checkpoint(head["checkpoint"].encode()).size)
    pages = _asked_events(store, wanted, hidden)
    told = (line for page in pages for line in _told(log, page, bundled))
    with _whole_file(path) as part:
        if path.suffix == ".json":
            part.write_bytes(_encode(head | {"events": [msgspec.Raw(line) for line in told]}))
        else:
            _archive(part, head, told)
        bundled.sha256 = _digest(part)
        record(
            actor, action, store, clock, persons=sorted(bundled.persons), leaves=bundled.leaves,
            rows=bundled.events, sha256=bundled.sha256, by=sorted(wanted.by),
        )  # fmt: skip
    return bundled


def _seen(page: Sequence[Numbered], hidden: frozenset[PersonId]) -> Sequence[Numbered]:
    """The events that name nobody hidden."""
    return [one for one in page if hidden.isdisjoint(one.event.persons)]


def write_proofs(path: Path, log: AuditLog, leaves: Sequence[int]) -> Bundled:
    """The proof that these leaves are in the log, with their entries only: it says nothing of
    anybody. Raises: NotFound: no such leaf; InputError, as `write_bundle`."""
    head = _head(log, ())
    bundled = Bundled(read_checkpoint(head["checkpoint"].encode()).size)
    told = []
    for leaf in sorted({*leaves}):
        told.append(_proven(log, leaf, bundled.size))
        bundled.add(leaf)
    with _whole_file(path) as part:
        part.write_bytes(_encode(head | {"events": told}))
        bundled.sha256 = _digest(part)
    return bundled


def query_of(
    person: str | None = None,
    actor: str | None = None,
    organisation: str | None = None,
    since: str | None = None,
    until: str | None = None,
) -> AuditQuery:
    """A question for events from what was typed. Raises: InputError: not a date or a time."""
    return AuditQuery(
        since=_instant(since), until=_instant(until), actor=actor, organisation=organisation,
        person=PersonId(person) if person else None,
    )  # fmt: skip


def _instant(text: str | None) -> Instant | None:
    """A moment, in UTC where it does not say otherwise; of a date, its beginning."""
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise InputError(
            "expected a date such as 2026-11-03, or a time: 2026-11-03T14:00"
        ) from None
    return to_instant(moment if moment.tzinfo else moment.replace(tzinfo=UTC))


def _asked_events(
    store: AuditStore, wanted: Wanted, hidden: frozenset[PersonId]
) -> Iterator[Sequence[Numbered]]:
    """The events of the query, or of the leaves, but those of whom is hidden. Raises: NotFound: a
    leaf has no payload, or one that is hidden: nobody can tell which."""
    if not wanted.leaves:
        yield from (_seen(page, hidden) for page in store.find_numbered(wanted.query))
        return
    for leaf in sorted({*wanted.leaves}):
        one = _seen(next(store.find_numbered(AuditQuery(after=leaf - 1, limit=1)), ()), hidden)
        if not one or one[0].leaf != leaf:
            raise NotFound(f"leaf {leaf}: there is no such event, or its time was over")
        yield one


def _head(log: AuditLog, earlier: Sequence[bytes]) -> dict[str, Any]:
    """All of a bundle but its events."""
    note = log.note()
    size = read_checkpoint(note).size
    held = list(earlier)
    signed = [known for known in log.witnessed_sizes() if known <= size]
    if signed and signed[-1] == size:
        note = log.witnessed(size) or note
    elif signed:
        held += [kept for kept in [log.witnessed(signed[-1])] if kept is not None]
    return {
        "format": BUNDLE_FORMAT,
        "keys": [key.vkey() for key in log.verifiers()],
        "checkpoint": note.decode(),
        "earlier": [_continued(log, one, size) for one in held],
    }


def _continued(log: AuditLog, note: bytes, size: int) -> dict[str, Any]:
    try:
        before = read_checkpoint(note)
    except Unsound as error:
        raise InputError(f"the checkpoint that was held: {error}") from None
    if (
        before.origin != log.origin
        or not before.size <= size
        or (before.size and log.root(before.size) != before.root)
    ):
        raise InputError(
            "the checkpoint that was held is not of this log's past: run `commonthread audit"
            " verify --held` with it"
        )
    proof = log.consistency(before.size, size) if before.size else []
    return {"checkpoint": note.decode(), "proof": [_base64(one) for one in proof]}


def _told(log: AuditLog, page: Sequence[Numbered], bundled: Bundled) -> Iterator[bytes]:
    for one in page:
        if one.leaf >= bundled.size:
            bundled.unsigned += 1
            continue
        proven = _proven(log, one.leaf, bundled.size)
        del proven["entry"]
        bundled.add(one.leaf)
        bundled.persons.update(one.event.persons)
        yield _encode(proven | {"salt": _base64(one.salt), "event": one.told.decode()})


def _proven(log: AuditLog, leaf: int, size: int) -> dict[str, Any]:
    proof = log.prove(leaf, size)
    hashes = [_base64(one) for one in proof.hashes]
    return {"leaf": leaf, "entry": _base64(proof.entry), "proof": hashes}


def _archive(part: Path, head: dict[str, Any], told: Iterator[bytes]) -> None:
    with zipfile.ZipFile(part, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(_member("bundle.json"), _encode(head))
        with archive.open(_member("events.ndjson"), "w", force_zip64=True) as stream:
            for line in told:
                stream.write(line + b"\n")


def _member(name: str) -> zipfile.ZipInfo:
    """A member that bears no time, so that the same events give the same bytes."""
    info = zipfile.ZipInfo(name)
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


@contextmanager
def _whole_file(path: Path) -> Iterator[Path]:
    """A file beside the path, readable by its owner only, that bears its name at the end."""
    part = path.with_name(f".{path.name}.part")
    try:
        part.unlink(missing_ok=True)
        os.close(os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        yield part
        make_durable(part)
        part.replace(path)
        try:
            make_durable(path.parent)
        except OSError:
            path.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or 'no room'})") from None
    finally:
        part.unlink(missing_ok=True)


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _base64(data: bytes) -> str:
    return b64encode(data).decode()
