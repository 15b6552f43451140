"""How long the log is kept: audit retention; audit hold add, list, release."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.audit import audit
from commands.common import finish, json_option, opened, purpose_option, reason_option

if TYPE_CHECKING:
    from schemas.dates import Instant
    from service.access import Actor
    from store.sql_store import SqlStore
    from wiring import Workspace


def _asker(workspace: Workspace, command: str, purpose: str | None) -> Actor:
    """Who asks; where neither the option nor the settings name a purpose, it is audit."""
    return workspace.actor(
        command, purpose or workspace.settings.default_purpose.get(command, "audit")
    )


@contextmanager
def _kept(root: Path, command: str, purpose: str | None) -> Iterator[tuple[SqlStore, Actor]]:
    workspace = opened(root)
    with workspace.store() as store:
        yield store, _asker(workspace, command, purpose)


def _moment(text: str | None) -> Instant | None:
    """An instant, or a day's beginning in UTC. Raises: InvalidValue."""
    from schemas.dates import parse_instant

    return None if text is None else parse_instant(text)


@audit.command("retention")
@click.option("--apply", is_flag=True, help="Erase what is due and not on hold.")
@json_option
@purpose_option
@click.pass_obj
def retention(root: Path, apply: bool, as_json: bool, purpose: str | None) -> None:
    """What is over its time, by class of event; with --apply it is erased for ever."""
    from service.audit_keeping import retention as kept
    from service.audit_keeping import retention_document, retention_lines
    from wiring import clock

    workspace = opened(root)
    settings = workspace.settings.audit
    if apply:
        with workspace.exclusive(), workspace.store() as store:
            actor = _asker(workspace, "audit-retention", purpose)
            found = kept(store, actor, settings, clock, apply=True)
    else:
        with workspace.store() as store:
            actor = _asker(workspace, "audit-retention", purpose)
            found = kept(store, actor, settings, clock, apply=False)
    finish(retention_document(found), retention_lines(found), as_json)


@audit.group("hold")
def hold() -> None:
    """What is kept however old: legal holds."""


@hold.command("add")
@click.option("--person", help="Events about this person: their id.")
@click.option("--actor", "about", help="Events of this member of staff or account.")
@click.option("--since", help="Events from this day or moment on.")
@click.option("--until", help="Events before this day or moment.")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def add(
    root: Path,
    person: str | None,
    about: str | None,
    since: str | None,
    until: str | None,
    reason: str,
    as_json: bool,
    purpose: str | None,
) -> None:
    """Holds events that meet all that is named."""
    from service.audit_keeping import add_hold, hold_document, hold_lines
    from wiring import clock

    span = {"since": _moment(since), "until": _moment(until)}
    with _kept(root, "audit-hold", purpose) as (store, actor):
        made = add_hold(store, actor, clock, reason, person=person, about=about, **span)
    finish(hold_document(made), hold_lines([made]), as_json)


@hold.command("list")
@json_option
@purpose_option
@click.pass_obj
def list_all(root: Path, as_json: bool, purpose: str | None) -> None:
    """Every hold, released ones too."""
    from service.audit_keeping import hold_document, hold_lines, list_holds
    from wiring import clock

    with _kept(root, "audit-hold-list", purpose) as (store, actor):
        found = list_holds(store, actor, clock)
    finish([hold_document(one) for one in found], hold_lines(found), as_json)


@hold.command("release")
@click.argument("number", type=int)
@reason_option
@json_option
@purpose_option
@click.pass_obj
def release(root: Path, number: int, reason: str, as_json: bool, purpose: str | None) -> None:
    """Lifts a hold: what it kept falls due by its class."""
    from service.audit_keeping import release_hold
    from wiring import clock

    with _kept(root, "audit-hold-release", purpose) as (store, actor):
        release_hold(store, actor, clock, number, reason)
    finish({"released": number}, [f"hold {number} is released"], as_json)
