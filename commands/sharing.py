"""The IG officer's tools: consent, agreement, break-glass."""

from __future__ import annotations

from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from commands.common import finish, json_option, opened, purpose_option
from schemas.errors import InputError, InvalidValue

if TYPE_CHECKING:
    from schemas.held import Competence, Proxy
    from schemas.sharing import Directive

reason_option = click.option("--reason", required=True, help="Why, in a few words; kept sealed.")


@click.group()
def consent() -> None:
    """Who may see what: policies in words, wishes, proxies, and what one member of staff sees."""


@consent.command("explain-policy")
@click.pass_obj
def explain_policy(root: Path) -> None:
    """The policies as sentences, with the roles and periods of this workspace."""
    from consent.explain import page

    workspace = opened(root)
    with workspace.sharing() as sharing:
        click.echo(page(terms=sharing.opener.terms))


@consent.command("list")
@click.argument("person_id")
@json_option
@purpose_option
@click.pass_obj
def list_provisions(root: Path, person_id: str, as_json: bool, purpose: str | None) -> None:
    """What was laid down about a person, and what feeds say of their wishes."""
    from service.sharing_admin import provisions

    workspace = opened(root)
    with workspace.sharing() as sharing:
        rows = provisions(sharing, workspace.actor("consent-list", purpose or "audit"), person_id)
    lines = [
        f"{row['number'] or '-':>4}  {row['kind']}  {row['effect'] or ''}  from {row['from']}"
        f"  until {row['until'] or 'ended'}  by {row['made_by']}"
        for row in rows
    ]
    finish(rows, lines or ["nothing was laid down"], as_json)


@consent.command("add")
@click.argument("person_id")
@click.argument("kind")
@click.option("--permit", is_flag=True, help="Permits; without it, denies.")
@click.option("--organisation", multiple=True, help="Only these organisations.")
@click.option("--role", multiple=True, help="Only these roles.")
@click.option("--staff", multiple=True, help="Only these staff ids.")
@click.option("--for", "purposes", multiple=True, help="Only these purposes.")
@click.option("--category", multiple=True, help="Only what stands under these categories.")
@click.option("--label", multiple=True, help="Only what bears these labels.")
@click.option("--item", default=None, help="Only the one item of this name.")
@click.option("--invisible", is_flag=True, help="What is sealed is hidden as if it were not there.")
@click.option("--from", "start", default=None, help="A date; today if none is named.")
@click.option("--until", "end", default=None, help="A date; that day included.")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def add_directive(
    root: Path, /, person_id: str, kind: str, reason: str, as_json: bool, purpose: str | None,
    **said: Any,
) -> None:  # fmt: skip
    """Lay a wish of a person down: opt-out, seal, party, permission, type-1,
    national-data-opt-out or bar-staff."""
    from service.sharing_words import directive_of
    from wiring import clock

    wish = directive_of(kind, said, clock())
    _lay_down(root, person_id, wish, reason, purpose, as_json=as_json)


@consent.command("proxy")
@click.argument("person_id")
@click.argument("proxy_id")
@click.option("--basis", required=True, help="parental-responsibility, court-order, …")
@click.option("--evidenced", is_flag=True, help="Somebody saw the certificate or the order.")
@click.option("--orders-checked", is_flag=True, help="Court orders were looked up; none forbids.")
@click.option("--let-stand", is_flag=True, help="Stands although the person is restricted.")
@click.option("--from", "start", required=True, help="A date.")
@click.option("--until", "end", default=None, help="A date; that day included.")
@click.option("--reviewed-on", default=None, help="When it was last looked at.")
@click.option("--renewed-on", default=None, help="When it was renewed after the 16th birthday.")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def add_proxy(
    root: Path, /, person_id: str, proxy_id: str, reason: str, as_json: bool, purpose: str | None,
    **said: Any,
) -> None:  # fmt: skip
    """Lay down that somebody may act for a person."""
    from service.sharing_words import proxy_of

    _lay_down(root, person_id, proxy_of(proxy_id, said), reason, purpose, as_json=as_json)


@consent.command("competence")
@click.argument("person_id")
@click.option("--about", multiple=True, required=True, help="Categories the child may decide on.")
@click.option("--found-by", required=True, help="Who found so.")
@click.option("--on", required=True, help="The day.")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def add_competence(
    root: Path, person_id: str, about: tuple[str, ...], found_by: str, on: str, reason: str,
    as_json: bool, purpose: str | None,
) -> None:  # fmt: skip
    """Lay down that a child was found competent to decide about something."""
    from service.sharing_words import competence_of

    finding = competence_of(about, found_by, on)
    _lay_down(root, person_id, finding, reason, purpose, as_json=as_json)


@consent.command("investigator")
@click.argument("person_id")
@click.argument("staff_id")
@reason_option
@json_option
@purpose_option
@click.pass_obj
def add_investigator(
    root: Path, person_id: str, staff_id: str, reason: str, as_json: bool, purpose: str | None
) -> None:
    """Name a member of staff on a safeguarding investigation of a person."""
    _lay_down(root, person_id, staff_id, reason, purpose, as_json=as_json)


def _lay_down(
    root: Path,
    person_id: str,
    what: Directive | Proxy | Competence | str,
    reason: str,
    purpose: str | None,
    *,
    as_json: bool,
) -> None:
    """Lays something down about a person, and says under which number."""
    from service.sharing_admin import lay_down

    workspace = opened(root)
    with workspace.sharing() as sharing:
        actor = workspace.actor("consent-write", purpose or "audit")
        kept = lay_down(sharing, actor, person_id, what, reason)
    finish({"number": kept.provision_id}, [f"laid down as {kept.provision_id}"], as_json)


@consent.command("end")
@click.argument("number", type=click.IntRange(1))
@purpose_option
@click.pass_obj
def end(root: Path, number: int, purpose: str | None) -> None:
    """End what was laid down, from now on."""
    from service.sharing_admin import end_provision

    workspace = opened(root)
    with workspace.sharing() as sharing:
        end_provision(sharing, workspace.actor("consent-write", purpose or "audit"), number)
    click.echo(f"{number} ended", err=True)


@consent.command("check")
@click.argument("person_id")
@click.option("--staff", "staff_id", required=True, help="Staff id of whoever would look.")
@click.option("--organisation", required=True, help="Where they work.")
@click.option("--role", required=True, help="In which role.")
@click.option("--for", "looking_for", default="direct-care", show_default=True)
@json_option
@purpose_option
@click.pass_obj
def check_access(
    root: Path, person_id: str, staff_id: str, organisation: str, role: str, looking_for: str,
    as_json: bool, purpose: str | None,
) -> None:  # fmt: skip
    """What a member of staff would see of a person, and why; shows no item."""
    from schemas.identifiers import parse_ods_code
    from service.sharing_admin import Asking, check
    from service.sharing_words import check_lines

    workspace = opened(root)
    try:
        asking = Asking(staff_id, parse_ods_code(organisation), role, looking_for)
    except InvalidValue as error:
        raise InputError(f"--organisation: {error.reason}") from None
    with workspace.sharing() as sharing:
        told = check(
            sharing, workspace.actor("consent-check", purpose or "audit"), person_id, asking
        )
    finish(told, check_lines(told), as_json)


@click.group()
def agreement() -> None:
    """The register of sharing agreements between organisations."""


@agreement.command("list")
@click.option("--organisation", default=None, help="Only those of this organisation.")
@click.option("--all", "all_of_them", is_flag=True, help="Those too that are not in force.")
@json_option
@purpose_option
@click.pass_obj
def agreements(
    root: Path, organisation: str | None, all_of_them: bool, as_json: bool, purpose: str | None
) -> None:
    """The agreements in force."""
    from service.agreements import agreement_lines, list_agreements
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("agreement-list", purpose or "audit")
        rows = list_agreements(store, actor, organisation, clock, all_of_them=all_of_them)
    finish(rows, agreement_lines(rows), as_json)


@agreement.command("show")
@click.argument("agreement_id")
@json_option
@purpose_option
@click.pass_obj
def show(root: Path, agreement_id: str, as_json: bool, purpose: str | None) -> None:
    """Every version of one agreement, with its lawful basis."""
    from service.agreements import agreement_lines, show_agreement
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("agreement-list", purpose or "audit")
        rows = show_agreement(store, actor, agreement_id, clock)
    finish(rows, agreement_lines(rows), as_json)


@agreement.command("add")
@click.argument("file", type=click.File("rb"), default="-")
@json_option
@purpose_option
@click.pass_obj
def add(root: Path, file: IO[bytes], as_json: bool, purpose: str | None) -> None:
    """Write a version of an agreement down; FILE holds one JSON object (docs/ig-officer.md)."""
    from service.agreements import add_agreement, agreement_document, read_agreement
    from wiring import clock

    workspace = opened(root)
    wanted = read_agreement(file.read(), workspace.settings)
    with workspace.store() as store:
        actor = workspace.actor("agreement-write", purpose or "audit")
        kept = add_agreement(store, actor, wanted, clock)
    line = f"{kept.agreement_id}: version {kept.version} written"
    finish(agreement_document(kept, stands=True), [line], as_json)


@agreement.command("end")
@click.argument("agreement_id")
@click.option("--on", default=None, help="Its last day; yesterday if none is named.")
@purpose_option
@click.pass_obj
def end_one(root: Path, agreement_id: str, on: str | None, purpose: str | None) -> None:
    """End an agreement, by a new version of it."""
    from service.agreements import end_agreement
    from service.sharing_words import day_of
    from wiring import clock

    workspace = opened(root)
    last = None if on is None else day_of("--on", on)
    with workspace.store() as store:
        actor = workspace.actor("agreement-write", purpose or "audit")
        ended = end_agreement(store, actor, agreement_id, last, clock)
    click.echo(f"{agreement_id}: ends after {ended.end}", err=True)


@click.group("break-glass")
def break_glass() -> None:
    """Declared emergencies and claimed relationships, to be followed up."""


@break_glass.command("list")
@click.option("--all", "all_of_them", is_flag=True, help="Those too that were followed up.")
@json_option
@purpose_option
@click.pass_obj
def declared(root: Path, all_of_them: bool, as_json: bool, purpose: str | None) -> None:
    """What waits for the privacy officer, oldest first."""
    from service.sharing_admin import claims

    workspace = opened(root)
    with workspace.sharing() as sharing:
        actor = workspace.actor("break-glass-list", purpose or "audit")
        rows = claims(sharing, actor, all_of_them=all_of_them)
    lines = [
        f"{row['number']:>4}  {row['kind']}  {row['made_at']}  {row['staff_id']} of"
        f" {row['organisation']} as {row['role']}: {row['reason']}  {row['person_id'] or '-'}"
        f"  {'followed up' if row['reviewed_at'] else 'to be followed up'}"
        for row in rows
    ]
    finish(rows, lines or ["nothing to follow up"], as_json)


@break_glass.command("review")
@click.argument("number", type=click.IntRange(1))
@click.option("--finding", required=True, help="What the follow-up found; kept sealed.")
@click.option("--end", "ends", is_flag=True, help="It was not right: it opens nothing any more.")
@purpose_option
@click.pass_obj
def review(root: Path, number: int, finding: str, ends: bool, purpose: str | None) -> None:
    """Write down what the follow-up found."""
    from service.sharing_admin import review_claim
    from wiring import clock

    workspace = opened(root)
    with workspace.store() as store:
        actor = workspace.actor("break-glass-review", purpose or "audit")
        review_claim(store, actor, number, finding, clock, ends=ends)
    click.echo(f"{number} followed up{', and ended' if ends else ''}", err=True)


@break_glass.command("alarms")
@click.option("--days", type=click.IntRange(1, 3_650), default=7, show_default=True)
@json_option
@purpose_option
@click.pass_obj
def raised(root: Path, days: int, as_json: bool, purpose: str | None) -> None:
    """What of the last days somebody must look into: escalated attempts, broken glass, safeguarding
    flags shown without an agreement, declared emergencies."""
    from service.sharing_admin import alarms

    workspace = opened(root)
    with workspace.sharing() as sharing:
        rows = alarms(sharing, workspace.actor("break-glass-list", purpose or "audit"), days)
    lines = [
        f"{row['at']}  {row['what']}: {row['staff_id']} of {row['organisation']} as {row['role']},"
        f" {row['action']} {row['outcome']}  {', '.join(row['persons'])}"
        for row in rows
    ]
    finish(rows, lines or ["nothing to look into"], as_json)
