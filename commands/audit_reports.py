"""Reports from the audit log: audit reports, audit report, audit pack."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.audit import audit
from commands.common import json_option, opened, purpose_option, show_json
from schemas.errors import InputError

if TYPE_CHECKING:
    from schemas.dates import Instant
    from service.audit_reports_desk import Wanted

_OUT = click.Path(path_type=Path, file_okay=False)
out_option = click.option(
    "--out", type=_OUT, help="A folder; by default reports/audit of the workspace."
)
format_option = click.option(
    "--format",
    "formats",
    multiple=True,
    type=click.Choice(["html", "csv", "json"]),
    help="html by default; repeat for several.",
)


@audit.command("reports")
@json_option
def list_reports(as_json: bool) -> None:
    """The reports that can be made, one a line."""
    from service.audit_reports_desk import REPORTS

    rows = [
        {"name": name, "needs": kind.needs, "says": kind.says} for name, kind in REPORTS.items()
    ]
    if as_json:
        show_json(rows)
        return
    for row in rows:
        needs = f" --{row['needs']}" if row["needs"] else ""
        click.echo(f"{row['name'] + needs:28} {row['says']}")


@audit.command("report")
@click.argument("name")
@click.option("--person", help="A person's id.")
@click.option("--actor", help="The id that a member of staff signs in with.")
@click.option("--organisation", help="An organisation's code.")
@click.option("--since", help="A day; that day included.")
@click.option("--until", help="A day; that day included.")
@click.option("--month", help="A month of UTC in the place of days, YYYY-MM.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of the sample.")
@click.option("--size", type=click.IntRange(1, 10_000), default=40, show_default=True)
@click.option("--class", "classes", multiple=True, help="With `events`: only this class; repeat.")
@click.option("--action", "actions", multiple=True, help="With `events`: only this action; repeat.")
@click.option("--outcome", "outcomes", multiple=True, help="With `events`: only this outcome.")
@format_option
@out_option
@json_option
@purpose_option
@click.pass_obj
def report(
    root: Path,
    /,
    name: str,
    formats: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    purpose: str | None,
    **said: str | int | tuple[str, ...] | None,
) -> None:
    """Make one report; `audit reports` lists them."""
    _make(root, _wanted(root, name, said), formats, out, purpose, as_json=as_json)


@audit.command("pack")
@click.option("--month", required=True, help="YYYY-MM, a month of UTC.")
@format_option
@out_option
@json_option
@purpose_option
@click.pass_obj
def pack(
    root: Path,
    month: str,
    formats: tuple[str, ...],
    out: Path | None,
    as_json: bool,
    purpose: str | None,
) -> None:
    """The month in figures and plots, beside the twelve before it."""
    from service.audit_reports_desk import Wanted

    _make(root, Wanted("pack", month=month), formats, out, purpose, as_json=as_json)


def _make(
    root: Path,
    wanted: Wanted,
    formats: tuple[str, ...],
    out: Path | None,
    purpose: str | None,
    *,
    as_json: bool,
) -> None:
    """Makes a report and writes its files, or prints it as JSON."""
    from service.audit_reports_desk import make_report
    from service.audit_reports_files import make_folder, write_files
    from service.audit_reports_page import json_document
    from wiring import report_desk

    workspace = opened(root)
    chosen = ("json",) if as_json else formats or ("html",)
    folder = out or workspace.reports / "audit"
    if not as_json:
        make_folder(folder)  # a folder that cannot be made is said before anything is read
    with workspace.store() as store:
        desk = report_desk(workspace, store, workspace.actor("audit-report", purpose or "audit"))
        made, asked = make_report(desk, wanted, format=",".join(sorted(set(chosen))))
    if as_json:
        show_json(json_document(made))
        return
    for path in write_files(folder, made, asked, chosen):
        click.echo(str(path))


def _wanted(root: Path, name: str, said: dict[str, str | int | tuple[str, ...] | None]) -> Wanted:
    """What was asked for. Raises: InputError; WorkspaceMissing; SettingsError."""
    from audit.actions import ACTIONS, EventClass
    from audit.events import EventOutcome
    from service.audit_reports_desk import REPORTS, Wanted

    if name not in REPORTS:
        raise InputError(f"no report of that name; expected one of {', '.join(REPORTS)}")
    zone = opened(root).settings.audit.time_zone
    lists = {
        "classes": (frozenset(EventClass), EventClass),
        "actions": (frozenset(ACTIONS), str),
        "outcomes": (frozenset(EventOutcome), EventOutcome),
    }
    chosen: dict[str, frozenset[str]] = {}
    for key, (known, kind) in lists.items():
        given = said.pop(key)
        assert isinstance(given, tuple)
        if given and name != "events":
            raise InputError(f"--{key[:-1].replace('classe', 'class')} is for the report `events`")
        if unknown := sorted(set(given) - known):
            raise InputError(f"no {key}: {', '.join(unknown)}; expected {', '.join(sorted(known))}")
        chosen[key] = frozenset(kind(one) for one in given)
    if said["month"] is not None and (said["since"] is not None or said["until"] is not None):
        raise InputError("--month is in the place of --since and --until; give one or the other")
    since = _day(said.pop("since"), zone, "--since", after=False)
    until = _day(said.pop("until"), zone, "--until", after=True)
    return Wanted(name, since=since, until=until, **said, **chosen)  # type: ignore[arg-type]


def _day(
    text: str | int | tuple[str, ...] | None, zone: str, option: str, *, after: bool
) -> Instant | None:
    """The moment at which a day begins by the partnership's clock; after: at which the next does.
    Raises: InputError."""
    from datetime import date, datetime, time, timedelta
    from zoneinfo import ZoneInfo

    from schemas.dates import to_instant

    if text is None:
        return None
    try:
        day = date.fromisoformat(str(text))
        day += timedelta(days=after)
        return to_instant(datetime.combine(day, time(), ZoneInfo(zone)))
    except (ValueError, OverflowError):
        raise InputError(f"{option}: expected a day as YYYY-MM-DD") from None
