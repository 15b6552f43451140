"""The command line: parse, call a use case, map errors to exit codes. No logic of its own.

Rules:
- With --json, standard output holds one JSON document and nothing else; people read standard error.
- Progress bars show on a terminal only.
- Every error raised on purpose ends in its exit code (schemas/errors.py); messages and tracebacks
  show no person's value.
"""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemas.errors import CommonthreadError, InputError, exit_code

if TYPE_CHECKING:
    from wiring import Workspace

STRICT_EXIT = 11
"""Exit code of a run that ended well but quarantined or refused something, under --strict."""


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="commonthread")
@click.option(
    "--workspace",
    "-w",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("partnership"),
    show_default=True,
    help="The partnership's folder: settings, keys, inbox, database, reports.",
)
@click.pass_context
def commonthread(context: click.Context, workspace: Path) -> None:
    """Record matching and data sharing for health and social care."""
    context.obj = workspace


json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
purpose_option = click.option("--purpose", help="Why you look; a default stands in the settings.")
strict_option = click.option(
    "--strict", is_flag=True, help=f"Exit {STRICT_EXIT} if anything was quarantined or refused."
)


@commonthread.command()
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


@commonthread.command()
@click.option("--people", type=click.IntRange(200, 700_000), default=20_000, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True)
@click.option("--items-per-person", type=click.FloatRange(0), default=None)
@json_option
@click.pass_obj
def demo(root: Path, people: int, seed: int, items_per_person: float | None, as_json: bool) -> None:
    """A workspace with the synthetic partnership: native feeds in its inbox, and the truth."""
    from demo import generate, settings_text
    from wiring import account, create_workspace, refuse_if_made

    refuse_if_made(root)
    extra: dict[str, Any] = {}
    if items_per_person is not None:
        extra["items_per_person"] = items_per_person
    with _bar("writing feeds") as bar:
        summary = generate(
            root,
            people=people,
            seed=seed,
            progress=lambda what, done, of: bar(what, done, total=of),
            **extra,
        )
    create_workspace(root, settings_text(account()))
    document = {"workspace": str(root), "people": summary.people, "records": summary.records}
    line = (
        f"{root}: {summary.people:,} people, {sum(summary.records.values()):,} client records "
        f"in {len(summary.records)} systems"
    )
    _finish(document, [line], as_json)


@commonthread.command()
@click.argument("sources", nargs=-1)
@json_option
@strict_option
@purpose_option
@click.pass_obj
def ingest(
    root: Path, sources: tuple[str, ...], as_json: bool, strict: bool, purpose: str | None
) -> None:
    """Reads what is new in the inbox: all sources, or those named."""
    from consent.commands import Action
    from service.access import permit, record
    from service.ingest import ingest as run
    from service.summary import ingest_document, ingest_lines
    from wiring import clock

    workspace = _open(root)
    with workspace.exclusive(), workspace.store() as store, _bar("reading") as bar:
        actor = workspace.actor("ingest", purpose)
        permit(actor, Action.INGEST, store, clock)
        with workspace.inputs() as inputs:
            reports = run(
                store,
                workspace.settings,
                inputs.inbox,
                inputs.readers,
                inputs.find_feeds,
                clock,
                only=sources,
                progress=bar,
            )
        record(actor, Action.INGEST, store, clock, read=sum(r.read for r in reports))
    _finish(ingest_document(reports), ingest_lines(reports), as_json)
    _exit_if_strict(strict, reports)


@commonthread.command()
@click.option("--full", is_flag=True, help="Link even where nothing is new.")
@json_option
@purpose_option
@click.pass_obj
def link(root: Path, full: bool, as_json: bool, purpose: str | None) -> None:
    """Brings the persons up to date with the records."""
    from consent.commands import Action
    from service.access import permit, record
    from service.linking import link_records
    from service.summary import link_document, link_lines
    from wiring import clock

    workspace = _open(root)
    with workspace.exclusive(), workspace.store() as store, _bar("linking") as bar:
        actor = workspace.actor("link", purpose)
        permit(actor, Action.LINK, store, clock)
        report = link_records(
            store,
            workspace.settings,
            workspace.model_file,
            clock,
            full=full,
            progress=lambda stage, done, total: bar(stage, done, total=total),
        )
        record(actor, Action.LINK, store, clock, run=report.run_id)
    _finish(link_document(report), link_lines(report), as_json)


@commonthread.command()
@click.option(
    "--prior",
    "prior_file",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="A model to train from in the place of the shipped one.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="An HTML page with charts.",
)
@json_option
@purpose_option
@click.pass_obj
def train(
    root: Path, prior_file: Path | None, report: Path | None, as_json: bool, purpose: str | None
) -> None:
    """Trains the linkage model on the records as they are; the next link is a full one."""
    from consent.commands import Action
    from service.access import permit, record
    from service.model_files import load_model
    from service.table_files import check_outputs, write_text
    from service.training import train_workspace
    from service.training_summary import train_document, train_lines, train_page
    from wiring import clock

    workspace = _open(root)
    check_outputs([], [], others=[report] if report else [])
    with workspace.exclusive(), workspace.store() as store:
        actor = workspace.actor("train", purpose)
        permit(actor, Action.TRAIN, store, clock)
        prior = load_model(prior_file) if prior_file else None
        found = train_workspace(store, workspace.settings, workspace.model_file, prior=prior)
        record(actor, Action.TRAIN, store, clock, records=found.records)
    if report:
        write_text(train_page(found), report)
    _finish(train_document(found), train_lines(found), as_json)


@commonthread.command()
@json_option
@strict_option
@purpose_option
@click.pass_obj
def nightly(root: Path, as_json: bool, strict: bool, purpose: str | None) -> None:
    """The main job: ingest, link, publish, report. Safe to run again after any crash."""
    from consent.commands import Action
    from service.access import permit
    from service.nightly import nightly as run
    from service.report import write_report
    from service.summary import nightly_document, nightly_lines
    from wiring import clock

    workspace = _open(root)
    with workspace.exclusive(), workspace.store() as store, _bar("nightly") as bar:
        actor = workspace.actor("nightly", purpose)
        permit(actor, Action.NIGHTLY, store, clock)
        with workspace.inputs() as inputs:
            report = run(
                store,
                workspace.settings,
                inputs,
                actor,
                clock,
                read_progress=bar,
                link_progress=lambda stage, done, total: bar(stage, done, total=total),
            )
        page = write_report(workspace.reports, workspace.settings, report, clock())
    _finish(nightly_document(report, page), nightly_lines(report, page), as_json)
    _exit_if_strict(strict, report.sources)


@commonthread.group()
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

    workspace = _open(root)
    with workspace.store() as store:
        shown = show_person(store, workspace.actor("person-show", purpose), person_id, clock)
    if as_json:
        _print_json(shown)
    else:
        click.echo("\n".join(person_lines(shown)))


@person.command("export")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@purpose_option
@click.pass_obj
def person_export(root: Path, out: Path, purpose: str | None) -> None:
    """`source, local_id, person_id` of all that is published, as Parquet or CSV."""
    from service.exporting import export_file
    from wiring import clock

    workspace = _open(root)
    with workspace.store() as store:
        rows = export_file(store, workspace.actor("person-export", purpose), out, clock)
    click.echo(f"{out}: {rows:,} rows", err=True)


@commonthread.command()
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

    workspace = _open(root)
    if not workspace.model_file.exists():
        raise InputError("no model yet: run `commonthread link` first")
    with workspace.store() as store:
        found = explain_pair(
            store,
            workspace.settings,
            load_model(workspace.model_file),
            workspace.actor("explain", purpose),
            _record_name(left),
            _record_name(right),
            clock,
        )
    if as_json:
        _print_json(asdict(found))
    else:
        click.echo("\n".join(explanation_lines(found)))


def _record_name(text: str) -> tuple[str, str]:
    source, slash, local_id = text.partition("/")
    if not slash or not source or not local_id:
        raise InputError("a record is named SOURCE/LOCAL_ID")
    return source, local_id


@commonthread.group()
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

    workspace = _open(root)
    with workspace.store() as store:
        actor = workspace.actor("quarantine-list", purpose)
        rows = quarantined(store, workspace.settings, actor, source, limit, clock)
    if as_json:
        _print_json(rows)
    else:
        click.echo("\n".join(quarantine_lines(rows)))


@commonthread.command()
@click.option("--truth", type=click.Path(path_type=Path, dir_okay=False), default=None)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="An HTML page with charts.",
)
@json_option
@purpose_option
@click.pass_obj
def evaluate(
    root: Path, truth: Path | None, report: Path | None, as_json: bool, purpose: str | None
) -> None:
    """The published persons against the truth (default: the workspace's truth.parquet)."""
    from dataclasses import asdict

    from consent.commands import Action
    from service.access import permit, record
    from service.evaluating import evaluate as run
    from service.summary import evaluation_lines
    from service.table_files import check_outputs, write_text
    from wiring import clock

    workspace = _open(root)
    check_outputs([], [], others=[report] if report else [])
    with workspace.store() as store:
        actor = workspace.actor("evaluate", purpose)
        permit(actor, Action.EVALUATE, store, clock)
        record(actor, Action.EVALUATE, store, clock)
        found = run(store, workspace.settings, truth or root / "truth.parquet")
    if report:
        from service.evaluation_page import evaluation_page

        write_text(evaluation_page(found), report)
    if as_json:
        _print_json(asdict(found))
    else:
        click.echo("\n".join(evaluation_lines(found)))


@commonthread.command("link-file")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), required=True)
@click.option("--map", "maps", multiple=True, help="field=column, or field=column+column.")
@click.option("--identifier", "identifiers", multiple=True, help="A column of further numbers.")
@click.option("--exact", "exact", multiple=True, help="A column of a further category.")
@click.option("--id", "id_column", help="The column that names each record.")
@click.option("--source", "source_column", help="The column that tells sources apart.")
@click.option("--pairs", type=click.Path(path_type=Path, dir_okay=False), default=None)
@click.option(
    "--model",
    "model_file",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="A frozen model: nothing is learnt from the input.",
)
@click.option(
    "--prior",
    "prior_file",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="A model to train from in the place of the shipped one; its rules are kept.",
)
@click.option("--save-model", type=click.Path(path_type=Path, dir_okay=False), default=None)
@click.option(
    "--labels",
    type=click.Path(path_type=Path, exists=True),
    default=None,
    help="Judged pairs to learn from: left_id, right_id, match.",
)
@click.option("--join-bits", type=float, default=None, help="The join threshold, in bits.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="An HTML page with charts.",
)
@click.option("--plan", "plan_only", is_flag=True, help="Show what blocking would cost, and stop.")
@click.option("--threads", type=click.IntRange(1), default=None)
@json_option
def link_file(
    inputs: tuple[Path, ...],
    out: Path,
    maps: tuple[str, ...],
    identifiers: tuple[str, ...],
    exact: tuple[str, ...],
    id_column: str | None,
    source_column: str | None,
    pairs: Path | None,
    model_file: Path | None,
    prior_file: Path | None,
    save_model: Path | None,
    labels: Path | None,
    join_bits: float | None,
    report: Path | None,
    plan_only: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Links CSV, Parquet or NDJSON files with no workspace."""
    from dataclasses import asdict

    from service.link_file import Columns, Outputs, link_files, plan_files
    from service.link_file_lines import link_file_lines, plan_lines
    from service.model_files import load_model

    columns = Columns(_field_map(maps), identifiers, exact, id_column, source_column)
    model = load_model(model_file) if model_file else None
    prior = load_model(prior_file) if prior_file else None
    if plan_only:
        rules = plan_files(inputs, columns, model or prior)
        _finish([asdict(rule) for rule in rules], plan_lines(rules), as_json)
        return
    with _bar("linking") as bar:
        found = link_files(
            inputs,
            Outputs(out, pairs, report, save_model),
            columns,
            model=model,
            prior=prior,
            join_bits=join_bits,
            labels=labels,
            threads=threads,
            progress=lambda stage, done, total: bar(stage, done, total=total),
            page=_link_page if report else None,
        )
    _finish(asdict(found), link_file_lines(found, out), as_json)


def _link_page(linked: Any) -> str:
    from service.link_report import link_report

    return link_report(linked)


def _field_map(maps: tuple[str, ...]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for entry in maps:
        name, equals, columns = entry.partition("=")
        if not equals or not columns:
            raise InputError(f"--map {entry}: expected field=column")
        if name in out:
            raise InputError(f"--map {name}: given twice; join columns as {name}=one+other")
        out[name] = columns.split("+")
    return out


def _open(root: Path) -> Workspace:
    from wiring import open_workspace

    return open_workspace(root)


def _exit_if_strict(strict: bool, reports: list[Any]) -> None:
    if strict and any(r.refusals or r.counts["quarantined"] for r in reports):
        sys.exit(STRICT_EXIT)


def _finish(document: Any, lines: list[str], as_json: bool) -> None:
    if as_json:
        _print_json(document)
    else:
        click.echo("\n".join(lines))


def _print_json(document: Any) -> None:
    import msgspec

    click.echo(msgspec.json.format(msgspec.json.encode(document), indent=2).decode())


@contextmanager
def _bar(title: str) -> Iterator[Any]:
    """A progress bar on a terminal, nothing in a pipe. Gives `advance(what, by, total=None)`."""
    if not sys.stderr.isatty():
        yield lambda *_args, **_options: None
        return
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    columns = (
        TextColumn("{task.description}"),
        TextColumn("{task.completed:,.0f}"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        tasks: dict[str, Any] = {}

        def advance(what: str, by: float = 1, total: float | None = None) -> None:
            if what not in tasks:
                tasks[what] = progress.add_task(f"{title}: {what}", total=total)
            if total is None:
                progress.update(tasks[what], advance=by)
            else:
                progress.update(tasks[what], completed=by, total=total)

        yield advance


def main() -> None:
    """The console script: runs a command and maps errors to exit codes."""
    try:
        commonthread(standalone_mode=False)
    except click.exceptions.Exit as done:
        sys.exit(done.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(2)
    except (KeyboardInterrupt, click.Abort):
        click.echo("interrupted; what was committed stays, run again to go on", err=True)
        sys.exit(130)
    except CommonthreadError as error:
        click.echo(f"error: {error}", err=True)
        sys.exit(exit_code(error))
    except Exception as error:
        click.echo(_unforeseen(error), err=True)
        sys.exit(1)


def _unforeseen(error: Exception) -> str:
    """Where an unforeseen error arose. Its message may hold a person's values: it is not shown."""
    frames = traceback.extract_tb(error.__traceback__)
    places = "\n".join(f"  {frame.filename}:{frame.lineno} in {frame.name}" for frame in frames)
    return (
        f"unforeseen error: {type(error).__name__} (its message is not shown, because it may hold"
        f" a person's details)\n{places}\nWhat was committed stays; report this with these lines."
    )


if __name__ == "__main__":
    main()
