"""What the commands share: options, opening a workspace, how an answer is printed.

Rules:
- With --json, standard output holds one JSON document and nothing else; people read standard error.
- Progress bars show on a terminal only.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from schemas.errors import InputError
from schemas.visible import visible, visible_lines

if TYPE_CHECKING:
    from wiring import Workspace


STRICT_EXIT = 11
"""Exit code of a run that ended well but quarantined or refused something, under --strict."""


NEW_FILE = click.Path(path_type=Path, dir_okay=False)
"""A file that may not be there yet: an output, or one whose own reader says what is wrong."""
HELD_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)
"""A file that must be there."""

json_option = click.option("--json", "as_json", is_flag=True, help="One JSON document on stdout.")
purpose_option = click.option("--purpose", help="Why you look; a default stands in the settings.")
strict_option = click.option(
    "--strict", is_flag=True, help=f"Exit {STRICT_EXIT} if anything was quarantined or refused."
)
reason_option = click.option("--reason", required=True, help="Why, in a few words; kept sealed.")
report_option = click.option("--report", type=NEW_FILE, help="An HTML page with charts.")


def opened(root: Path) -> Workspace:
    """The workspace in this folder. Raises: WorkspaceMissing, SettingsError."""
    from wiring import open_workspace

    return open_workspace(root)


def exit_if_strict(strict: bool, reports: list[Any]) -> None:
    """Ends with STRICT_EXIT where it was asked for and something was quarantined or refused."""
    if strict and any(r.refusals or r.counts["quarantined"] for r in reports):
        sys.exit(STRICT_EXIT)


def finish(document: Any, lines: list[str], as_json: bool) -> None:
    """The answer on standard output: one JSON document, or lines for people."""
    if as_json:
        show_json(document)
    else:
        show_lines(lines)


def show_lines(lines: Iterable[str]) -> None:
    """Lines for people; what somebody typed cannot make two lines of one."""
    click.echo("\n".join(map(visible, lines)))


def show_json(document: Any) -> None:
    """One JSON document on standard output."""
    import msgspec

    text = msgspec.json.format(msgspec.json.encode(document), indent=2).decode()
    click.echo(visible_lines(text))


@contextmanager
def progress_bar(title: str) -> Iterator[Any]:
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


def record_name(text: str) -> tuple[str, str]:
    """SOURCE/LOCAL_ID as its two parts. Raises: InputError."""
    source, slash, local_id = text.partition("/")
    if not slash or not source or not local_id:
        raise InputError(
            "a record is named SOURCE/LOCAL_ID, such as hospice/H-17: a source, a slash, and the id"
            " that it has there"
        )
    return source, local_id
