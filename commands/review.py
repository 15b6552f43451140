"""Reviewing: the queue, two records side by side, decisions; quality control of what is joined."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.common import (
    finish,
    json_option,
    opened,
    purpose_option,
    reason_option,
    record_name,
    show_json,
    show_lines,
)
from commands.lean import leave_pandas_out
from schemas.errors import CommonthreadError, InputError, NotFound

if TYPE_CHECKING:
    from service.decisions import Desk

VERDICTS = ("same", "different", "undecided")
LATER, QUIT = "later", "quit"
KEYS = {word[0]: word for word in (*VERDICTS, LATER, QUIT)}
PROMPT = "same, different, undecided, later or quit? [s/d/u/l/q] "


@contextmanager
def at_the_desk(root: Path, command: str, purpose: str | None) -> Iterator[Desk]:
    """The open store with all that somebody who decides needs. Raises: InputError: no model yet."""
    leave_pandas_out()
    from service.decisions import Desk
    from service.model_files import load_model
    from wiring import clock

    workspace = opened(root)
    if not workspace.model_file.exists():
        raise InputError("nothing is linked yet: run `commonthread link` first")
    model = load_model(workspace.model_file)
    with workspace.store() as store:
        yield Desk(store, workspace.settings, model, workspace.actor(command, purpose), clock)


@click.group()
def review() -> None:
    """What the linkage cannot settle by itself: look, decide, check."""


@review.command("list")
@click.option("--limit", type=click.IntRange(1), default=20, show_default=True)
@click.option("--kind", default=None, help="Only tasks of this kind.")
@json_option
@purpose_option
@click.pass_obj
def review_list(
    root: Path, limit: int, kind: str | None, as_json: bool, purpose: str | None
) -> None:
    """The open tasks, most consequential first."""
    from service.review import list_tasks
    from service.review_lines import task_lines

    with at_the_desk(root, "review-list", purpose) as desk:
        found = list_tasks(desk, limit, kind)
    finish(found, task_lines(found), as_json)


@review.command("show")
@click.argument("task")
@json_option
@purpose_option
@click.pass_obj
def review_show(root: Path, task: str, as_json: bool, purpose: str | None) -> None:
    """The two records of a task side by side. The beginning of its name is enough."""
    _show(root, task, as_json, purpose)


@review.command("next")
@click.option("--kind", default=None, help="The first of this kind.")
@click.option(
    "--answer", "answering", is_flag=True, help="Answer it with one key, then see the following."
)
@json_option
@purpose_option
@click.pass_obj
def review_next(
    root: Path, kind: str | None, answering: bool, as_json: bool, purpose: str | None
) -> None:
    """The most consequential task, side by side."""
    if not answering:
        _show(root, None, as_json, purpose, kind)
        return
    if as_json:
        raise InputError("--answer is for reading; with --json call `review decide`")
    answer_each(root, kind, purpose)


def _show(
    root: Path, task: str | None, as_json: bool, purpose: str | None, kind: str | None = None
) -> None:
    from service.review import show_task
    from service.review_lines import shown_lines

    with at_the_desk(root, "review-show", purpose) as desk:
        shown = show_task(desk, task, kind)
    finish(shown, shown_lines(shown), as_json)


def answer_each(root: Path, kind: str | None, purpose: str | None) -> None:
    """Shows task after task and writes each answer at once, as the commands `next` and `decide`
    would: who may, and what stands, is asked anew each time."""
    from schemas.decisions import Verdict
    from service.review import answer, show_task
    from service.review_lines import decided_lines, shown_lines

    later: set[str] = set()
    answered = 0
    while True:
        try:
            with at_the_desk(root, "review-show", purpose) as desk:
                shown = show_task(desk, None, kind, later)
        except NotFound as none:
            if not answered and not later:
                raise
            click.echo(str(none))
            break
        show_lines(["", *shown_lines(shown, command=False), ""])
        verdict, reason = _asked()
        if verdict == QUIT:
            break
        if verdict == LATER:
            later.add(shown["task"])
            continue
        try:
            with at_the_desk(root, "review-decide", purpose) as desk:
                done = answer(desk, shown["task"], Verdict(verdict), reason)
        except CommonthreadError as refused:
            click.echo(f"error: {refused}", err=True)
            later.add(shown["task"])
            continue
        answered += 1
        click.echo(decided_lines(done)[0])
    click.echo(f"{answered:,} answered, {len(later):,} left for later")


def _asked() -> tuple[str, str]:
    """A verdict, `LATER` or `QUIT`, and the reason of a verdict. No reason: the key is asked again,
    so that a slip of the finger is taken back."""
    while True:
        click.echo(PROMPT, nl=False)
        verdict = KEYS.get(_key())
        click.echo(verdict or "")
        if verdict in (LATER, QUIT):
            return verdict, ""
        if verdict:
            click.echo("reason (none: choose again): ", nl=False)
            line = sys.stdin.readline()
            if line.strip():
                return verdict, line.strip()
            if not line:
                return QUIT, ""


def _key() -> str:
    """One key of a terminal, or how a line of a pipe begins; at the end, the key of `QUIT`."""
    if sys.stdin.isatty():
        try:
            return click.getchar().lower()
        except EOFError:
            return "q"
    line = sys.stdin.readline()
    return line.strip().lower()[:1] if line else "q"


@review.command("decide")
@click.argument("task")
@click.argument("verdict", type=click.Choice(VERDICTS))
@reason_option
@click.option("--next", "and_next", is_flag=True, help="Then show the next task.")
@json_option
@purpose_option
@click.pass_obj
def review_decide(
    root: Path,
    task: str,
    verdict: str,
    reason: str,
    and_next: bool,
    as_json: bool,
    purpose: str | None,
) -> None:
    """Decides a task: the two records are one person, two, or not to be told apart."""
    from schemas.decisions import Verdict
    from service.review import answer, show_task
    from service.review_lines import decided_lines, shown_lines

    if and_next and as_json:
        raise InputError("--next is for reading; with --json call `review next` after it")
    with at_the_desk(root, "review-decide", purpose) as desk:
        answered = answer(desk, task, Verdict(verdict), reason)
        shown = show_task(desk) if and_next and answered.left else None
    lines = decided_lines(answered)
    if shown:
        lines += ["", *shown_lines(shown)]
    finish(answered.document, lines, as_json)


@review.command("revoke")
@click.argument("decision", type=int)
@reason_option
@json_option
@purpose_option
@click.pass_obj
def review_revoke(
    root: Path, decision: int, reason: str, as_json: bool, purpose: str | None
) -> None:
    """Ends a decision, with all that was decided in one go with it."""
    from service.decisions import revoke

    with at_the_desk(root, "review-revoke", purpose) as desk:
        ended = [one.decision_id for one in revoke(desk, decision, reason)]
    told = ", ".join(str(one) for one in ended)
    finish({"ended": ended}, [f"ended: {told}; the next link goes without"], as_json)


@review.command("decisions")
@click.argument("record", required=False)
@click.option("--limit", type=click.IntRange(1), default=50, show_default=True)
@json_option
@purpose_option
@click.pass_obj
def review_decisions(
    root: Path, record: str | None, limit: int, as_json: bool, purpose: str | None
) -> None:
    """What was decided, newest first: all, or about one record (SOURCE/LOCAL_ID)."""
    from service.review import list_decisions
    from service.review_lines import decision_lines

    named = record_name(record) if record else None
    with at_the_desk(root, "review-decisions", purpose) as desk:
        rows = list_decisions(desk, limit, named)
    finish(rows, decision_lines(rows), as_json)


@review.command("sample")
@click.option("--size", type=click.IntRange(1, 10_000), default=100, show_default=True)
@click.option("--seed", type=click.IntRange(0), default=None, help="The same draw again.")
@json_option
@purpose_option
@click.pass_obj
def review_sample(
    root: Path, size: int, seed: int | None, as_json: bool, purpose: str | None
) -> None:
    """Draws joined pairs, near the threshold and far from it, as tasks of quality control."""
    from dataclasses import asdict
    from secrets import randbits

    from service.quality_control import draw
    from service.review_lines import drawn_lines

    with at_the_desk(root, "review-sample", purpose) as desk:
        drawn = draw(desk, size, randbits(32) if seed is None else seed)
    finish([asdict(one) for one in drawn], drawn_lines(drawn), as_json)


@review.command("agreement")
@json_option
@purpose_option
@click.pass_obj
def review_agreement(root: Path, as_json: bool, purpose: str | None) -> None:
    """How reviewers agree, and the precision that their judgements show."""
    from service.quality_control import agreement
    from service.review_lines import agreement_lines

    with at_the_desk(root, "review-agreement", purpose) as desk:
        found: Any = agreement(desk)
    if as_json:
        show_json(found.document)
    else:
        show_lines(agreement_lines(found))
