"""The feeds that lie in `inbox/SOURCE/`, ready to be read.

Rules:
- A file is a feed if its name matches a pattern of the source; the first pattern in the settings
  that matches says how it is read. Folders are not looked into; one that is named like a feed is
  told of.
- Names that say "not finished" (`.part`, `.tmp`, `.filepart`, hidden files, `~`) are left alone.
- A file that changed within the last `settle_seconds` is looked at again after at most that long,
  once for all; if it changed meanwhile, or changes while its bytes are read, it is still being
  written and is left for the next run. What an interface wrote need not settle.
- Nothing outside the inbox is read, whatever a link says.
- A feed stood so when its name says, where the settings tell how; else when it was last changed.
- A source's whole list must say in its name of when it is: a copy of an old one would otherwise be
  the newest. The same list of another day is another feed.
- What is left out is told in sentences, counted. They name only files that match a pattern.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from typing import NamedTuple
from zoneinfo import ZoneInfo

from adapters.spool import OPEN, POSITION
from schemas.dates import Instant, to_instant
from schemas.errors import InputError
from schemas.settings import FileSettings, Limits, SourceSettings
from service.ports import FeedFile

_UNFINISHED_ENDS = (".part", ".tmp", ".filepart", "~")
_UNFINISHED_STARTS = (".", "~")
_CHUNK = 1 << 20


class Found(NamedTuple):
    """The feeds, by when they stood so and then by name; and what a data team should know."""

    feeds: list[FeedFile]
    notices: list[str]


@dataclass(frozen=True)
class _Candidate:
    """A file that matches a pattern, as first seen."""

    path: Path
    settings: FileSettings
    seen: os.stat_result


def find_feeds(
    inbox: Path,
    source: SourceSettings,
    limits: Limits,
    *,
    digests: dict[tuple[object, ...], str] | None = None,
) -> Found:
    """The files of `inbox/SOURCE/` that can be read now.

    Waits at most `limits.settle_seconds`, and only if a file was changed that lately.

    Args:
        digests: kept from call to call, for whoever looks often: what was read whole once is not
            read again while it looks the same.
    """
    folder = inbox / source.id
    if not folder.is_dir():
        return Found([], [f"inbox/{source.id} is not there"])
    if not _inside(folder, inbox):
        return Found([], [f"inbox/{source.id} leads outside the inbox and was not followed"])
    candidates, notices = _candidates(folder, inbox, source)
    brought = [one for one in candidates if not one.settings.collected]
    _let_settle(brought, limits.settle_seconds)
    feeds: list[FeedFile] = []
    undated = 0
    for candidate in candidates:
        name = _shown(candidate.path.name)
        try:
            digest = _digest_known(candidate, {} if digests is None else digests)
        except OSError as error:
            notices.append(f"{name} could not be read ({error.strerror}); left for the next run")
            continue
        if digest is None:
            notices.append(f"{name} is still being written; left for the next run")
            continue
        as_at = _as_at(candidate, source.time_zone)
        if candidate.settings.snapshot is not None:
            if as_at is None:
                notices.append(f"{name} is a whole list, but does not say of when; left alone")
                continue
            digest = hashlib.sha256(f"{digest} as at {as_at}".encode()).hexdigest()
        if as_at is None:
            undated += 1
            as_at = to_instant(datetime.fromtimestamp(candidate.seen.st_mtime, UTC))
        size = candidate.seen.st_size
        feeds.append(FeedFile(candidate.path, digest, size, as_at, candidate.settings))
    if undated:
        told = f"{_counted(undated, 'file')} not named as the settings say"
        notices.append(f"{told}: taken as of the last change")
    return Found(sorted(feeds, key=lambda feed: (feed.as_at, feed.path.name)), notices)


def feed_at(path: Path, source: SourceSettings) -> FeedFile:
    """A file that lies anywhere, as it would be read in the inbox. Raises: InputError: no pattern
    of the source fits its name, or it cannot be read."""
    settings = _settings_of(path.name, source)
    if settings is None:
        patterns = ", ".join(file.pattern for file in source.files)
        raise InputError(
            f"{_shown(path.name)}: fits no pattern of the source's files ({patterns});"
            " the first [[source.file]] whose pattern fits a name says how it is read"
        )
    seen = _regular(path)
    if seen is None:
        raise InputError(f"{_shown(path.name)}: no regular file, or not to be read")
    candidate = _Candidate(path, settings, seen)
    as_at = _as_at(candidate, source.time_zone)
    changed = to_instant(datetime.fromtimestamp(seen.st_mtime, UTC))
    return FeedFile(path, "", seen.st_size, as_at or changed, settings)


def _settings_of(name: str, source: SourceSettings) -> FileSettings | None:
    """How a file of this name is read: the first pattern that fits counts."""
    return next((file for file in source.files if fnmatchcase(name, file.pattern)), None)


def _candidates(
    folder: Path, inbox: Path, source: SourceSettings
) -> tuple[list[_Candidate], list[str]]:
    """Files that match a pattern, and sentences about what else lies there."""
    candidates: list[_Candidate] = []
    unfinished = unmatched = outside = special = folders = 0
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        name = path.name
        settings = _settings_of(name, source)
        if name.startswith((POSITION, OPEN)):
            continue
        if name.lower().endswith(_UNFINISHED_ENDS) or name.startswith(_UNFINISHED_STARTS):
            unfinished += 1
        elif path.is_symlink() and not _inside(path, inbox):
            outside += 1
        elif path.is_dir():
            folders += settings is not None
        elif settings is None:
            unmatched += 1
        elif (seen := _regular(path)) is None:
            special += 1
        else:
            candidates.append(_Candidate(path, settings, seen))
    told = (
        (unfinished, "with a temporary name left alone"),
        (outside, "leading outside the inbox not followed"),
        (unmatched, "matching no pattern of the source left alone"),
        (special, "not regular, or gone, left alone"),
    )
    notices = [f"{_counted(count, 'file')} {what}" for count, what in told if count]
    if folders:
        notices.append(f"{_counted(folders, 'folder')} named like a feed not looked into")
    return candidates, notices


def _regular(path: Path) -> os.stat_result | None:
    """The state of a regular file; None for anything else, or if it is gone."""
    try:
        seen = path.stat()
    except OSError:
        return None
    return seen if stat.S_ISREG(seen.st_mode) else None


def _inside(path: Path, inbox: Path) -> bool:
    """Whether a path, followed to its end, is in the inbox."""
    try:
        return path.resolve().is_relative_to(inbox.resolve())
    except (OSError, RuntimeError):  # a link that leads back to itself
        return False


def _let_settle(candidates: Sequence[_Candidate], settle_seconds: float) -> None:
    """Waits until the youngest file was left alone for as long as it must be."""
    now = time.time()
    ages = [now - candidate.seen.st_mtime for candidate in candidates]
    wait = max((settle_seconds - max(age, 0.0) for age in ages), default=0.0)
    if wait > 0:
        time.sleep(wait)


def _digest_known(candidate: _Candidate, digests: dict[tuple[object, ...], str]) -> str | None:
    """As `_digest_if_still`, or as it was the last time."""
    seen = candidate.seen
    key = (candidate.path, seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)
    known = digests.get(key)
    if known is not None:
        return known
    digest = _digest_if_still(candidate)
    if digest is not None:
        digests[key] = digest
    return digest


def _digest_if_still(candidate: _Candidate) -> str | None:
    """SHA-256 of the file in hex; None if it is no longer as first seen, before or after."""
    digest = hashlib.sha256()
    with candidate.path.open("rb") as file:
        if not _same(candidate.seen, os.fstat(file.fileno())):
            return None
        while chunk := file.read(_CHUNK):
            digest.update(chunk)
    return digest.hexdigest() if _same(candidate.seen, candidate.path.stat()) else None


def _same(before: os.stat_result, after: os.stat_result) -> bool:
    return stat.S_ISREG(after.st_mode) and (
        (before.st_size, before.st_mtime_ns, before.st_ino)
        == (after.st_size, after.st_mtime_ns, after.st_ino)
    )


def _as_at(candidate: _Candidate, time_zone: str) -> Instant | None:
    """When the file stood so: by its name, or, where its name need not say, its last change."""
    rule = candidate.settings.as_at
    if rule is None:
        return to_instant(datetime.fromtimestamp(candidate.seen.st_mtime, UTC))
    match = rule.file_name.search(candidate.path.name)
    if match is None or match.group(1) is None:
        return None
    try:
        local = datetime.strptime(match.group(1), rule.format)  # noqa: DTZ007 - zone is added below
        return to_instant(local if local.tzinfo else local.replace(tzinfo=ZoneInfo(time_zone)))
    except (ValueError, OverflowError):
        return None


def _shown(name: str) -> str:
    """A file name safe to print on one line."""
    return "".join(c if c.isprintable() else "?" for c in name)


def _counted(count: int, noun: str) -> str:
    return f"1 {noun}" if count == 1 else f"{count} {noun}s"
