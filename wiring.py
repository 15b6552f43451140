"""Settings to objects: opens a workspace, its keys, its store; knows the clock and the lock.

What reads feeds, decides about sharing, or restores is brought in by those who ask for it: a
command that looks at one record starts in half the time.
"""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.dates import Instant, to_instant
from schemas.errors import SettingsError, WorkspaceBusy, WorkspaceMissing
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from service.access import Actor
from service.backup import refuse_half_restored
from service.model_files import write_whole
from store.arrow import choose_pool
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
    from service.nightly import Inputs
    from service.sharing import Sharing
    from service.sharing_ports import SharingStore
    from store.restoring import Landing

SETTINGS_FILE = "partnership.toml"
DEFAULT_PURPOSE = "data-quality"


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
        from adapters.inbox import find_feeds
        from service.nightly import Inputs

        calm_collector()
        with ReadAhead() as ahead:
            yield Inputs(self.inbox, self.model_file, ahead.readers, find_feeds)

    @contextmanager
    def store(self) -> Iterator[SharingStore]:
        """The open store, closed at the end. Raises: StoreError."""
        refuse_half_restored(self.root)
        choose_pool()
        keys = open_keyring(self.keys, workspace_key(self.keys))
        store = open_store(self.database_url(), keys)
        try:
            yield store
        finally:
            store.close()
            keys.close()

    @contextmanager
    def sharing(self) -> Iterator[Sharing]:
        """Who may see what of whom, ready to be asked; closed at the end. Raises: StoreError;
        SettingsError where the policies are at fault."""
        from service.sharing import Sharing

        with self.store() as store:
            yield Sharing(store, self.settings, self.model_file, clock)

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """The workspace's one lock: held by one writing run at a time. Raises: WorkspaceBusy."""
        with (self.root / ".lock").open("w") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise WorkspaceBusy(
                    "another run is at work in this workspace; nothing was changed. Wait for it to"
                    " end, then run this again"
                ) from None
            yield

    def actor(self, command: str, purpose: str | None) -> Actor:
        """The operating-system account, its role, and the purpose asked for or the default."""
        name = account()
        chosen = purpose or self.settings.default_purpose.get(command, DEFAULT_PURPOSE)
        named = name in self.settings.review.named_staff
        return Actor(name, self.settings.actors.get(name), chosen, named)

    def landing(self, url: str | None = None) -> Landing:
        """Where a restore puts the database: that of the settings, or the one named."""
        from store.restoring import Landing

        return Landing(url or self.database_url(), workspace_key)

    def database_url(self) -> str:
        """Where the database is, in full."""
        url = self.settings.database
        prefix = "sqlite:///"
        if url.startswith(prefix) and not url.startswith(prefix + "/"):
            return prefix + str((self.root / url.removeprefix(prefix)).resolve())
        return url


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
