"""The vocabulary of an event's details: every name, what kind of value it holds, and what it means.

Rules:
- A detail holds a code, a count, an opaque id, a moment or a mark: never a person's value, and no
  words that somebody typed, save an officer's `instruction`, which is asked to name nobody.
- A name that is not in the table is at fault (`faults` says so); tests hold every event to it.

Who adds a detail adds its row here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a detail's value is."""

    CODE = "code"
    """A word of a closed list, or an opaque id: letters, digits and a few marks."""
    CODES = "codes"
    COUNT = "count"
    COUNTS = "counts"
    """Name → count."""
    MARK = "mark"
    """True or false."""
    MOMENT = "moment"
    NAME = "name"
    """Of an account, an organisation, a program, a machine: printable, of at most 200 letters."""
    NUMBERS = "numbers"
    """Row ids and ranges of leaves."""
    DIGESTS = "digests"
    """Name → digest."""
    WORDS = "words"
    """A sentence: of the program itself, or what an officer typed."""


@dataclass(frozen=True)
class Detail:
    """One row: the kind of its value, and what it says."""

    kind: Kind
    words: str


_CODE, _CODES, _COUNT, _MARK = Kind.CODE, Kind.CODES, Kind.COUNT, Kind.MARK
_NAME, _MOMENT, _NUMBERS = Kind.NAME, Kind.MOMENT, Kind.NUMBERS

DETAILS: dict[str, Detail] = {
    # --- how a request came in -----------------------------------------------------------------
    "request": Detail(_CODE, "id of the request, as its answer carried it (X-Request-ID)"),
    "terminal": Detail(_NAME, "network address it came from; of a command, the machine"),
    "client": Detail(_NAME, "program that asked, as its token names it"),
    "asked": Detail(_NAME, "method and route, and the names of the parameters; no value"),
    "issuer": Detail(_NAME, "who vouched for the sign-in"),
    "team": Detail(_NAME, "team of the member of staff"),
    "system": Detail(_MARK, "a system asked for itself"),
    # --- how it ended --------------------------------------------------------------------------
    "reason": Detail(_CODE, "code of why it ended so; of broken glass, the reason chosen"),
    "error": Detail(_CODE, "kind of the error it failed by"),
    "policies": Detail(_CODES, "ids of the policies that decided"),
    "obligations": Detail(_CODES, "what must be done because of what was shown"),
    "escalate": Detail(_MARK, "somebody must hear of the attempt; the asker was not told"),
    "alert": Detail(_NUMBERS, "raises an alert; or the number of one"),
    # --- a look at a record --------------------------------------------------------------------
    "relationship": Detail(
        _CODE,
        "on what the look rested: registration, admission, encounter, appointment, referral,"
        " caseload, claimed, break-glass, declared, investigation, subject, proxy, none",
    ),
    "basis": Detail(_CODE, "opaque key of what says so: an item, `record-N`, `claim-N`"),
    "states": Detail(_CODES, "of the person: restricted, opted out, deceased"),
    "headings": Detail(_CODES, "headings asked for; absent where all were"),
    "item": Detail(_NAME, "the one item asked for, by its opaque key"),
    "shown": Detail(_COUNT, "how many items, persons or rows were shown"),
    "categories": Detail(_CODES, "categories that were shown"),
    "labels": Detail(_CODES, "security labels of what was shown"),
    "custodians": Detail(_CODES, "organisations whose data was shown (ODS codes)"),
    "sensitive": Detail(_MARK, "labelled data of another organisation was shown"),
    "sealed": Detail(_COUNT, "shown items that a seal is about"),
    "flags": Detail(_COUNT, "safeguarding flags shown"),
    "refused": Detail(_CODES, "categories asked for and refused, wholly or in part"),
    "break_glass": Detail(_CODE, "reason code of the broken glass that stood"),
    # --- a search ------------------------------------------------------------------------------
    "by": Detail(_CODES, "by what persons were looked for: name, birth date, postcode …"),
    "located": Detail(_MARK, "looked for by where somebody lives or is registered"),
    "certain_only": Detail(_MARK, "only somebody certain was asked for"),
    "access": Detail(_CODE, "kind of access: user or system"),
    # --- declarations and wishes ---------------------------------------------------------------
    "words": Detail(_CODE, "keyed digest of the words typed: equal for equal words"),
    "expires": Detail(_MOMENT, "until when a declaration counts"),
    "second_person": Detail(_NAME, "staff id of the second who agreed"),
    "claim": Detail(_COUNT, "number of the declaration"),
    "ends": Detail(_MARK, "the declaration counts no more"),
    "kind": Detail(_CODE, "kind of a wish, or of a run"),
    "effect": Detail(_CODE, "permit or deny"),
    "directive": Detail(_NAME, "id of a wish"),
    "what": Detail(_CODE, "what was laid down, undone or released"),
    "staff": Detail(_NAME, "staff id through whose eyes was looked, or to whom a token was given"),
    "staff_role": Detail(_CODE, "role of that member of staff"),
    "agreement": Detail(_NAME, "id of an agreement"),
    "agreements": Detail(_CODE, "which agreements were written"),
    "version": Detail(_COUNT, "version of an agreement"),
    # --- linkage -------------------------------------------------------------------------------
    "run": Detail(_COUNT, "number of a link run"),
    "held": Detail(_MARK, "the run is held: only what never waits was published"),
    "model": Detail(_CODE, "digest of the linkage model"),
    "approved": Detail(_COUNT, "number of the held run that was approved"),
    "generation": Detail(_COUNT, "highest batch loaded"),
    "records": Detail(_NUMBERS, "how many records; or the ids of those that are in no person"),
    "persons": Detail(_COUNT, "how many persons there are"),
    "created": Detail(_COUNT, "persons that are new"),
    "joined": Detail(_COUNT, "persons joined"),
    "split": Detail(_COUNT, "persons parted"),
    "moved": Detail(_COUNT, "records moved"),
    "withdrawn": Detail(_COUNT, "records withdrawn"),
    "tasks": Detail(_COUNT, "review tasks"),
    "task": Detail(_CODE, "name of a review task"),
    "verdict": Detail(_CODE, "what was decided: same, different, undecided"),
    "standing": Detail(_CODE, "how a decision stands"),
    "decisions": Detail(_NUMBERS, "how many decisions, or their numbers"),
    "ended": Detail(_COUNT, "how many decisions ended; or the number of what ended"),
    "confirmed": Detail(_COUNT, "number of the decision that was confirmed"),
    "upheld": Detail(_COUNT, "number of the decision that was upheld"),
    "pairs": Detail(_COUNT, "pairs in a sample"),
    "seed": Detail(_COUNT, "seed of a sample, or of a demo"),
    "memberships": Detail(_COUNT, "rows exported"),
    "rows": Detail(_COUNT, "rows that left"),
    "as_at": Detail(_MOMENT, "as of when"),
    # --- feeds ---------------------------------------------------------------------------------
    "source": Detail(_NAME, "id of a source"),
    "sources": Detail(_CODES, "ids of sources that are listened for"),
    "feed": Detail(_CODE, "first letters of the feed's digest"),
    "state": Detail(_CODE, "how the feed ended: loaded, refused"),
    "units": Detail(Kind.COUNTS, "units by outcome: new, changed, unchanged, quarantined"),
    "read": Detail(_COUNT, "units read"),
    "identity_changes": Detail(_COUNT, "declarations of protected changes that were read"),
    "instruction": Detail(Kind.WORDS, "who instructed an erasure and why, as the officer typed it"),
    "may_return": Detail(_MARK, "an erased record may come back"),
    # --- administration ------------------------------------------------------------------------
    "backup": Detail(_CODE, "id of a backup"),
    "log": Detail(_CODE, "what a restore found of the log: went on, set aside, none yet, broken"),
    "lost": Detail(_NUMBERS, "ranges of leaves whose events were lost before a restore"),
    "why": Detail(Kind.WORDS, "why a restore set the log aside, in the program's words"),
    "problem": Detail(Kind.WORDS, "what is wrong with the log, in the program's words"),
    "keys": Detail(_NUMBERS, "whether keys were saved with it; or ids of keys destroyed"),
    "parts": Detail(Kind.DIGESTS, "section or file → digest of what is in force"),
    "changed": Detail(_CODES, "sections or files that changed since"),
    "first": Detail(_MARK, "nothing was written down before"),
    "host": Detail(_NAME, "address that is listened at"),
    "port": Detail(_COUNT, "port that is listened at"),
    "workers": Detail(_COUNT, "processes that answer"),
    "people": Detail(_COUNT, "people of a demo"),
    "purposes": Detail(_CODES, "what a token is for"),
    "minutes": Detail(_COUNT, "how long a token lasts"),
    # --- the log -------------------------------------------------------------------------------
    "leaf": Detail(_COUNT, "place in the log of the event that was read"),
    "leaves": Detail(_NUMBERS, "ranges of leaves, both ends included"),
    "class": Detail(_CODE, "class of the events that were erased"),
    "entries": Detail(_NUMBERS, "entries behind a report"),
    "events": Detail(_COUNT, "events looked at, handed over, or brought in from the journal"),
    "report": Detail(_NAME, "name of a report"),
    "format": Detail(_CODE, "html, csv or json"),
    "since": Detail(_MOMENT, "from when"),
    "until": Detail(_MOMENT, "until when"),
    "delivered_to": Detail(_CODE, "role that a report was delivered to"),
    "until_leaf": Detail(_COUNT, "the last leaf that detection looked at"),
    "raised": Detail(_COUNT, "alerts raised"),
    "added_to": Detail(_COUNT, "alerts that grew"),
    "explained_late": Detail(_COUNT, "alerts that a later fact explained"),
    "alerts": Detail(_NUMBERS, "numbers of alerts"),
    "closed": Detail(_COUNT, "alerts closed"),
    "closed_as": Detail(_CODE, "outcome that an alert was closed with"),
    "to": Detail(_NAME, "account that an alert was given to"),
    "watched": Detail(_MARK, "put on the watch list"),
    "restored": Detail(_MARK, "erased in a backup that was put back"),
    "due": Detail(_COUNT, "events that are over their time"),
    "on_hold": Detail(_COUNT, "events over their time that a hold keeps"),
    "applied": Detail(_MARK, "what is due is erased now"),
    "hold": Detail(_COUNT, "number of a hold"),
    "signed": Detail(_COUNT, "entries that are signed"),
    "unsigned": Detail(_COUNT, "events that are not signed yet"),
    "checked": Detail(_COUNT, "entries that were checked"),
    "faults": Detail(_COUNT, "how many faults a check found"),
    "sha256": Detail(_CODE, "digest of a file that was written"),
    "files": Detail(_COUNT, "files that were written anew"),
    "journal_events": Detail(_COUNT, "events of the second journal that came in when tried again"),
    "journal_left": Detail(_COUNT, "files of the second journal of which not everything comes in"),
    "witness": Detail(_NAME, "name of a witness"),
    "witnesses": Detail(_CODES, "names of the witnesses that signed"),
    "trouble": Detail(_CODE, "what is wrong with a witness; none"),
    "size": Detail(_COUNT, "entries of a checkpoint"),
    "its_size": Detail(_COUNT, "entries that a witness says it signed"),
    "step": Detail(
        _CODE,
        "what was done: with the log's keys list, rotate, retire; by `listen` start, load, stop",
    ),
    "number": Detail(_COUNT, "number of a key of the log"),
    "key": Detail(_CODE, "id of a key of the log"),
    "file": Detail(_NAME, "file of the second journal"),
    "earliest": Detail(_MOMENT, "of when the first of them is"),
    "latest": Detail(_MOMENT, "of when the last of them is"),
    "bytes": Detail(_NUMBERS, "ranges of bytes that do not open, the second end excluded"),
}  # fmt: skip
"""Name → what it holds."""

_CODE_FORM = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.,:/@#+()'-]{0,199}")
_MOMENT_FORM = re.compile(r"\d{4}-\d\d-\d\d(T\d\d:\d\d:\d\d(\.\d+)?Z)?")
_DIGEST_FORM = re.compile(r"[0-9a-f]{16,64}")


def _code(value: Any) -> bool:
    return isinstance(value, str) and bool(_CODE_FORM.fullmatch(value))


def _count(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> bool:
    whole = isinstance(value, int)
    return whole or (isinstance(value, list | tuple) and all(_number(one) for one in value))


_HOLDS: Mapping[Kind, Callable[[Any], bool]] = {
    Kind.CODE: _code,
    Kind.CODES: lambda value: isinstance(value, list | tuple) and all(map(_code, value)),
    Kind.COUNT: _count,
    Kind.COUNTS: lambda value: (
        isinstance(value, dict) and all(_code(name) and _count(one) for name, one in value.items())
    ),
    Kind.MARK: lambda value: isinstance(value, bool),
    Kind.MOMENT: lambda value: isinstance(value, str) and bool(_MOMENT_FORM.fullmatch(value)),
    Kind.NAME: lambda value: isinstance(value, str) and len(value) <= 200 and value.isprintable(),
    Kind.NUMBERS: _number,
    Kind.DIGESTS: lambda value: (
        isinstance(value, dict)
        and all(_code(name) and bool(_DIGEST_FORM.fullmatch(one)) for name, one in value.items())
    ),
    Kind.WORDS: lambda value: isinstance(value, str),
}


def faults(details: Mapping[str, Any]) -> Iterator[str]:
    """What of an event's details is not as the table says, by name; no value is told."""
    for name, value in details.items():
        row = DETAILS.get(name)
        if row is None:
            yield f"{name}: not in the table"
        elif value is not None and not _HOLDS[row.kind](value):
            yield f"{name}: expected {row.kind.value}"
