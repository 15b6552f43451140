"""What a message that came is answered: taken, kept for quarantine, or refused. No I/O.

Rules (HL7 v2.9, chapter 2, "Acknowledgement"; tables 0008, 0155, 0357):
- A message is taken (AA) if reading it in a file would load it; that very reader is asked. What it
  would quarantine is kept all the same, and answered AE with the place and the reason.
- Refused (AR), and not kept: what does not begin with MSH, has no usable delimiters, is of a type
  that is not taken or of a version that is not 2, is over the limit, or makes the reader fail.
- The answer has the message's delimiters; sender and receiver change places, and MSH-10 comes back
  as MSA-2. Nothing else of the message is in it: reasons name fields and kinds, never values.
- MSH-15 and MSH-16 empty: the original mode, each message is answered. Else MSH-15 decides about
  CA, CE and CR; where it asks for none, MSH-16 decides about AA, AE and AR.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from enum import StrEnum

from adapters.hl7v2 import faults_of
from adapters.hl7v2_message import CHARACTER_SETS, VERSIONS
from adapters.hl7v2_person import SourceRules
from adapters.mllp_frames import CONTROL, Framed, framed
from schemas.dates import Instant
from schemas.errors import FeedRefused
from schemas.settings import FileSettings, Limits, SourceSettings

_LOGGER = logging.getLogger("commonthread.listen")
_USUAL = (b"|", b"^~\\&")
_MOST_ECHOED = 1_000
"""Bytes of a field that come back; nobody's name or id of a message is longer."""
_PLACE = re.compile(r"([A-Z][A-Z0-9]{2})(?:-([0-9]+))?")
_TRIGGER = re.compile(rb"[A-Z][A-Z0-9]{2}")


class Verdict(StrEnum):
    """Last letter of the code of HL7 table 0008."""

    TAKEN = "A"
    FAULTY = "E"
    REFUSED = "R"


@dataclass(frozen=True)
class Judged:
    """What becomes of a message, and why: the field at fault, a reason's code, words for it."""

    verdict: Verdict
    field: str = ""
    code: str = ""
    reason: str = ""


TAKEN = Judged(Verdict.TAKEN)
NOT_KEPT = Judged(Verdict.REFUSED, "", "unforeseen", "it could not be stored; send it again")
CONDITIONS: dict[str, tuple[Verdict, ...]] = {
    "AL": tuple(Verdict),
    "NE": (),
    "ER": (Verdict.FAULTY, Verdict.REFUSED),
    "SU": (Verdict.TAKEN,),
}
"""HL7 table 0155: which verdicts are answered."""
_ERRORS: dict[str, str] = {
    "bad_syntax": "100",
    "missing_value": "101",
    "bad_value": "102",
    "encoding": "102",
    "nul": "102",
    "not_supported": "200",
    "bad_version": "203",
}
"""Reason → HL7 table 0357; any other is 207, an error within."""


class Judge:
    """Says of single messages what reading them in a file of a source would say."""

    def __init__(self, source: SourceSettings, settings: FileSettings, limits: Limits) -> None:
        self._rules, self._limits = SourceRules(source, settings), limits

    def judge(self, message: Framed) -> Judged:
        """What becomes of a message."""
        why = self._strange(message)
        if why is not None:
            return why
        try:
            faults = faults_of(framed(message.content), self._rules, self._limits)
        except FeedRefused as refusal:
            return _refused("", refusal.reason, refusal.message)
        except Exception as error:  # its text may hold a person's values: only its kind is told
            _LOGGER.error("the reader failed on a message (%s); refused", type(error).__name__)
            return _refused("", "unforeseen", "the reader failed; tell those who run this system")
        if not faults:
            return TAKEN
        first = faults[0]
        verdict = Verdict.REFUSED if first.field in ("MSH-2", "MSH-9") else Verdict.FAULTY
        return Judged(verdict, first.field, first.code, str(first))

    def _strange(self, message: Framed) -> Judged | None:
        """Why a message need not be read, if so."""
        if message.too_long:
            most = self._limits.max_message_bytes
            return _refused("", "too_long", f"a message of {message.length} bytes; at most {most}")
        if not message.content.startswith(b"MSH"):
            return _refused("", "bad_syntax", "expected a message that begins with MSH")
        if CONTROL in message.content:
            return _refused("", "bad_syntax", "a byte of the framing stands within the message")
        version = _Header(message.content).version
        if version and version.split(b".")[0] != b"2":
            return _refused("MSH-12", "bad_version", "expected a version 2")
        return None


def _refused(field: str, code: str, reason: str) -> Judged:
    return Judged(Verdict.REFUSED, field, code, reason)


class _Header:
    """The fields of a header as sent; empty where it has none."""

    def __init__(self, content: bytes) -> None:
        line = re.split(rb"[\r\n]", content[:65_536], maxsplit=1)[0]
        sep = line[3:4]
        marks = line[4:].split(sep, 1)[0] if sep else b""
        if line[:3] != b"MSH" or not _usable(sep + marks):
            line, (sep, marks) = b"", _USUAL
        self.sep, self.marks = sep, marks
        self._fields = [b"MSH", *line.split(sep)] if line else []

    def field(self, number: int) -> bytes:
        """A field by its number, whole; nothing if it is not there or longer than any should be."""
        found = self._fields[number] if number < len(self._fields) else b""
        return found if len(found) <= _MOST_ECHOED else b""

    def first(self, number: int) -> bytes:
        """The first component of a field."""
        return self.field(number).split(self.marks[:1])[0].strip()

    @property
    def version(self) -> bytes:
        return self.first(12)


def _usable(marks: bytes) -> bool:
    return len(marks) >= 5 and len(set(marks)) == len(marks) and not re.search(rb"[\w\s\"]", marks)


def answer(content: bytes, judged: Judged, now: Instant, number: str) -> bytes | None:
    """The answer to a message, without its frame; None if its sender wants none.

    Args:
        content: the message, or its beginning with the header.
        number: what the answer's MSH-10 is to be.
    """
    header = _Header(content)
    mode = _mode(header, judged.verdict)
    if mode is None:
        return None
    sep = header.sep
    segments = [
        _head(header, now, number),
        [b"MSA", f"{mode}{judged.verdict}".encode(), header.field(10)],
    ]
    if judged.verdict is not Verdict.TAKEN:
        segments[1].append(_escaped(judged.reason, header))
        segments.append(_error(judged, header))
    return b"".join(sep.join(segment) + b"\r" for segment in segments)


def _mode(header: _Header, verdict: Verdict) -> str | None:
    """`A` or `C` before the verdict's letter; None: no answer."""
    accept, application = (header.first(n).decode("ascii", "replace").upper() for n in (15, 16))
    if verdict in CONDITIONS.get(accept, ()):
        return "C"
    wanted = CONDITIONS.get(application, tuple(Verdict))
    return "A" if verdict in wanted else None


def _head(header: _Header, now: Instant, number: str) -> list[bytes]:
    trigger = header.field(9).split(header.marks[:1])[1:2]
    kind = [b"ACK", *trigger, b"ACK"] if trigger and _TRIGGER.fullmatch(trigger[0]) else [b"ACK"]
    mode = header.first(11).upper()
    version = header.version.decode("ascii", "replace")
    charset = header.first(18).decode("ascii", "replace")
    fields = [
        b"MSH",
        header.marks,
        *(header.field(n) for n in (5, 6, 3, 4)),
        f"{re.sub('[^0-9]', '', now)}+0000".encode(),
        b"",
        header.marks[:1].join(kind),
        number.encode(),
        mode if mode in (b"P", b"T", b"D") else b"P",
        (version if version in VERSIONS else "2.5").encode(),
    ]
    if charset.upper() in CHARACTER_SETS:
        fields += [b""] * 5 + [charset.encode()]
    return fields


def _error(judged: Judged, header: _Header) -> list[bytes]:
    """The ERR segment: where (ERR-2), what by table 0357 (ERR-3), how grave, in words (ERR-8)."""
    component = header.marks[:1]
    place = _PLACE.match(judged.field)
    where = [place[1].encode(), b"1"] if place else []
    if place and place[2]:
        where.append(place[2].encode())
    code = [_ERRORS.get(judged.code, "207").encode(), b"", b"HL70357"]
    told = _escaped(judged.reason, header)
    return [b"ERR", b"", component.join(where), component.join(code), b"E", b"", b"", b"", told]


def _escaped(text: str, header: _Header) -> bytes:
    """Our own words, with the delimiters in them as escapes."""
    component, repetition, escape, sub = (header.marks[n : n + 1] for n in range(4))
    names = {header.sep: b"F", component: b"S", repetition: b"R", escape: b"E", sub: b"T"}
    pieces = (bytes([byte]) for byte in text.encode("ascii", "replace"))
    return b"".join(escape + names[one] + escape if one in names else one for one in pieces)
