"""Putting persons right by hand: person split, merge, wrong."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.common import finish, json_option, opened, purpose_option, reason_option, record_name
from commands.persons import person
from commands.review import at_the_desk
from schemas.errors import NeedsDecision, WorkspaceBusy

if TYPE_CHECKING:
    from schemas.identifiers import PersonId

NEXT_LINK = "the next link publishes it: `commonthread link`"
UNPUBLISHED = (
    "NOT PUBLISHED: the decisions are written and stay, but the link that follows failed, and the"
    " records are shown as before. Put right what the error says, then run `commonthread link`; do"
    " not report it again"
)


@person.command("split")
@click.argument("person_id")
@click.option("--apart", "apart", multiple=True, required=True, help="SOURCE/LOCAL_ID; repeat.")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def person_split(
    root: Path,
    person_id: str,
    apart: tuple[str, ...],
    reason: str,
    as_json: bool,
    purpose: str | None,
) -> None:
    """The records named are not this person: they step apart from the others."""
    from service.corrections import split
    from service.review_lines import correction_lines

    named = [record_name(one) for one in apart]
    with at_the_desk(root, "person-split", purpose) as desk:
        done = split(desk, person_id, named, reason)
    finish(done.document, correction_lines(done, NEXT_LINK), as_json)


@person.command("merge")
@click.argument("one")
@click.argument("two")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def person_merge(
    root: Path, one: str, two: str, reason: str, as_json: bool, purpose: str | None
) -> None:
    """Two persons are one."""
    from service.corrections import merge
    from service.review_lines import correction_lines

    with at_the_desk(root, "person-merge", purpose) as desk:
        done = merge(desk, one, two, reason)
    finish(done.document, correction_lines(done, NEXT_LINK), as_json)


@person.command("wrong")
@click.argument("person_id")
@click.option("--source", required=True, help="Whose records are of somebody else.")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def person_wrong(
    root: Path, person_id: str, source: str, reason: str, as_json: bool, purpose: str | None
) -> None:
    """A source's records are somebody else's: apart at once, and who saw them together."""
    from service.corrections import wrong
    from service.review_lines import correction_lines, viewer_lines

    def tell(published: str) -> None:
        lines = [*correction_lines(done, published), "", *viewer_lines(done)]
        finish(done.document | {"published": published}, lines, as_json)

    with at_the_desk(root, "person-wrong", purpose) as desk:
        done = wrong(desk, person_id, source, reason)
    try:
        published = _published_at_once(root, purpose, done.persons)
    except BaseException:
        tell(UNPUBLISHED)
        raise
    tell(published)


def _published_at_once(root: Path, purpose: str | None, persons: Sequence[PersonId]) -> str:
    """Links, so that what stepped apart is shown apart; says how that went."""
    from consent.commands import Action
    from service.access import failure_recorded, record
    from service.linking import link_records
    from wiring import clock

    workspace = opened(root)
    action = Action.PERSON_WRONG
    try:
        with workspace.exclusive(), workspace.store() as store:
            actor = workspace.actor(action.value, purpose)
            with failure_recorded(actor, action, store, clock, persons=persons):
                report = link_records(
                    store, workspace.settings, workspace.model_file, clock, by=actor
                )
            record(actor, action, store, clock, persons=persons, run=report.run_id)
    except WorkspaceBusy:
        return "another run is at work in this workspace; the next link publishes it"
    except NeedsDecision:
        return "the records are apart; the rest of the run is held until somebody approves it"
    return f"the records are apart, in run {report.run_id}" if report.run_id else "nothing changed"
