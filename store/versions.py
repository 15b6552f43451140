"""Which version of a thing is live, and what an arrival counts as. Pure: rows in, a plan out.

Rules:
- The live version of a thing is the one with the greatest (as_at, content hash), whatever the
  order of arrival.
- An arrival whose content is the live version's is `unchanged`; a later as_at moves the live
  version's on.
- Other content that ranks above the live version becomes live: `changed`, or `new` for a thing not
  held before. The one before it stays as history, with the span of time it was said for.
- Other content that ranks below is kept as history: `changed`; `unchanged` where history already
  has that content for that moment.
- A record is withdrawn while its source's latest word of it is that it has it no longer: a
  withdrawal not before the record's as_at, or a whole list after it that lacks the record. At the
  same moment a withdrawal outranks the record; a whole list does not, because it holds the record.
- An arrival that brings a withdrawn record back is `changed`, whatever its content.
- Arrivals of one batch count as if they had come one after another.
"""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass, field

UNCHANGED, CHANGED, NEW = 1, 2, 3
"""Outcomes of one arrival, in rising rank."""


@dataclass(frozen=True)
class Arrivals:
    """The rows of one kind in one batch, as parallel columns, in order of arrival."""

    units: Sequence[int]
    keys: Sequence[bytes]
    as_ats: Sequence[str]
    hashes: Sequence[bytes]
    contents: Sequence[bytes]


@dataclass(slots=True)
class Head:
    """One thing and its live version while a batch is folded in.

    Attributes:
        row: index of the arrival that is live, -1 for a version held before the batch.
        changed: another version became live.
        advanced: only the live version's as_at moved on.
        withdrawn_at: when its source took it back; None while it stands.
        stood: whether it was held and stood before the batch.
        retaken: `withdrawn_at` is not what it was before the batch.
    """

    head_id: int
    as_at: str
    content_hash: bytes
    version_id: int
    withdrawn_at: str | None = None
    row: int = -1
    changed: bool = False
    advanced: bool = False
    stood: bool = False
    retaken: bool = False

    def withdraw(self, at: str | None) -> None:
        """Sets since when the thing is withdrawn; None where it stands."""
        self.retaken |= at != self.withdrawn_at
        self.withdrawn_at = at


@dataclass(frozen=True)
class TakenBack:
    """What a source has said that it has no longer.

    Attributes:
        said: key → as_at of the latest withdrawal.
        whole_at: as_at of its latest whole list; '' where it sends none.
    """

    said: Mapping[bytes, str] = field(default_factory=dict)
    whole_at: str = ""

    def since(self, key: bytes, as_at: str) -> str | None:
        """Since when a thing last said at `as_at` is withdrawn; None where it stands."""
        said = self.said.get(key, "")
        withdrawn = max(
            said if said >= as_at else "", self.whole_at if self.whole_at > as_at else ""
        )
        return withdrawn or None


@dataclass(slots=True)
class NewVersion:
    """A version row to write. `last_as_at` is None for the live one."""

    version_id: int
    head_id: int
    first_as_at: str
    last_as_at: str | None
    row: int


@dataclass
class Plan:
    """What folding a batch in changes.

    Attributes:
        outcomes: per arrival.
        founded: things not held before, in order of arrival: (key, head).
        versions: version rows to write, ids rising.
        superseded: (version id, last as_at) of versions held before that are no longer live.
    """

    outcomes: list[int]
    founded: list[tuple[bytes, Head]] = field(default_factory=list)
    versions: list[NewVersion] = field(default_factory=list)
    superseded: list[tuple[int, str]] = field(default_factory=list)


History = Mapping[tuple[int, bytes], Sequence[tuple[str, str]]]
"""(head id, content hash) → spans of (first, last as_at) that history has of it."""


def heads_needing_history(arrivals: Arrivals, heads: Mapping[bytes, Head]) -> set[int]:
    """Ids of the things for which an arrival ranks below what is live."""
    needed = set()
    for key, as_at, content_hash in zip(
        arrivals.keys, arrivals.as_ats, arrivals.hashes, strict=True
    ):
        head = heads.get(key)
        if (
            head is not None
            and content_hash != head.content_hash
            and (as_at, content_hash) < (head.as_at, head.content_hash)
        ):
            needed.add(head.head_id)
    return needed


def fold(
    arrivals: Arrivals,
    heads: MutableMapping[bytes, Head],
    history: History,
    next_head: int,
    next_version: int,
    taken_back: TakenBack,
) -> Plan:
    """Folds the arrivals in, in order.

    Args:
        arrivals: one batch's rows of one kind.
        heads: key → what is held, for the keys that arrive; updated in place and added to.
        history: spans of the things of `heads_needing_history`.
        next_head, next_version: first free ids; ids are given densely from there.
        taken_back: withdrawals of the keys that arrive, of those not held or withdrawn.
    """
    plan = Plan([UNCHANGED] * len(arrivals.keys))
    written: dict[int, NewVersion] = {}
    spans: dict[tuple[int, bytes], list[tuple[str, str]]] = {k: list(v) for k, v in history.items()}
    rows = zip(arrivals.keys, arrivals.as_ats, arrivals.hashes, strict=True)
    for row, (key, as_at, content_hash) in enumerate(rows):
        head = heads.get(key)
        if head is None:
            since = taken_back.since(key, as_at)
            head = heads[key] = Head(next_head, as_at, content_hash, next_version, since, row)
            plan.founded.append((key, head))
            next_head += 1
            plan.outcomes[row] = NEW
            version = NewVersion(next_version, head.head_id, as_at, None, row)
        elif content_hash == head.content_hash:
            if as_at > head.as_at:
                head.as_at, head.advanced = as_at, True
                if _brought_back(head, taken_back.since(key, as_at)):
                    plan.outcomes[row] = CHANGED
            continue
        elif (as_at, content_hash) > (head.as_at, head.content_hash):
            _supersede(head, plan, written, spans)
            head.as_at, head.content_hash = as_at, content_hash
            head.version_id, head.row, head.changed = next_version, row, True
            _brought_back(head, taken_back.since(key, as_at))
            plan.outcomes[row] = CHANGED
            version = NewVersion(next_version, head.head_id, as_at, None, row)
        else:
            place = (head.head_id, content_hash)
            if any(first <= as_at <= last for first, last in spans.get(place, ())):
                continue
            spans.setdefault(place, []).append((as_at, as_at))
            plan.outcomes[row] = CHANGED
            version = NewVersion(next_version, head.head_id, as_at, as_at, row)
        plan.versions.append(version)
        written[next_version] = version
        next_version += 1
    return plan


def _brought_back(head: Head, since: str | None) -> bool:
    """Whether a withdrawn thing stands again, now that it was said anew."""
    if head.withdrawn_at is None:
        return False
    head.withdraw(since)
    return since is None


def _supersede(
    head: Head,
    plan: Plan,
    written: Mapping[int, NewVersion],
    spans: MutableMapping[tuple[int, bytes], list[tuple[str, str]]],
) -> None:
    """Closes the live version's span: in the batch's own row, or in the row held before."""
    own = written.get(head.version_id)
    if own is None:
        plan.superseded.append((head.version_id, head.as_at))
        first = head.as_at
    else:
        own.last_as_at = head.as_at
        first = own.first_as_at
    spans.setdefault((head.head_id, head.content_hash), []).append((first, head.as_at))
