"""The command line: the program, its commands, and how errors end.

Rules:
- The commands stand in one literal table, by name.
- A module of commands imports what is heavy inside each command, so that --help is quick.
- Every error raised on purpose ends in its exit code (schemas/errors.py); messages and tracebacks
  show no person's value.
"""

from __future__ import annotations

import gc
import sys
import traceback
from pathlib import Path

import click

from commands import (
    audit_alerts,  # noqa: F401 - adds to the group `audit`
    audit_keep,  # noqa: F401 - likewise
    audit_log,  # noqa: F401 - adds to the group `audit`
    audit_reports,  # noqa: F401 - adds to the group `audit`
    corrections,  # noqa: F401 - adds to the group `person`
)
from commands.audit import audit
from commands.backup import backup, restore
from commands.common import STRICT_EXIT
from commands.linkfile import link_file
from commands.listen import listen
from commands.match import match
from commands.nightly import evaluate, ingest, link, nightly, train
from commands.persons import explain, person, quarantine
from commands.review import review
from commands.serve import serve, token
from commands.sharing import agreement, break_glass, consent
from commands.source import source
from commands.workspace import demo, init
from commands.written import write_failures
from schemas.errors import CommonthreadError, exit_code
from schemas.visible import visible_lines

__all__ = ["COMMANDS", "STRICT_EXIT", "commonthread", "main"]

_COLLECT_AFTER = 50_000
"""Allocations between two looks of the garbage collector."""
COMMANDS: tuple[click.Command, ...] = (
    agreement,
    audit,
    backup,
    break_glass,
    consent,
    demo,
    evaluate,
    explain,
    ingest,
    init,
    link,
    link_file,
    listen,
    match,
    nightly,
    person,
    quarantine,
    restore,
    review,
    serve,
    source,
    token,
    train,
)


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


for _command in COMMANDS:
    write_failures(_command)
    commonthread.add_command(_command)


def main() -> None:
    """The console script: runs a command and maps errors to exit codes."""
    # What a command brings in are many objects that stay: the collector need not go through them.
    gc.set_threshold(_COLLECT_AFTER, 20, 20)
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
        click.echo(visible_lines(f"error: {error}"), err=True)
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
