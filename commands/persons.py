"""Looking: person show and export, explain, quarantine."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.common import (
    NEW_FILE,
    finish,
    json_option,
    opened,
    purpose_option,
    record_name,
    show_json,
    show_lines,
)
from schemas.errors import InputError, InvalidValue

if TYPE_CHECKING:
    from service.runs import Undo


@click.group()
def person() -> None:
    """Look at persons, or export who is who."""


@person.command("show")
@click.argument("person_id")
@json_option
@purpose_option
@click.pass_obj
def person_show(root: Path, person_id: str, as_json: bool, purpose: str | None) -> None:
    """The records that one person is made of, side by side."""
    from service.looking import show_person
    from service.summary import person_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        shown = show_person(store, workspace.actor("person-show", purpose), person_id, clock)
    if as_json:
        show_json(shown)
    else:
        show_lines(person_lines(shown))


@person.command("export")
@click.option("--out", type=NEW_FILE, required=True)
@click.option(
    "--as-at",
    default=None,
    help="As published at this time (ISO 8601; UTC if no zone; a date is its midnight).",
)
@purpose_option
@click.pass_obj
def person_export(root: Path, out: Path, as_at: str | None, purpose: str | None) -> None:
    """`source, local_id, person_id` of all that is published, as Parquet or CSV."""
    from schemas.dates import parse_instant
    from service.exporting import export_file
    from wiring import clock

    workspace = opened(root)
    try:
        moment = None if as_at is None else parse_instant(as_at)
    except InvalidValue as error:
        raise InputError(f"--as-at: {error.reason}; such as 2026-11-03T06:00:00Z") from None
    with workspace.store() as store:
        rows = export_file(store, workspace.actor("person-export", purpose), out, clock, moment)
    click.echo(f"{out}: {rows:,} rows", err=True)


@person.command("history")
@click.argument("person_id")
@json_option
@purpose_option
@click.pass_obj
def history(root: Path, person_id: str, as_json: bool, purpose: str | None) -> None:
    """How a person came to be what it is: founded, joined, split, undone, by which run."""
    from service.looking import show_history
    from service.run_lines import history_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        shown = show_history(store, workspace.actor("person-history", purpose), person_id, clock)
    finish(shown, history_lines(shown), as_json)


@person.command("difference")
@click.argument("run", type=click.IntRange(1))
@json_option
@purpose_option
@click.pass_obj
def difference(root: Path, run: int, as_json: bool, purpose: str | None) -> None:
    """What a held run would change: counts by source, and examples side by side."""
    from service.held import show_difference
    from service.run_lines import difference_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        shown = show_difference(store, workspace.actor("person-difference", purpose), run, clock)
    finish(shown, difference_lines(shown), as_json)


@person.group()
def undo() -> None:
    """Take back what a run did, or lift that again; the next link shows it."""


@undo.command("run")
@click.argument("run", type=click.IntRange(1))
@json_option
@purpose_option
@click.pass_obj
def undo_run(root: Path, run: int, as_json: bool, purpose: str | None) -> None:
    """Undo the newest run: its records and its model count as they were before it."""
    from service.undo import undo_run as use

    _undo(root, run, as_json, purpose, "undo", use)


@undo.command("release")
@click.argument("run", type=click.IntRange(1))
@json_option
@purpose_option
@click.pass_obj
def release(root: Path, run: int, as_json: bool, purpose: str | None) -> None:
    """Lift the undo of a run: what it did counts again."""
    from service.undo import release_run as use

    _undo(root, run, as_json, purpose, "release", use)


def _undo(
    root: Path, run: int, as_json: bool, purpose: str | None, what: str, use: Callable[..., Undo]
) -> None:
    """Permits, does and writes down an undo or its release."""
    from consent.commands import Action
    from service.access import failure_recorded, permit, record
    from service.run_lines import undo_document, undo_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.exclusive(), workspace.store() as store:
        actor = workspace.actor("person-undo", purpose)
        permit(actor, Action.PERSON_UNDO, store, clock)
        with failure_recorded(actor, Action.PERSON_UNDO, store, clock, run=run, what=what):
            done = use(
                store,
                run,
                clock(),
                lambda: record(actor, Action.PERSON_UNDO, store, clock, run=run, what=what),
            )
    finish(undo_document(done), undo_lines(done), as_json)


@click.command()
@click.argument("left")
@click.argument("right")
@json_option
@purpose_option
@click.pass_obj
def explain(root: Path, left: str, right: str, as_json: bool, purpose: str | None) -> None:
    """Why two records (each SOURCE/LOCAL_ID) are, or are not, one person."""
    from dataclasses import asdict

    from service.looking import explain_pair
    from service.model_files import load_model
    from service.summary import explanation_lines
    from wiring import clock

    workspace = opened(root)
    if not workspace.model_file.exists():
        raise InputError("no model yet: run `commonthread link` first")
    with workspace.store() as store:
        found = explain_pair(
            store,
            workspace.settings,
            load_model(workspace.model_file),
            workspace.actor("explain", purpose),
            record_name(left),
            record_name(right),
            clock,
        )
    if as_json:
        show_json(asdict(found))
    else:
        show_lines(explanation_lines(found))


@click.group()
def quarantine() -> None:
    """What was not loaded, and why."""


@quarantine.command("list")
@click.option("--source", default=None, help="Only this source.")
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@json_option
@purpose_option
@click.pass_obj
def quarantine_list(
    root: Path, source: str | None, limit: int, as_json: bool, purpose: str | None
) -> None:
    """Quarantined units: where each stands, which field, why. Shows no values."""
    from service.exporting import quarantined
    from service.summary import quarantine_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("quarantine-list", purpose)
        rows = quarantined(store, workspace.settings, actor, source, limit, clock)
    if as_json:
        show_json(rows)
    else:
        show_lines(quarantine_lines(rows))
