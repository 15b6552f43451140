"""Settings to objects: opens a workspace, its keys, its store; knows the clock and the lock.

What reads feeds, decides about sharing, or restores is brought in by those who ask for it: a
command that looks at one record starts in half the time.
"""

from __future__ import annotations

import fcntl
import logging
import os
import pwd
import re
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from time import monotonic, sleep
from typing import IO, TYPE_CHECKING

from schemas.dates import Instant, to_instant
from schemas.errors import (
    AuditBroken,
    CommonthreadError,
    SettingsError,
    StoreError,
    WorkspaceBusy,
    WorkspaceMissing,
)
from schemas.identifiers import SourceId
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from service.access import Actor
from service.backup import refuse_half_restored
from service.model_files import write_whole
from store.arrow import choose_pool
from store.journal import SecondJournal
from store.keyring import (
    KEY_FILE,
    KEYSTORE_FILE,
    FileKey,
    KeyRing,
    WorkspaceKey,
    choose_key,
    create_keyring,
    open_keyring,
)
from store.sql_store import open_store

if TYPE_CHECKING:
    from audit.checkpoints import Checkpoint
    from service.audit_log import AuditLog
    from service.audit_reports_desk import Desk as ReportDesk
    from service.audit_witness import WitnessState
    from service.nightly import Inputs
    from service.ports import Collector, Reader
    from service.sharing import Sharing
    from store.restoring import Landing
    from store.sql_store import SqlStore

SETTINGS_FILE = "partnership.toml"
DEFAULT_PURPOSE = "data-quality"
OPENED_AT: dict[Path, int] = {}
"""Workspace → how many events its log had when this process opened it first."""
BRIEFLY = b"briefly\n"
"""What the lock's file holds while a hand-over of the listener has it."""
BRIEF_SECONDS = 900.0
"""How long a run waits for hand-overs."""
_LOOK_SECONDS = 0.05
WITNESS_SECONDS = 60.0
"""Between two rounds of the witnesses, while the partnership is served."""
_LOGGER = logging.getLogger("commonthread")


def clock() -> Instant:
    """The time, in UTC."""
    return to_instant(datetime.now(UTC))


@dataclass(frozen=True)
class Workspace:
    """A folder with settings, keys, inbox, database, model, reports and log."""

    root: Path
    settings: Settings

    @property
    def inbox(self) -> Path:
        """Where feeds lie, one folder a source."""
        return self.root / "inbox"

    @property
    def keys(self) -> Path:
        """Workspace key and keystore."""
        return self.root / "keys"

    @property
    def model_file(self) -> Path:
        """The frozen model."""
        return self.root / "model.json"

    @property
    def reports(self) -> Path:
        """Run reports."""
        return self.root / "reports"

    def make_folders(self) -> None:
        """Makes what folders are missing, for their owner only."""
        self.root.chmod(0o700)
        self.inbox.mkdir(exist_ok=True)
        for source in self.settings.sources:
            (self.inbox / source.id).mkdir(exist_ok=True)
        self.reports.mkdir(exist_ok=True)

    @contextmanager
    def inputs(self) -> Iterator[Inputs]:
        """What ingest and link read, with the readers at work until the end."""
        from adapters.ahead import ReadAhead, calm_collector

        calm_collector()
        with ReadAhead() as ahead:
            yield self.few_inputs(ahead.readers)

    def few_inputs(
        self,
        readers: Mapping[str, Reader] | None = None,
        digests: dict[tuple[object, ...], str] | None = None,
    ) -> Inputs:
        """What ingest and link read, in this process where no other readers are given: for feeds
        that are small. digests: see adapters.inbox.find_feeds."""
        from adapters.inbox import find_feeds
        from adapters.registry import READERS
        from service.collecting import collecting
        from service.nightly import Inputs

        finder = collecting(partial(find_feeds, digests=digests), self._collectors())
        return Inputs(self.inbox, self.model_file, readers or READERS, finder)

    def _collectors(self) -> dict[SourceId, Collector]:
        """Those of the sources that have an interface."""
        asked = [source for source in self.settings.sources if source.interface is not None]
        if not asked:
            return {}
        from adapters.interfaces import collector_of

        limits = self.settings.limits
        return {one.id: collector_of(one, self.root, self.inbox, clock, limits) for one in asked}

    @contextmanager
    def store(self) -> Iterator[SqlStore]:
        """The open store, closed at the end; its events are published then. Raises: StoreError."""
        refuse_half_restored(self.root)
        choose_pool()
        keys = open_keyring(self.keys, workspace_key(self.keys))
        second = SecondJournal(self.root / self.settings.audit.second_journal, clock)
        store = open_store(self.database_url(), keys, second)
        try:
            self._note_changes(store)
            OPENED_AT.setdefault(self.root, store.event_count())
            yield store
        finally:
            try:
                self._publish_last(store)
            finally:
                store.close()
                keys.close()

    def _note_changes(self, store: SqlStore) -> None:
        """Writes down what has changed of what the program works under, before it does anything."""
        from service.in_force import note_changes, policy_parts, settings_parts

        settings = self.root / SETTINGS_FILE
        if settings.exists():
            watched = {
                "settings-changed": settings_parts(settings.read_text(encoding="utf-8")),
                "policies-changed": policy_parts(),
            }
            note_changes(store, self.actor("settings", None), clock, watched)

    @property
    def log_folder(self) -> Path:
        """The audit log as it is published."""
        return self.root / "log"

    def log(self, store: SqlStore) -> AuditLog:
        """The audit log of this store, while that is open."""
        from service.audit_log import AuditLog
        from store.log_files import LogFiles
        from store.log_keys import LogKeys
        from store.sequencer import Sequencer

        files, ring = LogFiles(self.log_folder), store.database.keys
        name = re.sub(r"[^a-z0-9]+", "-", self.settings.name.lower()).strip("-")
        keys = LogKeys(ring, self.settings.audit.origin, f"commonthread/{name or 'partnership'}")
        return AuditLog(Sequencer(files, keys, store), files, keys)

    def ask_witnesses(
        self, store: SqlStore, log: AuditLog, actor: Actor | None = None
    ) -> list[WitnessState]:
        """Publishes, asks the witnesses that are due, and writes down what changed with them.

        Raises: AuditBroken, StoreError: the log cannot be published.
        """
        publish(store, log)
        settings, now = self.settings.audit, clock()
        if not settings.witnesses:
            return []
        from service.audit_witness import ask_witnesses, write_changes
        from web.witness import post

        found = ask_witnesses(log, settings, post, now)
        who, role = (actor.name, actor.role or "-") if actor else (account(), "-")
        write_changes(store, found, who, role, now)
        return found

    def witnesses_asked(self, store: SqlStore, actor: Actor) -> list[str]:
        """As `ask_witnesses`, for a run that goes on whatever they say: a sentence for each trouble
        that somebody has to look into."""
        from service.audit_witness import ALARMS

        try:
            found = self.ask_witnesses(store, self.log(store), actor)
        except CommonthreadError as error:
            return [f"the log's witnesses were not asked: {error}"]
        return [
            f"witness {one.name}: {one.trouble.value}" for one in found if one.trouble in ALARMS
        ]

    def _publish_last(self, store: SqlStore) -> None:
        """Publishes what a command wrote. Its events are durable, so that its own end stands,
        whatever becomes of that."""
        try:
            publish(store, self.log(store))
        except StoreError as error:
            _LOGGER.error("the audit log was not published: %s", error)
            raise_alarm(store, error)

    @contextmanager
    def sharing(self) -> Iterator[Sharing]:
        """Who may see what of whom, ready to be asked; closed at the end. Raises: StoreError;
        SettingsError where the policies are at fault."""
        from service.sharing import Sharing

        with self.store() as store:
            yield Sharing(store, self.settings, self.model_file, clock)

    @contextmanager
    def served(self) -> Iterator[Sharing]:
        """As `sharing`; the log is published all the while, and its witnesses are asked."""
        from service.sharing import Sharing
        from store.sequencer import SequencerThread

        with self.store() as store:
            log = self.log(store)
            with ExitStack() as threads:
                if self.settings.audit.witnesses:
                    asking = SequencerThread(
                        lambda: self.ask_witnesses(store, self.log(store)),
                        lambda _: None,  # the other thread tells of it
                        WITNESS_SECONDS,
                    )
                    threads.enter_context(asking)
                threads.enter_context(
                    SequencerThread(lambda: publish(store, log), lambda e: raise_alarm(store, e))
                )
                yield Sharing(store, self.settings, self.model_file, clock)

    @contextmanager
    def exclusive(self, *, briefly: bool = False) -> Iterator[None]:
        """The workspace's one lock: held by one writing run at a time. Raises: WorkspaceBusy.

        briefly: whoever finds it held waits for us (and we for nobody): for what comes in all day.
        """
        with (self.root / ".lock").open("a+") as stream:
            until, others = monotonic() + (0 if briefly else BRIEF_SECONDS), 0
            while not _locked(stream):
                brief = os.pread(stream.fileno(), 8, 0) == BRIEFLY
                others = 0 if brief else others + 1
                if monotonic() > until or others > 1:  # twice: it is marked once it is locked
                    raise WorkspaceBusy(
                        "another run is at work in this workspace; nothing was changed. Wait for"
                        " it to end, then run this again"
                    )
                sleep(_LOOK_SECONDS)
            os.ftruncate(stream.fileno(), 0)
            if briefly:
                os.write(stream.fileno(), BRIEFLY)
            try:
                yield
            finally:
                os.ftruncate(stream.fileno(), 0)

    def actor(self, command: str, purpose: str | None) -> Actor:
        """The operating-system account, its role, and the purpose asked for or the default."""
        name = account()
        chosen = purpose or self.settings.default_purpose.get(command, DEFAULT_PURPOSE)
        named = name in self.settings.review.named_staff
        role = self.settings.actors.get(name)
        return Actor(name, role, chosen, named, terminal=socket.gethostname())

    def landing(self, url: str | None = None) -> Landing:
        """Where a restore puts the database: that of the settings, or the one named."""
        from store.restoring import Landing

        return Landing(url or self.database_url(), workspace_key, self.settings.audit.origin, clock)

    def database_url(self) -> str:
        """Where the database is, in full."""
        url = self.settings.database
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/"):
            return prefix + str((self.root / url.removeprefix(prefix)).resolve())
        return url


def _locked(stream: IO[str]) -> bool:
    """Takes the lock of a file, if nobody has it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def publish(store: SqlStore, log: AuditLog) -> Checkpoint | None:
    """Brings the second journal's events into the log, and publishes it. Raises: StoreError."""
    with suppress(StoreError):
        store.reconcile_journal()  # the database is away: what it holds can still be published
    return log.publish()


def raise_alarm(store: SqlStore, error: CommonthreadError) -> None:
    """Writes down that the log is not what was signed."""
    from audit.events import AuditEvent, EventOutcome

    if isinstance(error, AuditBroken):
        with suppress(StoreError):
            store.append_event(
                AuditEvent(
                    at=clock(),
                    action="log-broken",
                    outcome=EventOutcome.FAILED,
                    actor=account(),
                    role="-",
                    purpose="-",
                    details={"problem": str(error)},
                )
            )


def report_desk(
    workspace: Workspace, store: SqlStore, actor: Actor, *, verify: bool = True
) -> ReportDesk:
    """Where reports of the audit log are asked for, while the store is open. verify: a certificate
    rests on a check of the whole log."""
    from audit.verifier import verifier_key
    from service.audit_facts import collect
    from service.audit_reports_desk import Desk
    from service.audit_reports_state import log_state
    from service.audit_verify import Verified
    from service.audit_verify import verify as check_log
    from service.audit_witness import witness_keys

    audit = workspace.settings.audit
    log = workspace.log(store)

    def checked() -> Verified:
        ours = [verifier_key(key.vkey()) for key in log.verifiers()]
        return check_log(workspace.log_folder, store, (*ours, *witness_keys(audit)))

    return Desk(
        store=store,
        settings=workspace.settings,
        clock=clock,
        actor=actor,
        log=lambda: log_state(log, store, audit, clock, checked if verify else None),
        facts=lambda persons, *, names: collect(
            store, workspace.settings, persons, (), clock(), names=names
        ),
    )


def workspace_key(keys: Path) -> WorkspaceKey:
    """Where the workspace key is kept that opens the keystore in this folder."""
    return choose_key(keys, os.environ)


def saved_keys(folder: Path) -> AbstractContextManager[KeyRing]:
    """The keys of a backup, opened without touching the folder. Raises: StoreError."""
    from store.restoring import saved_ring

    return saved_ring(folder, workspace_key)


def open_workspace(root: Path) -> Workspace:
    """An existing workspace. Raises: WorkspaceMissing, SettingsError."""
    path = root / SETTINGS_FILE
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise WorkspaceMissing(
            f"{root} holds no {SETTINGS_FILE}: make a workspace with `commonthread init` or"
            " `commonthread demo`, or name one with --workspace"
        ) from None
    except UnicodeDecodeError:
        raise SettingsError(str(path), ["not UTF-8 text"]) from None
    return Workspace(root, parse_settings(text, str(path)))


def create_workspace(root: Path, settings_text: str) -> Workspace:
    """A new workspace: settings, fresh keys, empty inbox. Raises: SettingsError if one is there."""
    refuse_if_made(root)
    path = root / SETTINGS_FILE
    settings = parse_settings(settings_text, str(path))
    root.mkdir(parents=True, exist_ok=True)
    workspace = Workspace(root, settings)
    workspace.make_folders()
    if not (workspace.keys / KEYSTORE_FILE).exists():
        create_keyring(workspace.keys, FileKey(workspace.keys / KEY_FILE)).close()
    write_whole(path, settings_text.encode())
    return workspace


def refuse_if_made(root: Path) -> None:
    """Raises: SettingsError if the folder is a workspace already: nothing is overwritten."""
    if (root / SETTINGS_FILE).exists():
        raise SettingsError(
            str(root / SETTINGS_FILE), ["a workspace is here already; nothing was changed"]
        )


def account() -> str:
    """The operating-system account of the caller, as the system knows it: never as the
    environment claims it."""
    user = os.geteuid()
    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return f"uid-{user}"
