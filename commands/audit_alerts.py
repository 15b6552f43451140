"""Alerts: audit detect, audit alerts list/show/assign/close/precision, audit watch."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from commands.audit import audit
from commands.common import finish, json_option, opened, purpose_option, reason_option


@audit.command("detect")
@json_option
@purpose_option
@click.pass_obj
def detect(root: Path, as_json: bool, purpose: str | None) -> None:
    """Look at what the log holds since the last time, and raise alerts."""
    from dataclasses import asdict

    from consent.commands import Action
    from service.access import permit
    from service.audit_detection import detect_new
    from wiring import clock

    workspace = opened(root)
    with workspace.exclusive(), workspace.store() as store:
        actor = workspace.actor("audit-detect", purpose or "audit")
        permit(actor, Action.AUDIT_DETECT, store, clock)
        found = detect_new(store, workspace.settings, actor, clock)
    share = f" ({found.explained / found.looks:.1%} explained)" if found.looks else ""
    lines = [
        f"{found.events:,} events, {found.looks:,} looks{share}",
        f"{found.raised} alerts raised, {found.added_to} added to, {found.explained_late} explained"
        " by what came in late",
    ]
    finish(asdict(found), lines, as_json)


@audit.group("alerts")
def alerts() -> None:
    """What detection asks somebody to look into."""


@alerts.command("list")
@click.option("--all", "all_of_them", is_flag=True, help="Closed ones too.")
@json_option
@purpose_option
@click.pass_obj
def list_alerts(root: Path, all_of_them: bool, as_json: bool, purpose: str | None) -> None:
    """Alerts that wait; what is due first stands in front."""
    from service.audit_alerts import list_alerts as run
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("audit-alert-list", purpose or "audit")
        rows = run(store, actor, clock, all_of_them=all_of_them)
    lines = [
        f"{row['alert']:>5}  {row['state']:8}  due {row['due']}  {row['bits']:5.1f} bits"
        f"  {row['actor']}  {whom(row)}"
        f"  {', '.join(row['rules'])}"
        for row in rows
    ]
    finish(rows, lines or ["no alert waits"], as_json)


@alerts.command("show")
@click.argument("alert", type=click.IntRange(1))
@json_option
@purpose_option
@click.pass_obj
def show_alert(root: Path, alert: int, as_json: bool, purpose: str | None) -> None:
    """What was seen, rule by rule, with the numbers of the events."""
    from service.audit_alerts import show_alert as run
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        row = run(store, workspace.actor("audit-alert-show", purpose or "audit"), alert, clock)
    lines = [
        f"alert {row['alert']}: {row['actor']} ({row['role']}, {row['organisation']}), {whom(row)}",
        f"{row['bits']} bits, {row['state']}, {row['owner']} by {row['due']}",
        f"from {row['first_at']} to {row['last_at']}",
    ]
    for one in row["signals"]:
        leaves = ", ".join(map(str, one["leaves"]))
        lines += [f"  {one['bits']:5.1f} {one['strength']:6}  {one['words']}",
                  f"                 events {leaves}"]  # fmt: skip
    if row["outcome"]:
        lines.append(f"{row['outcome']} by {row['closed_by']} at {row['closed_at']}")
    finish(row, lines, as_json)


def whom(row: dict[str, Any]) -> str:
    """What an alert is about, as far as the reader may know."""
    if row["week"]:
        return f"week of {row['week']}"
    return row["person"] or "a person shown to the named staff only"


@alerts.command("assign")
@click.argument("alert", type=click.IntRange(1))
@click.option("--to", required=True, help="The account that works it.")
@json_option
@purpose_option
@click.pass_obj
def assign_alert(root: Path, alert: int, to: str, as_json: bool, purpose: str | None) -> None:
    """Give an alert to somebody; not to whom it is about."""
    from service.audit_alerts import assign_alert as run
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("audit-alert-write", purpose or "audit")
        done = run(store, actor, alert, to, clock)
    finish(done, [f"{alert} is assigned"], as_json)


@alerts.command("close")
@click.argument("alert", type=click.IntRange(1))
@click.option("--outcome", required=True, help="justified, training, misconduct or false-alarm.")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def close_alert(
    root: Path, alert: int, outcome: str, reason: str, as_json: bool, purpose: str | None
) -> None:
    """Give an alert its outcome; nobody does so for an alert about themselves."""
    from service.audit_alerts import close_alert as run
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("audit-alert-write", purpose or "audit")
        done = run(store, actor, alert, outcome, reason, clock)
    finish(done, [f"{alert} is closed as {outcome}"], as_json)


@alerts.command("precision")
@json_option
@purpose_option
@click.pass_obj
def precision(root: Path, as_json: bool, purpose: str | None) -> None:
    """How right each rule was, over alerts that were closed."""
    from service.audit_alerts import as_document, rule_precision
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        found = rule_precision(
            store, workspace.actor("audit-alert-list", purpose or "audit"), clock
        )
    lines = [
        f"{one.rule:18} closed {one.closed:5}  right"
        f" {'-' if one.right is None else format(one.right, '.0%')}"
        for one in found
    ]
    finish(as_document(found), lines or ["no alert is closed yet"], as_json)


@audit.group("watch")
def watch() -> None:
    """Persons at whom every look is reported."""


@watch.command("add")
@click.argument("person_id")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def add_watch(root: Path, person_id: str, reason: str, as_json: bool, purpose: str | None) -> None:
    """Have looks at a person reported."""
    from service.audit_alerts import add_watch as run
    from service.audit_alerts import as_document
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("audit-watch", purpose or "audit")
        done = run(store, actor, person_id, reason, clock)
    finish(as_document(done), [f"watched under the number {done.watch_id}"], as_json)


@watch.command("list")
@json_option
@purpose_option
@click.pass_obj
def list_watches(root: Path, as_json: bool, purpose: str | None) -> None:
    """The watch list."""
    from service.audit_alerts import as_document
    from service.audit_alerts import list_watches as run
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        found = run(store, workspace.actor("audit-watch", purpose or "audit"), clock)
    lines = [f"{one.watch_id:>4}  {one.person}  since {one.made_at}  {one.reason}" for one in found]
    finish(as_document(found), lines or ["nobody is watched"], as_json)


@watch.command("remove")
@click.argument("number", type=click.IntRange(1))
@purpose_option
@click.pass_obj
def remove_watch(root: Path, number: int, purpose: str | None) -> None:
    """End a watch, by its number."""
    from service.audit_alerts import end_watch
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        end_watch(store, workspace.actor("audit-watch", purpose or "audit"), number, clock)
    click.echo(f"{number} ended", err=True)
