"""The register of sharing agreements: add a version, list, show, end. From the command line.

Rules:
- Permit first, event with the change, answer last.
- A version is never changed: to end an agreement is to write a version that ends.
- An agreement is given as one JSON object, with the field names of `schemas.sharing.Agreement`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import date, timedelta
from typing import Any

import msgspec

from audit.events import AuditEvent
from consent.commands import Action
from consent.facts import in_force
from schemas.dates import Clock, PartialDate, check_partial_date
from schemas.errors import InputError, InvalidValue, NotFound
from schemas.settings import Settings
from schemas.sharing import Agreement
from service.access import Actor, event, permit, record
from service.sharing_ports import SharingStore

_DECODER = msgspec.json.Decoder(dict[str, Any])


def read_agreement(text: bytes, settings: Settings) -> Agreement:
    """An agreement from JSON. Raises: InputError naming the field at fault."""
    try:
        fields = _DECODER.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise InputError("the agreement is not one JSON object in UTF-8") from None
    try:
        wanted = msgspec.convert(fields, Agreement)
    except msgspec.ValidationError as error:
        raise InputError(f"the agreement cannot be read: {error}") from None
    except InvalidValue as error:
        raise InputError(f"the agreement cannot stand: {error.reason}") from None
    unknown = sorted(fields.keys() - asdict(wanted).keys())
    if unknown:
        raise InputError(f"no fields of an agreement: {', '.join(unknown)}")
    members = {one.code for one in settings.organisations}
    for code in (wanted.provider, wanted.receiver):
        if code not in members:
            raise InputError(f"{code} is no organisation of this partnership")
    for name in ("start", "end"):
        try:
            check_partial_date(getattr(wanted, name))
        except InvalidValue as error:
            raise InputError(f"{name}: {error.reason}") from None
    return wanted


def add_agreement(store: SharingStore, actor: Actor, wanted: Agreement, clock: Clock) -> Agreement:
    """Writes a version. Raises: NotPermitted; InvalidValue: not the version after the last."""
    permit(actor, Action.AGREEMENT_WRITE, store, clock)
    store.write_agreements([wanted], _event(actor, wanted, clock))
    return wanted


def end_agreement(
    store: SharingStore, actor: Actor, agreement_id: str, last_day: PartialDate | None, clock: Clock
) -> Agreement:
    """Ends an agreement after a day, yesterday if none is named, by a new version of it.

    Raises: NotPermitted; NotFound; InvalidValue: it ends before it began.
    """
    permit(actor, Action.AGREEMENT_WRITE, store, clock)
    versions = _versions(store, agreement_id)
    today = date.fromisoformat(clock()[:10])
    end = last_day or PartialDate((today - timedelta(days=1)).isoformat())
    newest = versions[-1]
    ended = replace(newest, version=newest.version + 1, end=end, start=min(newest.start, end))
    store.write_agreements([ended], _event(actor, ended, clock))
    return ended


def list_agreements(
    store: SharingStore, actor: Actor, organisation: str | None, clock: Clock, *, all_of_them: bool
) -> list[dict[str, Any]]:
    """The agreements in force, or every version, as rows. Raises: NotPermitted."""
    permit(actor, Action.AGREEMENT_LIST, store, clock)
    held = store.agreements()
    at = clock()
    standing = set(in_force(held, at))
    rows = [
        agreement_document(one, one in standing)
        for one in held
        if (all_of_them or one in standing)
        and (organisation is None or organisation in (one.provider, one.receiver))
    ]
    record(actor, Action.AGREEMENT_LIST, store, clock, shown=len(rows))
    return rows


def show_agreement(
    store: SharingStore, actor: Actor, agreement_id: str, clock: Clock
) -> list[dict[str, Any]]:
    """Every version of one agreement, oldest first. Raises: NotPermitted; NotFound."""
    permit(actor, Action.AGREEMENT_LIST, store, clock)
    versions = _versions(store, agreement_id)
    standing = set(in_force(versions, clock()))
    record(actor, Action.AGREEMENT_LIST, store, clock, agreement=agreement_id)
    return [agreement_document(one, one in standing) for one in versions]


def _versions(store: SharingStore, agreement_id: str) -> list[Agreement]:
    versions = [one for one in store.agreements() if one.agreement_id == agreement_id]
    if not versions:
        raise NotFound("no agreement of that id; `agreement list --all` shows them")
    return versions


def _event(actor: Actor, wanted: Agreement, clock: Clock) -> AuditEvent:
    return event(
        actor, Action.AGREEMENT_WRITE, clock,
        agreement=wanted.agreement_id, version=wanted.version,
    )  # fmt: skip


def agreement_document(one: Agreement, stands: bool) -> dict[str, Any]:
    """An agreement as JSON takes it."""
    told = asdict(one)
    lists: dict[str, Sequence[str]] = {
        name: sorted(told[name]) for name in ("categories", "purposes", "signed_by")
    }
    return {**told, **lists, "in_force": stands}


def agreement_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Agreements for people, one a line."""
    return [
        f"{row['agreement_id']} v{row['version']}  {row['provider']} → {row['receiver']}  "
        f"{row['start']} to {row['end']}  {'in force' if row['in_force'] else 'not in force'}  "
        f"{', '.join(row['purposes'])}: {len(row['categories'])} categories"
        for row in rows
    ] or ["no agreements"]
