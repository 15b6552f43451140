"""The batch: ingest, link, nightly; the model behind it: train, evaluate."""

from __future__ import annotations

from pathlib import Path

import click

from commands.common import (
    HELD_FILE,
    NEW_FILE,
    exit_if_strict,
    finish,
    json_option,
    opened,
    progress_bar,
    purpose_option,
    report_option,
    show_json,
    show_lines,
    strict_option,
)


@click.command()
@click.argument("sources", nargs=-1)
@json_option
@strict_option
@purpose_option
@click.pass_obj
def ingest(
    root: Path, sources: tuple[str, ...], as_json: bool, strict: bool, purpose: str | None
) -> None:
    """Reads what is new in the inbox: all sources, or those named."""
    from commands.lean import leave_pandas_out

    leave_pandas_out()
    from consent.commands import Action
    from service.access import permit, record
    from service.ingest import ingest as run
    from service.summary import ingest_document, ingest_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.exclusive(), workspace.store() as store, progress_bar("reading") as bar:
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
        record(
            actor, Action.INGEST, store, clock, read=sum(r.read for r in reports),
            identity_changes=sum(r.identity_changes for r in reports),
        )  # fmt: skip
    finish(ingest_document(reports), ingest_lines(reports), as_json)
    exit_if_strict(strict, reports)


@click.command()
@click.option(
    "--full", is_flag=True, help="Link from nothing, and compare with what the changes alone give."
)
@click.option("--approve", type=click.IntRange(1), default=None, help="Publish this held run.")
@click.option("--shadow", is_flag=True, help="Only say what a full link would change.")
@click.option(
    "--model",
    "model_file",
    type=HELD_FILE,
    help="With --shadow: under this model.",
)
@json_option
@purpose_option
@click.pass_obj
def link(
    root: Path,
    full: bool,
    approve: int | None,
    shadow: bool,
    model_file: Path | None,
    as_json: bool,
    purpose: str | None,
) -> None:
    """Brings the persons up to date with the records."""
    if full + shadow + (approve is not None) > 1:
        raise click.UsageError("choose one of --full, --approve and --shadow")
    if model_file is not None and not shadow:
        raise click.UsageError("--model is for --shadow; `train` gives a workspace another model")
    if shadow:
        _shadow(root, model_file, as_json, purpose)
    elif approve is not None:
        _approve(root, approve, as_json, purpose)
    else:
        _link(root, full, as_json, purpose)


def _approve(root: Path, run: int, as_json: bool, purpose: str | None) -> None:
    """Publishes a held run."""
    from consent.commands import Action
    from service.access import failure_recorded, permit, record
    from service.held import approve_run
    from service.summary import link_document, link_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.exclusive(), workspace.store() as store:
        actor = workspace.actor("link-approve", purpose)
        permit(actor, Action.LINK_APPROVE, store, clock)
        with failure_recorded(actor, Action.LINK_APPROVE, store, clock, approved=run):
            report = approve_run(
                store,
                run,
                clock,
                lambda: record(actor, Action.LINK_APPROVE, store, clock, approved=run),
                by=actor,
            )
    finish(link_document(report), link_lines(report), as_json)


def _shadow(root: Path, model_file: Path | None, as_json: bool, purpose: str | None) -> None:
    """Says what a full link would change."""
    from consent.commands import Action
    from service.access import permit, record
    from service.held import shadow_run
    from service.model_files import load_model
    from service.run_lines import difference_lines
    from wiring import clock

    workspace = opened(root)
    model = load_model(model_file) if model_file else None
    with workspace.store() as store, progress_bar("linking") as bar:
        actor = workspace.actor("link-shadow", purpose)
        permit(actor, Action.LINK_SHADOW, store, clock)
        found = shadow_run(
            store,
            workspace.settings,
            workspace.model_file,
            model=model,
            progress=lambda stage, done, total: bar(stage, done, total=total),
        )
        record(actor, Action.LINK_SHADOW, store, clock, joined=found.joined, split=found.split)
    finish(found.document, difference_lines(found.document), as_json)


def _link(root: Path, full: bool, as_json: bool, purpose: str | None) -> None:
    """Links and publishes."""
    from commands.lean import leave_pandas_out

    leave_pandas_out()
    from consent.commands import Action
    from service.access import failure_recorded, permit, record
    from service.linking import link_records
    from service.summary import link_document, link_lines
    from wiring import clock

    workspace = opened(root)
    with workspace.exclusive(), workspace.store() as store, progress_bar("linking") as bar:
        actor = workspace.actor("link", purpose)
        permit(actor, Action.LINK, store, clock)
        with failure_recorded(actor, Action.LINK, store, clock):
            report = link_records(
                store,
                workspace.settings,
                workspace.model_file,
                clock,
                full=full,
                progress=lambda stage, done, total: bar(stage, done, total=total),
                by=actor,
            )
        record(actor, Action.LINK, store, clock, run=report.run_id)
    finish(link_document(report), link_lines(report), as_json)


@click.command()
@json_option
@strict_option
@purpose_option
@click.pass_obj
def nightly(root: Path, as_json: bool, strict: bool, purpose: str | None) -> None:
    """The main job: ingest, link, publish, report. Safe to run again after any crash."""
    from commands.lean import leave_pandas_out

    leave_pandas_out()
    from consent.commands import Action
    from service.access import permit
    from service.audit_reports_nightly import deliver
    from service.audit_unseen import detect_where_due
    from service.nightly import nightly as run
    from service.report import write_report
    from service.summary import nightly_document, nightly_lines
    from wiring import clock, report_desk

    workspace = opened(root)
    with workspace.exclusive(), workspace.store() as store, progress_bar("nightly") as bar:
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
        report.late += workspace.witnesses_asked(store, actor)
        detect_where_due(store, workspace.settings, actor, clock)
        page = write_report(workspace.reports, workspace.settings, report, clock())
        delivered = deliver(
            store, workspace.settings, clock(), root,
            lambda: report_desk(workspace, store, actor, verify=False),
        )  # fmt: skip
        report.late += delivered.notices
    finish(nightly_document(report, page), nightly_lines(report, page), as_json)
    exit_if_strict(strict, report.sources)


@click.command()
@click.option(
    "--prior",
    "prior_file",
    type=HELD_FILE,
    help="A model to train from in the place of the shipped one.",
)
@report_option
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

    workspace = opened(root)
    check_outputs([], [], others=[report] if report else [])
    with workspace.exclusive(), workspace.store() as store:
        actor = workspace.actor("train", purpose)
        permit(actor, Action.TRAIN, store, clock)
        prior = load_model(prior_file) if prior_file else None
        found = train_workspace(store, workspace.settings, workspace.model_file, prior=prior)
        record(actor, Action.TRAIN, store, clock, records=found.records)
    if report:
        write_text(train_page(found), report)
    finish(train_document(found), train_lines(found), as_json)


@click.command()
@click.option("--truth", type=NEW_FILE)
@report_option
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

    workspace = opened(root)
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
        show_json(asdict(found))
    else:
        show_lines(evaluation_lines(found))
