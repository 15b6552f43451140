"""The HL7 v2 reader: a file of messages in, batches of records, items and merges out.

Rules:
- A unit is one message. It is loaded whole or quarantined whole, with the place of the first fault.
- What a message means stands in adapters/hl7v2_tables.py; who it is about, in hl7v2_person.py; its
  care items, in hl7v2_items.py and hl7v2_results.py; how files are cut, in hl7v2_frames.py.
- A file of kind `care_item` gives no client records: for laboratories and letters whose PID only
  points at people whom another system describes. A file of kind `client_record` (the default) gives
  a record for every PID of a snapshot event, and for that of any other event which names the person
  by name and birth date; a PID that only points changes nothing. A message that withdraws a person
  gives no record of them.
- A message stood so at EVN-2, else MSH-7, in the zone it names, else in the source's.
- An unknown or missing version, and a message marked as training or debugging, are counted; v2 is
  backward compatible and the rest of the header has been understood.
- More than one EVN, or more PIDs than the event has, means that messages ran together: nothing of
  it is loaded, because one person's items would go to another.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO

from adapters.batches import BatchBuilder
from adapters.feed_bytes import open_feed
from adapters.hl7v2_frames import Frame, read_frames
from adapters.hl7v2_group import Group, Handler
from adapters.hl7v2_items import HANDLERS as ITEM_HANDLERS
from adapters.hl7v2_items import NAMES_NO_VISIT
from adapters.hl7v2_message import VERSIONS, Message, MessageFault, Segment, Syntax, parse_message
from adapters.hl7v2_person import (
    PersonSegments,
    SourceRules,
    read_local_id,
    read_record,
    read_retired_ids,
)
from adapters.hl7v2_results import HANDLERS as RESULT_HANDLERS
from adapters.hl7v2_results import close_order
from adapters.hl7v2_tables import EVENTS, LEFT_OUT, Event, Moves
from adapters.hl7v2_types import Issues, read_instant, zone_of
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.errors import FeedRefused, InvalidValue, SettingsError, shape_of
from schemas.identifiers import LocalId
from schemas.items import CareItem
from schemas.records import ClientRecord, IdentityChanged, SourceMerge, Withdrawal
from schemas.settings import Limits, SourceSettings
from service.ports import FeedFile

_HANDLERS: dict[str, Handler] = {**ITEM_HANDLERS, **RESULT_HANDLERS}
_TYPE = re.compile(r"[A-Z]{3}(\^[A-Z][A-Z0-9]{2})?")

_Lines = list[tuple[str, str]]


def read_hl7v2(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    """Reads a file of HL7 v2 messages (service.ports.Reader).

    Raises:
        FeedRefused: the file holds no HL7 v2 messages, or is one of staff.
        SettingsError: the source's time zone is not known here.
    """
    if feed.settings.kind == "staff":
        raise FeedRefused("not_supported", "staff directories are read from delimited files")
    try:
        zone_of(source.time_zone)
    except (KeyError, ValueError, OSError):
        raise SettingsError(f"source {source.id}", ["time_zone: not an IANA time zone"]) from None
    rules = SourceRules(source, feed.settings)
    builder = BatchBuilder(limits.batch_units)
    envelope: Issues = []
    with open_feed(feed.path, limits) as stream:
        for frame in read_frames(stream, limits.max_message_bytes, envelope):
            if builder.full:
                yield builder.take()
            builder.next_unit()
            _read_unit(frame, rules, limits, builder)
    for field, reason in envelope:
        builder.issue(field, reason)
    if builder.unit >= 0 or envelope:
        yield builder.take()


def faults_of(data: bytes, rules: SourceRules, limits: Limits) -> list[MessageFault]:
    """What would be quarantined of a file of these bytes, for somebody who waits for the answer.

    Raises: FeedRefused: the file would be refused as a whole.
    """
    found = []
    for frame in read_frames(BytesIO(data), limits.max_message_bytes, []):
        try:
            _load(frame, rules, limits)
        except MessageFault as fault:
            found.append(fault)
    return found


@dataclass
class _Loaded:
    """What one message gives."""

    as_at: Instant | None
    issues: Issues
    records: list[ClientRecord]
    items: list[CareItem]
    merges: list[SourceMerge]
    withdrawals: list[Withdrawal]
    changes: list[IdentityChanged]


def _read_unit(frame: Frame, rules: SourceRules, limits: Limits, builder: BatchBuilder) -> None:
    try:
        loaded = _load(frame, rules, limits)
    except MessageFault as fault:
        where = f"message {builder.unit + 1}"
        where = f"{where}, {fault.field}" if fault.field else where
        builder.reject(where, fault.field, fault.code, fault.reason, frame.raw)
        return
    for record in loaded.records:
        builder.record(record, loaded.as_at)
    for item in loaded.items:
        builder.item(item, loaded.as_at)
    for merge in loaded.merges:
        builder.merge(merge, loaded.as_at)
    for withdrawal in loaded.withdrawals:
        builder.withdrawal(withdrawal, loaded.as_at)
    for change in loaded.changes:
        builder.identity_change(change, loaded.as_at)
    for field, reason in loaded.issues:
        builder.issue(field, reason)


def _load(frame: Frame, rules: SourceRules, limits: Limits) -> _Loaded:
    """Raises: MessageFault."""
    if frame.too_long:
        raise MessageFault(
            "",
            "too_long",
            f"a message of {frame.length} bytes; the limit is {limits.max_message_bytes}",
        )
    if frame.torn:
        raise MessageFault("", "torn", "the message ends without a segment end")
    if not frame.is_message:
        raise MessageFault("", "bad_syntax", "expected a message that begins with MSH")
    message = parse_message(frame.raw, rules.encoding)
    kind, event = _event(message)
    lines = list(message.segments())
    evn = _only_event(message, lines)
    loaded = _Loaded(None, [], [], [], [], [], [])
    _check_header(message.header, loaded.issues)
    loaded.as_at = _stood_at(evn, message.header, rules, loaded.issues)
    groups = _groups(message, kind, event, lines, evn, rules)
    for group in groups:
        _take_group(group, groups, loaded)
    told = loaded.records, loaded.items, loaded.merges, loaded.withdrawals, loaded.changes
    if not any(told):
        raise MessageFault("", "not_supported", "the message changes nothing that is held here")
    return loaded


def _event(message: Message) -> tuple[str, Event]:
    """The message's type and what it does. Raises: MessageFault for types not taken."""
    header = message.header
    code, trigger = header.value(9).upper(), header.value(9, 2).upper()
    if not trigger:
        evn = next((line for line in message.lines if line.startswith("EVN")), "")
        trigger = Segment(message.syntax, evn).value(1).upper()
    kind = f"{code}^{trigger}" if trigger else code
    if not code:
        raise MessageFault("MSH-9", "bad_syntax", "expected a message type; got none")
    event = EVENTS.get(kind)
    if event is None:
        named = kind if _TYPE.fullmatch(kind) else shape_of(kind)
        raise MessageFault("MSH-9", "not_supported", f"messages of type {named} are not taken")
    return kind, event


def _only_event(message: Message, lines: _Lines) -> Segment | None:
    found = [line for name, line in lines if name == "EVN"]
    if len(found) > 1:
        raise MessageFault("EVN", "bad_syntax", "expected one EVN; messages have run together")
    return Segment(message.syntax, found[0]) if found else None


def _check_header(header: Segment, issues: Issues) -> None:
    version = header.value(12)
    if version not in VERSIONS:
        issues.append(("MSH-12", "unknown version" if version else "no version"))
    if header.value(11).upper() in ("T", "D"):
        issues.append(("MSH-11", "marked as training or debugging"))


def _stood_at(
    evn: Segment | None, header: Segment, rules: SourceRules, issues: Issues
) -> Instant | None:
    for segment, number in ((evn, 2), (header, 7)):
        text = segment.value(number) if segment is not None else ""
        if text and segment is not None:
            try:
                return read_instant(text, rules.zone)
            except InvalidValue:
                issues.append((f"{segment.fields[0]}-{number}", "not a time"))
    return None


def _groups(
    message: Message,
    kind: str,
    event: Event,
    lines: _Lines,
    evn: Segment | None,
    rules: SourceRules,
) -> list[Group]:
    """The message's persons with all their segments read. Raises: MessageFault."""
    starts = [at for at, (name, _) in enumerate(lines) if name == "PID"]
    if not starts:
        raise MessageFault("PID", "missing_value", "expected a PID segment")
    if event.persons and len(starts) > event.persons:
        raise MessageFault("PID", "bad_syntax", f"expected {event.persons} PID; {len(starts)} came")
    organisation = rules.organisation(message.header)
    control_id = message.header.value(10)
    groups = []
    for n, at in enumerate(starts):
        pid = Segment(message.syntax, lines[at][1])
        local_id, ids = read_local_id(pid, rules)
        person = PersonSegments(pid, local_id, ids, {}, organisation=organisation)
        group = Group(kind, event, rules, person, control_id, evn)
        end = starts[n + 1] if n + 1 < len(starts) else len(lines)
        _walk(group, message.syntax, lines[at if n else 0 : end])
        groups.append(group)
    return groups


def _walk(group: Group, syntax: Syntax, lines: _Lines) -> None:
    for name, line in lines:
        handler = _HANDLERS.get(name)
        if name == group.rules.identity_change_segment:
            group.renewed.append(Segment(syntax, line))
            continue
        if handler is not None:
            handler(group, Segment(syntax, line))
        elif name == "PID":
            group.notes = group.person.details
        elif name not in LEFT_OUT:
            group.keep(name, line)
    close_order(group)


def _take_group(group: Group, groups: list[Group], loaded: _Loaded) -> None:
    event, person = group.event, group.person
    loaded.items += group.items()
    loaded.merges += _merges(group, groups)
    if group.rules.records:
        loaded.changes += [_identity_change(told, group) for told in group.renewed]
    if group.rules.records and event.withdraws and not _about_a_visit(group):
        loaded.withdrawals.append(Withdrawal(group.local_id, event.withdraws))
    elif group.rules.records:
        if event.record:
            person.details[event.record] = [g.local_id for g in groups if g is not group]
        record = read_record(person, group.rules, loaded.as_at, group.issues)
        if event.snapshot or (record.names and record.birth_date):
            loaded.records.append(record)
    loaded.issues += group.issues


def _identity_change(told: Segment, group: Group) -> IdentityChanged:
    """The declared segment: field 1 the local id before, empty where it is the same; field 2 `Y`
    where the change was declared in error. Raises: MessageFault."""
    undone = told.value(2).upper()
    if undone not in ("", "N", "Y"):
        field = f"{group.rules.identity_change_segment}-2"
        raise MessageFault(field, "bad_value", "expected Y, N or nothing")
    former = LocalId(told.value(1) or group.local_id)
    return IdentityChanged(former, group.local_id, undone == "Y")


def _about_a_visit(group: Group) -> bool:
    """Whether PV1 tells of a visit, be it one that cannot be told from others."""
    return group.visit is not None or NAMES_NO_VISIT in group.issues


def _merges(group: Group, groups: list[Group]) -> list[SourceMerge]:
    """Raises: MessageFault where a merge does not say what it merges."""
    moves = group.event.moves
    if moves is Moves.APART:
        others = [g.local_id for g in groups[groups.index(group) + 1 :]]
        return [SourceMerge(i, group.local_id, undone=True) for i in others if i != group.local_id]
    if moves not in (Moves.PERSON, Moves.PERSON_ID):
        return []
    named = [i for mrg in group.merged for i in read_retired_ids(mrg, group.rules)]
    if not named and moves is Moves.PERSON:
        raise MessageFault("MRG-1", "missing_value", "expected the local id that is merged away")
    retired = [i for i in dict.fromkeys(named) if i != group.local_id]
    if not retired:
        group.issues.append(("MRG-1", "names the surviving id" if named else "no local id"))
    return [SourceMerge(i, group.local_id) for i in retired]
