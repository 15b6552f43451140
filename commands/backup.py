"""Backup, restore, and the erasure of a record."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.common import (
    NEW_FILE,
    finish,
    json_option,
    opened,
    purpose_option,
    reason_option,
    record_name,
)
from commands.persons import person
from schemas.errors import InputError

if TYPE_CHECKING:
    from service.access import Actor
    from wiring import Workspace

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.group(invoke_without_command=True)
@click.option("--out", type=_FOLDER, help="Folder for database, settings and models; made.")
@click.option("--keys", type=_FOLDER, help="Folder for the keys, elsewhere; made.")
@json_option
@purpose_option
@click.pass_context
def backup(
    context: click.Context, out: Path | None, keys: Path | None, as_json: bool, purpose: str | None
) -> None:
    """Saves the workspace while it is in use: whole, or not at all; the keys apart from it."""
    if context.invoked_subcommand is not None:
        return
    from service.backup import backup as use
    from wiring import clock

    if out is None:
        raise click.UsageError("expected --out DIR, or `backup verify DIR`")
    root: Path = context.obj
    workspace = opened(root)
    with workspace.store() as store:
        made = use(store, root, workspace.actor("backup", purpose), out, keys, clock)
    lines = [f"{out}: {sum(made['rows'].values()):,} rows, run {made['run']}, {made['made_at']}"]
    lines.append(
        f"{keys}: the keys; keep them apart from {out.name}, and as long as that"
        if keys
        else "the keys were NOT saved: without them nobody can read this backup; see --keys"
    )
    finish(made, lines, as_json)


@backup.command("verify")
@click.argument("folder", type=_FOLDER)
@click.option("--keys", type=_FOLDER, help="Also check that these keys and it belong together.")
@json_option
def backup_verify(folder: Path, keys: Path | None, as_json: bool) -> None:
    """Checks that every file of a backup is whole."""
    from service.backup import verify
    from wiring import saved_keys

    manifest = verify(folder, keys, saved_keys)
    checked = "and belongs to these keys" if keys else "but whose keys it needs was not checked"
    line = f"{folder}: whole, of {manifest['made_at']}, {checked}"
    finish(manifest | {"keys_checked": keys is not None}, [line], as_json)


@click.command()
@click.option("--from", "folder", type=_FOLDER, required=True, help="A backup.")
@click.option("--keys", type=_FOLDER, required=True, help="The keys saved with it.")
@click.option("--into", type=_FOLDER, help="The workspace to make; else that of --workspace.")
@click.option(
    "--erasures",
    type=_FOLDER,
    multiple=True,
    help="Newer saved keys: what they say was erased since is erased again. Repeat.",
)
@click.option(
    "--settings",
    "settings_file",
    type=NEW_FILE,
    help="Settings other than those saved, for instance for another database.",
)
@click.option("--replace", is_flag=True, help="Replace the workspace that is there.")
@json_option
@purpose_option
@click.pass_obj
def restore(
    root: Path,
    folder: Path,
    keys: Path,
    into: Path | None,
    erasures: tuple[Path, ...],
    settings_file: Path | None,
    replace: bool,
    as_json: bool,
    purpose: str | None,
) -> None:
    """Brings a workspace back as it was saved, but for what was erased since."""
    from schemas.settings_file import parse_settings
    from service.backup import FILES, Restore, complete, interrupted, verify
    from service.backup import restore as use
    from wiring import SETTINGS_FILE, Workspace, clock, saved_keys

    target = into or root
    manifest = verify(folder, keys, saved_keys)
    source = settings_file or folder / FILES / SETTINGS_FILE
    text = _text_of(source)
    made = Workspace(target, parse_settings(text, str(source)))
    asked = opened(target) if (target / SETTINGS_FILE).exists() else made
    actor = asked.actor("restore", purpose)
    _refuse_if_not_permitted(asked, target, actor)
    target.mkdir(mode=0o700, parents=True, exist_ok=True)
    with asked.exclusive():
        url = interrupted(target)
        done = complete(target, made.landing(url)) if url is not None else None
        if done != manifest["backup"]:
            plan = Restore(folder, keys, target, erasures, text, replace or done is not None)
            use(plan, actor, made.landing(), saved_keys, clock)
        made.make_folders()
    lines = [
        f"{target}: as it was at {manifest['made_at']}, run {manifest['run']}, without what was"
        " erased since",
        "feeds that came later are read again by the next night, where they still lie in the inbox",
    ]
    finish(manifest, lines, as_json)


def _text_of(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{path}: cannot be read as UTF-8 text") from None


def _refuse_if_not_permitted(workspace: Workspace, target: Path, actor: Actor) -> None:
    """A refusal is written down where there is a log to write it to."""
    from consent.commands import Action, decide
    from service.access import permit
    from service.backup import interrupted
    from wiring import SETTINGS_FILE, clock

    permitted = decide(actor.role, Action.RESTORE, actor.purpose).permitted
    if permitted or not (target / SETTINGS_FILE).exists() or interrupted(target) is not None:
        return
    with workspace.store() as store:
        permit(actor, Action.RESTORE, store, clock)


@person.command("erase")
@click.argument("record")
@reason_option
@click.option(
    "--allow-return", is_flag=True, help="A later feed may bring it back; also lifts that of one."
)
@json_option
@purpose_option
@click.pass_obj
def person_erase(
    root: Path, record: str, reason: str, allow_return: bool, as_json: bool, purpose: str | None
) -> None:
    """Erases one record (SOURCE/LOCAL_ID) for ever, on instruction."""
    from service.erasing import erase_record, erased_document, erased_lines
    from wiring import clock

    named = record_name(record)
    workspace = opened(root)
    with workspace.exclusive(), workspace.store() as store:
        actor = workspace.actor("person-erase", purpose)
        done = erase_record(store, actor, named, reason, clock, may_return=allow_return)
    finish(erased_document(done), erased_lines(done), as_json)
