"""The sequencer: takes events in the order in which they became durable into the log's tree, writes
tiles, then signs a checkpoint.

Rules:
- The database commit of an event is its durability point. Its number is given in that transaction,
  so that the order of the log is not the sequencer's to choose: leaf n is event n + 1.
- One sequencer at a time: who holds the lock on the folder. Others leave it to that one.
- Entries and tiles are durable before the checkpoint that covers them; what no checkpoint covers
  yet counts for nothing and is written again. So a crash anywhere is mended by the next run.
- Before it signs, it works out the last signed root anew, from the tiles and from the entries that
  the database holds beside it. It never signs where the database holds fewer events than were
  signed, or other ones: it raises `AuditBroken` and leaves everything as it is.
- A checkpoint at size 0 is never made, and a log that was signed is never signed by new keys alone.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from audit.checkpoints import Checkpoint, open_checkpoint
from audit.merkle import EMPTY_ROOT, Hash, leaf_hash
from audit.tiles import WIDTH, Edge, Grown, edge_at, grow
from schemas.errors import AuditBroken, CommonthreadError, InvalidValue, StoreError
from store.log_files import (
    CHECKPOINT,
    RETIRED,
    VKEYS,
    LogFiles,
    full_paths,
    left_behind,
    unfinished_paths,
)
from store.log_keys import LogKeys

TOGETHER = 256 * WIDTH
"""Entries that are taken in between two checkpoints, at most."""
PAUSE = 0.5
"""Seconds between two looks for new events."""
_LONGEST_PAUSE = 10.0
_LOGGER = logging.getLogger(__name__)


class EntrySource(Protocol):
    """Where durable events are: see service.audit_ports.AuditStore."""

    def event_count(self) -> int:
        """How many events the log has."""

    def entries(self, first: int, last: int) -> list[bytes]:
        """The entries of the leaves from `first` to before `last`."""


@dataclass(frozen=True)
class _Head:
    """What was signed last, checked: the note, what it says, the edge below it."""

    note: bytes
    checkpoint: Checkpoint
    edge: Edge


class Sequencer:
    """Brings the log's folder up to date with the database."""

    def __init__(self, files: LogFiles, keys: LogKeys, source: EntrySource) -> None:
        self._files, self._keys, self._source = files, keys, source
        self._checked: _Head | None = None
        self._seen: tuple[bytes, Checkpoint] | None = None

    def checkpoint(self) -> Checkpoint | None:
        """The latest checkpoint as it stands; None where there is none yet. Raises: AuditBroken."""
        note = self._files.read(CHECKPOINT)
        return None if note is None else self._opened(note)

    def publish(self) -> Checkpoint | None:
        """Takes in every durable event; returns the latest checkpoint, None where there is none.

        Where another sequencer is at work the log is left to it. Raises: AuditBroken: what was
        signed is not what is there; StoreError: files or database cannot be used.
        """
        with self._files.elected() as mine:
            if not mine:
                return self.checkpoint()
            note = self._files.read(CHECKPOINT)
            head = None if note is None else self._head(note)
            count = self._source.event_count()
            if head is not None and count < head.checkpoint.size:
                raise AuditBroken(
                    f"the audit log: the database holds {count:,} events, {head.checkpoint.size:,}"
                    ' were signed; nothing more is signed. If a backup was restored, see "When a'
                    ' restored database is behind its log" in docs/operator.md'
                )
            if count:
                self._ready_keys(head)
                head = self._caught_up(head, count)
            self._checked = head
            return None if head is None else head.checkpoint

    # --- what was signed ------------------------------------------------------------------------

    def _opened(self, note: bytes) -> Checkpoint:
        if self._seen is not None and self._seen[0] == note:
            return self._seen[1]
        known = [key.verifier for key in self._keys.listed()]
        try:
            checkpoint = open_checkpoint(note, self._keys.origin, known)
        except InvalidValue as error:
            raise AuditBroken(f"the audit log: its checkpoint was altered ({error})") from None
        self._seen = note, checkpoint
        return checkpoint

    def _head(self, note: bytes) -> _Head:
        if self._checked is not None and self._checked.note == note:
            return self._checked
        checkpoint = self._opened(note)
        edge = edge_at(checkpoint.size, self._files.tile)
        self._files.drop_unfinished(left_behind(checkpoint.size))
        return _Head(note, checkpoint, edge)

    def _ready_keys(self, head: _Head | None) -> None:
        """There are keys, and readers find their public halves."""
        keys = self._keys.listed()
        if not keys:
            keys = [self._keys.add()]
        lines = {
            VKEYS: [key.verifier.vkey() for key in keys if key.signs],
            RETIRED: [key.verifier.vkey() for key in keys if not key.signs],
        }
        files = {path: "".join(f"{line}\n" for line in lines[path]).encode() for path in lines}
        stale = {path: data for path, data in files.items() if self._files.read(path) != data}
        # A list that is there may not be durable yet, where whoever wrote it died.
        if stale or head is None:
            self._files.write(files)

    # --- taking in ------------------------------------------------------------------------------

    def _caught_up(self, head: _Head | None, count: int) -> _Head:
        while head is None or head.checkpoint.size < count:
            head = self._step(head, count)
        signed = self._keys.sign(head.checkpoint.text())
        if signed != head.note:
            # Other keys sign now. Ed25519 gives the same signature for the same text and key.
            self._files.write({CHECKPOINT: signed})
            head = _Head(signed, head.checkpoint, head.edge)
        return head

    def _step(self, head: _Head | None, count: int) -> _Head:
        """Takes in some events and signs."""
        edge = Edge() if head is None else head.edge
        entries = self._source.entries(edge.size, min(count, edge.size + TOGETHER))
        size = 0
        if head is not None:
            size = head.checkpoint.size
            self._check_signed(head, entries[: size - edge.size])
        grown = grow(edge, entries, size)
        self._files.write(grown.files)
        checkpoint = Checkpoint(self._keys.origin, grown.size, grown.root)
        note = self._keys.sign(checkpoint.text())
        self._files.write({CHECKPOINT: note})
        self._files.drop_unfinished(full_paths(grown.files))
        self._checked = _Head(note, checkpoint, grown.edge)
        return self._checked

    def _check_signed(self, head: _Head, entries: Sequence[bytes]) -> None:
        """Raises: AuditBroken: tiles and database do not give what was signed."""
        signed = head.checkpoint
        if head.edge.root([leaf_hash(entry) for entry in entries]) == signed.root:
            return
        self._checked = None
        first = head.edge.size
        held = self._files.entries(first // WIDTH, signed.size - first) if entries else []
        differing = [
            n for n, pair in enumerate(zip(entries, held, strict=True)) if len({*pair}) > 1
        ]
        if differing:
            raise AuditBroken(
                f"the audit log: leaf {first + differing[0]:,} is another event in the database"
                f" than was signed at {signed.size:,} events; nothing more is signed. Somebody"
                " changed the database or the log: run `commonthread audit verify`"
            )
        raise AuditBroken(
            f"the audit log: its tiles do not give the root that was signed at {signed.size:,}"
            " events; nothing more is signed. Run `commonthread audit verify`, and `commonthread"
            " audit mend` where the database is whole"
        )

    def mend(self) -> int:
        """Writes entries and tiles anew from the database, where that gives the signed root.

        Returns how many files were missing or other than they have to be. Raises: AuditBroken: the
        database does not hold what was signed; StoreError: another sequencer is at work.
        """
        with self._files.elected() as mine:
            if not mine:
                raise StoreError("the audit log: a sequencer is at work; stop `serve`, then again")
            note = self._files.read(CHECKPOINT)
            if note is None:
                return 0
            signed, self._checked = self._opened(note), None
            whole = self._source.event_count() >= signed.size
            if not whole or root_of(self._source, signed.size) != signed.root:
                raise AuditBroken(
                    f"the audit log: the database does not hold the {signed.size:,} events that"
                    " were signed; nothing was written. Run `commonthread audit verify`: it names"
                    " the events"
                )
            mended = 0
            for grown in _regrown(self._source, signed.size):
                last = grown.files.keys() & unfinished_paths(signed.size)
                wanted = {path: grown.files[path] for path in {*full_paths(grown.files), *last}}
                wrong = {p: data for p, data in wanted.items() if self._files.read(p) != data}
                mended += len(wrong)
                self._files.write(wrong)
            return mended


def _regrown(source: EntrySource, size: int) -> Iterator[Grown]:
    """The log of the source's first entries as it grows."""
    edge, done = Edge(), 0
    while done < size:
        last = min(size, edge.size + TOGETHER)
        grown = grow(edge, source.entries(edge.size, last), done)
        edge, done = grown.edge, last
        yield grown


def root_of(source: EntrySource, size: int) -> Hash:
    """The root of the tree of the source's first entries."""
    root = EMPTY_ROOT
    for grown in _regrown(source, size):
        root = grown.root
    return root


class SequencerThread:
    """Publishes every half second while a server is at work."""

    def __init__(
        self,
        publish: Callable[[], object],
        alarm: Callable[[CommonthreadError], None],
        pause: float = PAUSE,
    ) -> None:
        """Args:
        publish: brings the log up to date.
        alarm: told once of each trouble that begins.
        pause: seconds.
        """
        self._publish, self._alarm, self._pause = publish, alarm, pause
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="audit-sequencer", daemon=True)

    def __enter__(self) -> SequencerThread:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Publishes once more, then ends."""
        self._stopped.set()
        self._thread.join()

    def _run(self) -> None:
        pause, trouble = self._pause, ""
        while True:
            stopping = self._stopped.wait(pause)
            try:
                self._publish()
                pause, trouble = self._pause, ""
            except Exception as unforeseen:  # whatever it is, the next turn is due
                error = _told(unforeseen)
                pause = min(2 * pause, _LONGEST_PAUSE)
                if str(error) != trouble:
                    trouble = str(error)
                    self._tell(error)
            if stopping:
                return

    def _tell(self, error: CommonthreadError) -> None:
        _LOGGER.error("the audit log was not published: %s", error)
        try:
            self._alarm(error)
        except CommonthreadError as other:
            _LOGGER.error("nor could the alarm be written down: %s", other)


def _told(error: Exception) -> CommonthreadError:
    """An error as it may be shown: the words of one that nobody foresaw could hold a value."""
    if isinstance(error, CommonthreadError):
        return error
    return StoreError(f"unforeseen error: {type(error).__name__}; report this")
