"""Proving the log: status, verify, prove, bundle, checkpoint, keys, mend; and being a witness."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commands.audit import audit
from commands.common import (
    HELD_FILE,
    NEW_FILE,
    STRICT_EXIT,
    finish,
    json_option,
    opened,
    purpose_option,
)
from schemas.errors import AuditBroken, InputError, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from consent.commands import Action
    from service.access import Actor
    from service.audit_log import AuditLog
    from service.audit_witness import WitnessState
    from store.sql_store import SqlStore
    from wiring import Workspace

held_option = click.option(
    "--held", multiple=True, type=HELD_FILE, help="A checkpoint that was kept elsewhere; repeat."
)


class Desk:
    """An opened log, and who asks."""

    def __init__(self, root: Path, action: Action, purpose: str | None, store: SqlStore) -> None:
        from service.access import permit
        from wiring import clock

        self.workspace: Workspace = opened(root)
        self.action, self.store, self.clock = action, store, clock
        self.actor: Actor = self._asker(purpose)
        permit(self.actor, action, store, clock)
        self.log: AuditLog = self.workspace.log(store)

    def _asker(self, purpose: str | None) -> Actor:
        """Who asks; an IG officer's default purpose is audit."""
        name, settings = self.action.value, self.workspace.settings
        actor = self.workspace.actor(name, purpose)
        if purpose is None and name not in settings.default_purpose and actor.role == "ig_officer":
            return self.workspace.actor(name, "audit")
        return actor

    def written(self, **details: Any) -> None:
        """Writes down what was done."""
        from service.access import record

        record(self.actor, self.action, self.store, self.clock, **details)


@contextmanager
def _desk(root: Path, action: str, purpose: str | None) -> Iterator[Desk]:
    from consent.commands import Action

    with opened(root).store() as store:
        yield Desk(root, Action(action), purpose, store)


# --- how it stands -----------------------------------------------------------------------------


@audit.command()
@click.option(
    "--strict",
    is_flag=True,
    help=f"Exit {STRICT_EXIT} if something is wrong with a witness or the second journal.",
)
@json_option
@purpose_option
@click.pass_obj
def status(root: Path, strict: bool, as_json: bool, purpose: str | None) -> None:
    """How far the log is signed, and how it stands with its witnesses."""
    from service.audit_witness import ALARMS, states_written

    with _desk(root, "audit-status", purpose) as desk:
        signed, events = desk.log.size(), desk.store.event_count()
        settings = desk.workspace.settings.audit
        found = states_written(desk.store, desk.log, settings, desk.clock())
        desk.written(signed=signed, unsigned=events - signed)
        keys = [key.verifier.vkey() for key in desk.log.keys.listed() if key.signs]
        left = desk.store.journal_told()
        document = {
            "origin": desk.log.origin, "signed": signed, "unsigned": events - signed,
            "keys": keys, "journal": left, "witnesses": [one.document() for one in found],
        }  # fmt: skip
    lines = [
        f"{desk.log.origin}: {signed:,} entries signed, {events - signed:,} not yet",
        *(f"key      {key}" for key in keys),
        *(f"journal  {name}: not all of it came in; see docs/audit-log.md" for name in left),
        *_witness_lines(found),
    ]
    finish(document, lines, as_json)
    if strict and (left or any(one.trouble in ALARMS for one in found)):
        sys.exit(STRICT_EXIT)


def _witness_lines(found: Sequence[WitnessState]) -> Iterator[str]:
    for one in found:
        last = f"{one.size:,} entries at {one.document()['time']}" if one.time else "nothing yet"
        yield f"witness  {one.name}: signed {last}"
        if one.trouble:
            its = "" if one.told is None else f" ({one.told:,} entries there)"
            yield f"  ALARM  {one.trouble.value}{its}"
    if not found:
        yield "witness  none: nobody else could tell if the log were written anew"


@audit.command()
@held_option
@json_option
@purpose_option
@click.pass_obj
def verify(root: Path, held: tuple[Path, ...], as_json: bool, purpose: str | None) -> None:
    """Checks the whole log: signatures, tiles, entries, payloads, what stands in clear."""
    from audit.events import EventOutcome
    from service.audit_verify import verified_lines
    from service.audit_verify import verify as check
    from service.audit_witness import witness_keys

    with _desk(root, "audit-verify", purpose) as desk:
        settings = desk.workspace.settings.audit
        if not (desk.workspace.log_folder / "checkpoint").exists():
            desk.log.publish()  # a log that is new: nothing was signed yet that could be checked
        keys = (*_log_keys(desk.log), *witness_keys(settings))
        kept = [(path.name, path.read_bytes()) for path in held]
        found = check(desk.workspace.log_folder, desk.store, keys, kept)
        ended = EventOutcome.PERMITTED if found.sound else EventOutcome.FAILED
        desk.written(outcome=ended, checked=found.log.checked, faults=len(found.faults()))
    finish(found.document(), verified_lines(found), as_json)
    if not found.sound:
        raise AuditBroken(
            f"the audit log is not sound: {len(found.faults())} fault(s). Change nothing, keep a"
            ' copy of the log folder and the database, and see "When a check finds a fault" in'
            " docs/audit-log.md"
        )


def _log_keys(log: AuditLog) -> list[Any]:
    from audit.verifier import verifier_key

    return [verifier_key(key.vkey()) for key in log.verifiers()]


# --- proofs for others -------------------------------------------------------------------------


@audit.command()
@click.argument("leaf", type=click.IntRange(0))
@click.option("--out", type=NEW_FILE, required=True, help="The proof: a JSON file.")
@json_option
@purpose_option
@click.pass_obj
def prove(root: Path, leaf: int, out: Path, as_json: bool, purpose: str | None) -> None:
    """The proof that an entry is in the log; it says nothing of what the event was."""
    from service.audit_bundle import write_proofs

    with _desk(root, "audit-prove", purpose) as desk:
        desk.log.publish()
        done = write_proofs(out, desk.log, [leaf])
        desk.written(leaves=[[leaf, leaf]])
    document = {"leaf": leaf, "size": done.size, "sha256": done.sha256}
    finish(document, [f"{out}: leaf {leaf} of {done.size:,} entries"], as_json)


@audit.command()
@click.option("--out", type=NEW_FILE, required=True, help="A file: .json, or .zip for many events.")
@click.option("--person", help="Events about this person.")
@click.option("--actor", help="Events of this account or member of staff.")
@click.option("--organisation", help="Events of those who asked for this organisation (ODS code).")
@click.option("--since", help="From this moment (a date, or a time in UTC).")
@click.option("--until", help="To before this moment.")
@click.option("--leaf", "leaves", multiple=True, type=click.IntRange(0), help="This one; repeat.")
@held_option
@json_option
@purpose_option
@click.pass_obj
def bundle(
    root: Path, /, out: Path, held: tuple[Path, ...], leaves: tuple[int, ...], as_json: bool,
    purpose: str | None, **asked: str | None,
) -> None:  # fmt: skip
    """Events with the proof that they are in the log, for somebody who has no access here."""
    from service.audit_bundle import Wanted, query_of, write_bundle

    query = query_of(**asked)
    if not leaves and not any(asked.values()):
        raise click.UsageError("say which events: --person, --actor, --since, --leaf, …")
    if leaves and any(asked.values()):
        raise click.UsageError(
            "--leaf names events one by one; the other options do not go with it"
        )
    with _desk(root, "audit-bundle", purpose) as desk:
        desk.log.publish()
        said = [name for name, value in asked.items() if value]
        wanted = Wanted(query, leaves, [path.read_bytes() for path in held], said)
        done = write_bundle(out, desk.log, desk.store, desk.actor, desk.clock, wanted)
    document = {
        "events": done.events, "unsigned": done.unsigned, "size": done.size,
        "leaves": done.leaves, "sha256": done.sha256,
    }  # fmt: skip
    lines = [f"{out}: {done.events:,} events, proven in a log of {done.size:,} entries"]
    if not done.events + done.unsigned:
        lines.append("no event is like that: there is nothing in it")
    if done.unsigned:
        lines.append(f"{done.unsigned:,} are not signed yet and not in it; ask again in a second")
    finish(document, lines, as_json)


# --- checkpoints, keys, files ------------------------------------------------------------------


@audit.command()
@click.option("--out", type=NEW_FILE, help="Also writes the checkpoint to this file.")
@click.option("--ask", "witness", help="Writes to --out what is to be carried to this witness.")
@click.option("--add", "signed", type=HELD_FILE, help="What a witness signed by hand.")
@json_option
@purpose_option
@click.pass_obj
def checkpoint(
    root: Path, out: Path | None, witness: str | None, signed: Path | None, as_json: bool,
    purpose: str | None,
) -> None:  # fmt: skip
    """Has the log signed as it is now, asks the witnesses, and prints the checkpoint."""
    from service.audit_witness import add_by_hand, request_by_hand
    from service.model_files import write_whole

    if witness is not None and out is None:
        raise click.UsageError("--ask needs --out FILE")
    with _desk(root, "audit-checkpoint", purpose) as desk:
        settings = desk.workspace.settings.audit
        added = add_by_hand(desk.log, settings, signed.read_bytes()) if signed else []
        found = desk.workspace.ask_witnesses(desk.store, desk.log, desk.actor)
        size = desk.log.size()
        note = desk.log.witnessed(size) or desk.log.note()
        who = sorted({*added, *(one.name for one in found if one.size == size)})
        if out is not None:
            write_whole(out, request_by_hand(desk.log, settings, witness) if witness else note)
        desk.written(signed=size, witnesses=who)
    document = {
        "size": size, "checkpoint": note.decode(),
        "witnesses": [one.document() for one in found],
    }  # fmt: skip
    finish(document, [*note.decode().split("\n"), *_witness_lines(found)], as_json)


@audit.group()
def keys() -> None:
    """The keys that sign the log."""


@keys.command("list")
@json_option
@purpose_option
@click.pass_obj
def list_keys(root: Path, as_json: bool, purpose: str | None) -> None:
    """Every key that ever signed the log."""
    with _desk(root, "audit-keys", purpose) as desk:
        desk.written(step="list")
        rows = [
            {"number": key.number, "signs": key.signs, "key": key.verifier.vkey()}
            for key in desk.log.keys.listed()
        ]
    lines = [
        f"{r['number']:>3}  {'signs  ' if r['signs'] else 'retired'}  {r['key']}" for r in rows
    ]
    finish(rows, lines, as_json)


@keys.command()
@json_option
@purpose_option
@click.pass_obj
def rotate(root: Path, as_json: bool, purpose: str | None) -> None:
    """A new key, which signs beside the present ones until they are retired."""
    _change_keys(root, None, as_json, purpose)


@keys.command()
@click.argument("number", type=click.IntRange(1))
@json_option
@purpose_option
@click.pass_obj
def retire(root: Path, number: int, as_json: bool, purpose: str | None) -> None:
    """Destroys a key's private half: it signs no more, what it signed stays good."""
    _change_keys(root, number, as_json, purpose)


def _change_keys(root: Path, number: int | None, as_json: bool, purpose: str | None) -> None:
    """A new key, or one retired; what is signed bears it at once."""
    with _desk(root, "audit-keys", purpose) as desk:
        kept = desk.log.keys
        desk.log.publish()
        try:
            key = kept.add() if number is None else kept.retire(number)
        except StoreError:
            signing = [one.number for one in kept.listed() if one.signs]
            if number is not None and number not in signing:
                # Its private half has gone, and may still be in the keystore's own log.
                desk.written(step="retire", number=number, left="in the keystore's log")
            raise
        step, line = "rotate" if number is None else "retire", key.verifier.vkey()
        desk.written(step=step, number=key.number, key=key.verifier.key_id.hex())
        desk.log.publish()
    told = "signs from now on; give it to witnesses and auditors" if number is None else "retired"
    document = {"number": key.number, "signs": key.signs, "key": line}
    finish(document, [f"key {key.number} {told}:", line], as_json)


@audit.command()
@json_option
@purpose_option
@click.pass_obj
def mend(root: Path, as_json: bool, purpose: str | None) -> None:
    """Writes lost or damaged files of the log anew, where the database gives the signed root; and
    tries again what the second journal could not bring in."""
    with _desk(root, "audit-mend", purpose) as desk:
        came, left = desk.store.retry_journal(), desk.store.journal_told()
        files = desk.log.mend()
        desk.written(files=files, journal_events=came, journal_left=len(left))
    lines = [f"{files} files were missing or wrong, and are right now"]
    lines += [f"{came} events came in from the second journal"] if came else []
    lines += [f"journal  {name}: not all of it comes in; see docs/audit-log.md" for name in left]
    finish({"files": files, "journal_events": came, "journal": left}, lines, as_json)


# --- being a witness ---------------------------------------------------------------------------


@audit.command()
@click.option("--new-key", "name", help="Makes a key of this name, and ends.")
@click.option("--key", type=NEW_FILE, required=True, help="The file of the witness's key.")
@click.option("--state", type=NEW_FILE, help="The file of what was signed last.")
@click.option("--log", "logs", multiple=True, help="A verifier key of a log, or a file of them.")
@click.option("--origin", help="The log's name, where its keys bear another.")
@click.option("--cosign", type=HELD_FILE, help="Answers the one request in this file, and ends.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8100, show_default=True, type=click.IntRange(0, 65_535))
def witness(
    name: str | None, key: Path, state: Path | None, logs: tuple[str, ...], origin: str | None,
    cosign: Path | None, host: str, port: int,
) -> None:  # fmt: skip
    """Watches another organisation's log and signs what only ever grew. Needs no workspace."""
    import time

    from audit.witness import Witness, log_keys, read_key
    from web.witness import answer_by_hand, make_key, serve_witness, state_file

    if name is not None:
        click.echo(make_key(key, name))
        return
    if state is None or not logs:
        raise click.UsageError("a witness needs --state FILE and --log KEY")
    lines = [line for one in logs for line in _lines_of(one)]
    try:
        own = read_key(key.read_text("ascii"))
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{key}: not to be read; make one with --new-key") from None
    with state_file(state) as kept:
        standing = Witness(own, log_keys(lines, origin), kept, time.time)
        if cosign is None:
            serve_witness(standing, host, port)
        else:
            click.echo(answer_by_hand(standing, cosign.read_bytes()), nl=False)


def _lines_of(said: str) -> list[str]:
    """A key, or those in a file."""
    if "+" in said:
        return [said]
    try:
        return Path(said).read_text("utf-8").split()
    except (OSError, UnicodeDecodeError):
        raise InputError(f"{said}: neither a verifier key nor a file of them") from None
