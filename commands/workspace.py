"""Making a workspace: init, demo."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from commands.common import finish, json_option, progress_bar


@click.command()
@click.pass_obj
def init(root: Path) -> None:
    """A new workspace with commented settings and fresh keys."""
    from importlib import resources

    from wiring import account, create_workspace

    template = resources.files("service") / "templates" / "partnership.toml"
    create_workspace(root, template.read_text(encoding="utf-8").format(actor=_quoted(account())))
    click.echo(f"{root} is ready: describe your sources in {root / 'partnership.toml'}.", err=True)


def _quoted(name: str) -> str:
    return json.dumps(name)


@click.command()
@click.option("--people", type=click.IntRange(200, 700_000), default=20_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--items-per-person", type=click.FloatRange(0), default=None)
@json_option
@click.pass_obj
def demo(root: Path, people: int, seed: int, items_per_person: float | None, as_json: bool) -> None:
    """A workspace with the synthetic partnership: native feeds in its inbox, and the truth."""
    from consent.commands import Action
    from demo import generate, settings_text
    from demo.agreements import agreements
    from service.access import event, record
    from wiring import account, clock, create_workspace, refuse_if_made

    refuse_if_made(root)
    extra: dict[str, Any] = {}
    if items_per_person is not None:
        extra["items_per_person"] = items_per_person
    with progress_bar("writing feeds") as bar:
        summary = generate(
            root,
            people=people,
            seed=seed,
            progress=lambda what, done, of: bar(what, done, total=of),
            **extra,
        )
    workspace = create_workspace(root, settings_text(account()))
    with workspace.store() as store:
        actor = workspace.actor("demo", None)
        signed = event(actor, Action.AGREEMENT_WRITE, clock, agreements="demo")
        store.write_agreements(agreements(), signed)
        record(
            actor, "demo", store, clock,
            people=summary.people, records=sum(summary.records.values()), seed=seed,
        )  # fmt: skip
    document = {"workspace": str(root), "people": summary.people, "records": summary.records}
    line = (
        f"{root}: {summary.people:,} people, {sum(summary.records.values()):,} client records "
        f"in {len(summary.records)} systems"
    )
    finish(document, [line], as_json)
