"""Every command leaves an event, also the one that fails before its own use case writes one.

Rules:
- A command writes what it does where it does it (service/access.py). Here is only the net below:
  a command that ends with an error, and of which no refusal or failure was written, is written
  down as failed, by the kind of its error.
- What has no log to be written to, or asks nothing of a workspace, stands in `EXEMPT` with why.
- A wrong command line asks for nothing: it is not written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from pathlib import Path
from typing import Any

import click

from schemas.errors import CommonthreadError, LogFailed, NotPermitted

ACTIONS: dict[str, str] = {
    "agreement add": "agreement-write",
    "agreement end": "agreement-write",
    "agreement show": "agreement-list",
    "audit alerts assign": "audit-alert-write",
    "audit alerts close": "audit-alert-write",
    "audit alerts list": "audit-alert-list",
    "audit alerts precision": "audit-alert-list",
    "audit alerts show": "audit-alert-show",
    "audit keys list": "audit-keys",
    "audit keys retire": "audit-keys",
    "audit keys rotate": "audit-keys",
    "audit pack": "audit-report",
    "audit watch add": "audit-watch",
    "audit watch list": "audit-watch",
    "audit watch remove": "audit-watch",
    "audit hold add": "audit-hold",
    "break-glass alarms": "break-glass-list",
    "consent add": "consent-write",
    "consent competence": "consent-write",
    "consent end": "consent-write",
    "consent investigator": "consent-write",
    "consent proxy": "consent-write",
    "person undo release": "person-undo",
    "person undo run": "person-undo",
    "review next": "review-show",
}
"""Command → action of its events, where that is not its name with dashes."""

EXEMPT: dict[str, str] = {
    "audit witness": "run by a partner, who has no workspace here",
    "backup verify": "reads a folder of files; no workspace is named, and it may be elsewhere",
    "consent explain-policy": "prints the policies of the program; reads no workspace's data",
    "audit reports": "prints the names of the reports; reads nothing of the workspace",
    "init": "before there is a database; the first to open it writes `settings-changed`, first",
    "link-file": "links files of one's own, without a workspace",
}
"""Command → why it leaves no event."""


def action_of(path: str) -> str:
    """The action of a command's events. path: its names with spaces between."""
    return ACTIONS.get(path, path.replace(" ", "-"))


def leaves(command: click.Command, path: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command beneath one that does something, with its names; itself, where it does."""
    path = f"{path} {command.name}".strip()
    if isinstance(command, click.Group):
        for beneath in command.commands.values():
            yield from leaves(beneath, path)
        if not command.invoke_without_command:
            return
    yield path, command


def write_failures(command: click.Command) -> None:
    """Has every failure of the command, and of those beneath it, written down."""
    for path, leaf in leaves(command):
        if path not in EXEMPT and leaf.callback is not None:
            leaf.callback = _watched(path, leaf.callback)


def _watched(path: str, callback: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(callback)
    def watched(*given: Any, **named: Any) -> Any:
        from wiring import OPENED_AT

        OPENED_AT.clear()
        try:
            return callback(*given, **named)
        except (click.ClickException, click.exceptions.Exit, click.Abort):
            raise
        except (Exception, KeyboardInterrupt) as error:
            root: Path = click.get_current_context().find_root().obj
            _write(root, action_of(path), named.get("purpose"), error)
            raise

    return watched


def _write(root: Path, action: str, purpose: str | None, error: BaseException) -> None:
    """Writes a failure down, unless one of this run is there. What cannot be opened has no log to
    write to: the command's own error says so."""
    from audit.events import EventOutcome
    from service.access import record
    from service.audit_ports import AuditQuery
    from wiring import OPENED_AT, clock, open_workspace

    ended = EventOutcome.REFUSED if isinstance(error, NotPermitted) else EventOutcome.FAILED
    try:
        workspace = open_workspace(root)
        actor = workspace.actor(action, purpose)
        with workspace.store() as store:
            mine = AuditQuery(
                actor=actor.name, after=OPENED_AT[workspace.root] - 1, limit=1,
                outcomes=frozenset({EventOutcome.REFUSED, EventOutcome.FAILED}),
            )  # fmt: skip
            if next(store.find_numbered(mine), None) is None:
                record(actor, action, store, clock, outcome=ended, error=type(error).__name__)
    except LogFailed as failed:
        click.echo(f"error: {failed}", err=True)
    except CommonthreadError:
        return
    except Exception as unforeseen:  # what the command ended with is told, and this beside it
        kind = type(unforeseen).__name__
        click.echo(f"error: this failure could not be written to the log ({kind})", err=True)
