"""Bringing in a source: a file looked at by its mapping before anything is loaded."""

from __future__ import annotations

from pathlib import Path

import click

from commands.common import HELD_FILE, finish, json_option, opened, purpose_option


@click.group()
def source() -> None:
    """Bring in a system: see how its files are understood."""


@source.command()
@click.argument("name", metavar="SOURCE")
@click.argument("file", type=HELD_FILE)
@click.option("--rows", type=click.IntRange(0, 20), default=3, show_default=True,
              help="How many rows of each kind to show.")  # fmt: skip
@click.option("--most", type=click.IntRange(1), default=10_000, show_default=True,
              help="Stop after about so many units.")  # fmt: skip
@json_option
@purpose_option
@click.pass_obj
def check(
    root: Path, name: str, file: Path, rows: int, most: int, as_json: bool, purpose: str | None
) -> None:
    """Shows how FILE would be understood as a feed of SOURCE. Nothing is loaded."""
    from adapters.inbox import feed_at
    from adapters.registry import READERS
    from consent.commands import Action
    from service.access import permit, record
    from service.ingest import unknown_source
    from service.source_check import check_document, check_lines, understood
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("source-check", purpose)
        permit(actor, Action.SOURCE_CHECK, store, clock)
        settings = workspace.settings.source(name)
        if settings is None:
            raise unknown_source(workspace.settings)
        feed = feed_at(file, settings)
        limits = workspace.settings.limits
        found = understood(feed, settings, limits, READERS, rows=rows, most=most)
        record(actor, Action.SOURCE_CHECK, store, clock, source=settings.id, read=found.units)
    finish(check_document(found), check_lines(found), as_json)
