"""Bringing in a source: settings drafted from a sample, files looked at before they are loaded."""

from __future__ import annotations

from pathlib import Path

import click

from commands.common import (
    HELD_FILE,
    finish,
    json_option,
    opened,
    purpose_option,
    show_lines,
)


@click.group()
def source() -> None:
    """Bring in a system: draft its settings, see how its files are understood."""


@source.command()
@click.argument("name", metavar="SOURCE")
@click.argument("file", type=HELD_FILE)
@click.option("--title", help="The system's full name.")
@click.option("--organisation", "organisations", multiple=True, help="ODS code of a member.")
@purpose_option
@click.pass_obj
def new(
    root: Path,
    name: str,
    file: Path,
    title: str | None,
    organisations: tuple[str, ...],
    purpose: str | None,
) -> None:
    """Drafts the settings of a new source from a sample FILE, to be read and put into
    partnership.toml. Nothing is loaded."""
    from adapters.samples import sample_of
    from consent.commands import Action
    from service.access import permit, record
    from service.source_draft import source_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("source-new", purpose)
        permit(actor, Action.SOURCE_NEW, store, clock)
        sample = sample_of(file, workspace.settings.limits)
        members = organisations or tuple(o.code for o in workspace.settings.organisations[:1])
        lines = source_lines(name, title or name, members, file.name, sample)
        record(actor, Action.SOURCE_NEW, store, clock, files=1)
    show_lines(lines)


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
