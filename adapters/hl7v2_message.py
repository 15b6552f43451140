r"""One HL7 v2 message: delimiters, character set, segments, fields, escapes. Bytes in, text out.

Rules (HL7 v2.9, chapter 2, "Control"):
- Delimiters are what MSH-1 and MSH-2 say, not what is usual. Fewer than four in MSH-2, or ones that
  repeat or are letters, digits or blanks: the message cannot be read (`bad_syntax`).
- The character set is what MSH-18 says, else what the source's settings say. A byte that is not in
  it quarantines the message (`encoding`); nothing is guessed or replaced. A NUL byte: `nul`.
- Segments end as the first one ends: CR, LF or CRLF. If that is CR, an LF inside a field is text.
- Every line begins with a segment id and a field separator. A line that does not is damage
  (`bad_syntax`), because joining it to its neighbour would invent a value.
- A field `""` says "delete what you hold": for a snapshot that is the same as no value.
- Known escapes are taken out: `\F\ \S\ \T\ \R\ \E\ \P\ \Xdd..\ \.br\ \.sp\ \H\ \N\`; all others,
  and a lone escape character, stay as sent.
- Segments are split when asked for: most messages are read by a handful of their fields.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache

from schemas.errors import InvalidValue, shape_of

REQUIRED_DELIMITERS = 4
"""Component, repetition, escape, subcomponent: MSH-2 holds these, and since 2.7 a fifth."""

CHARACTER_SETS: dict[str, str] = {
    "ASCII": "ascii",
    "8859/1": "iso8859-1",
    "8859/2": "iso8859-2",
    "8859/3": "iso8859-3",
    "8859/4": "iso8859-4",
    "8859/5": "iso8859-5",
    "8859/6": "iso8859-6",
    "8859/7": "iso8859-7",
    "8859/8": "iso8859-8",
    "8859/9": "iso8859-9",
    "8859/15": "iso8859-15",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "WINDOWS-1252": "cp1252",
}
"""MSH-18 → codec (HL7 table 0211; the last two are what senders write without it)."""

VERSIONS = frozenset(
    {
        *("2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6"),
        *("2.7", "2.7.1", "2.8", "2.8.1", "2.8.2", "2.9", "2.9.1"),
    }
)
"""HL7 table 0104."""

_SEGMENT_ID = re.compile(r"[A-Z][A-Z0-9]{2}")
_BLANK = " \t\n\x0b\x1c"


class MessageFault(InvalidValue):
    """A message that cannot be loaded, and why.

    Args:
        field: the HL7 name of the field at fault (`PID-7`), '' for the whole message.
        code: a key of `schemas.records.REASONS`.
        reason: what was expected and what kind of thing came; never a value.
    """

    def __init__(self, field: str, code: str, reason: str) -> None:
        self.field = field
        self.code = code
        super().__init__(reason)


class Syntax:
    """The delimiters of a message and how text is taken apart by them. Built by `syntax_of`."""

    __slots__ = ("_escapes", "_literal", "component", "escape", "field", "repetition", "sub")

    def __init__(self, field: str, encoding: str) -> None:
        self.field = field
        self.component, self.repetition = encoding[0], encoding[1]
        self.escape, self.sub = encoding[2], encoding[3]
        self._literal = {
            "F": field,
            "S": self.component,
            "T": self.sub,
            "R": self.repetition,
            "E": self.escape,
            "P": encoding[REQUIRED_DELIMITERS:] or "#",
            "H": "",
            "N": "",
            ".br": "\n",
            ".sp": "\n",
        }
        mark = re.escape(self.escape)
        known = "|".join(re.escape(k) for k in self._literal)
        self._escapes = re.compile(f"{mark}(?:({known})|X((?:[0-9A-Fa-f]{{2}})+)){mark}")

    def plain(self, text: str) -> str:
        """A value without its escapes and the space around it; '' for `""`."""
        if text.isalnum():
            return text
        if self.escape in text:
            text = self._escapes.sub(self._unescape, text)
        text = text.strip()
        return "" if text == '""' else text

    def _unescape(self, match: re.Match[str]) -> str:
        literal, digits = match.groups()
        if literal is not None:
            return self._literal[literal]
        data = bytes.fromhex(digits)
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError:
            text = data.decode("iso8859-1")
        return match.group() if "\0" in text else text

    def parts(self, text: str, count: int) -> list[str]:
        """The components of one repetition, each its first subcomponent, plain.

        Padded with '' to at least `count`; component n stands at index n - 1.
        """
        sub, plain = self.sub, self.plain
        found = [
            c if not c or c.isalnum() else plain(c.partition(sub)[0] if sub in c else c)
            for c in text.split(self.component)
        ]
        if len(found) < count:
            found += [""] * (count - len(found))
        return found

    def subparts(self, text: str, number: int) -> list[str]:
        """Component `number` (from 1) as plain subcomponents, those with something in them."""
        components = text.split(self.component)
        if number > len(components):
            return []
        parts = [self.plain(p) for p in components[number - 1].split(self.sub)]
        return [p for p in parts if p]

    def every(self, field: str) -> str:
        """All that a field says, as one text: parts joined by spaces, repetitions by line ends."""
        lines = []
        for repetition in field.split(self.repetition):
            text = repetition.replace(self.sub, self.component)
            parts = [self.plain(part) for part in text.split(self.component)]
            lines.append(" ".join(part for part in parts if part))
        return "\n".join(line for line in lines if line)


_DELIMITER = re.compile(r"[^\x00-\x20\x7f\w\"]", re.ASCII)


@lru_cache(maxsize=256)
def syntax_of(field: str, encoding: str) -> Syntax:
    """The syntax that MSH-1 and MSH-2 declare. Raises: MessageFault."""
    if len(encoding) < REQUIRED_DELIMITERS or len(encoding) > REQUIRED_DELIMITERS + 1:
        raise MessageFault(
            "MSH-2", "bad_syntax", f"expected four delimiters (or five); got {shape_of(encoding)}"
        )
    marks = field + encoding
    if len(set(marks)) != len(marks) or not all(_DELIMITER.fullmatch(m) for m in marks):
        raise MessageFault(
            "MSH-2", "bad_syntax", "expected delimiters that differ and are punctuation"
        )
    return Syntax(field, encoding)


class Segment:
    """One segment, split into fields. Fields are numbered as HL7 numbers them, from 1."""

    __slots__ = ("fields", "syntax")

    def __init__(self, syntax: Syntax, line: str) -> None:
        self.syntax = syntax
        self.fields = line.split(syntax.field)

    def raw(self, number: int) -> str:
        """The field as sent, '' if absent or to be deleted."""
        fields = self.fields
        if number >= len(fields):
            return ""
        text = fields[number]
        return "" if text == '""' else text

    def first(self, number: int) -> str:
        """The field's first repetition as sent."""
        fields = self.fields
        if number >= len(fields):
            return ""
        text = fields[number]
        if not text or text.isalnum():
            return text
        text = text.partition(self.syntax.repetition)[0]
        return "" if text == '""' else text

    def value(self, number: int, component: int = 1) -> str:
        """One component of the first repetition: its first subcomponent, plain."""
        fields = self.fields
        if number >= len(fields):
            return ""
        text = fields[number]
        if not text or text.isalnum():
            return text if component == 1 else ""
        syntax = self.syntax
        text = text.partition(syntax.repetition)[0]
        if component != 1:
            return syntax.parts(text, component)[component - 1]
        text = text.partition(syntax.component)[0].partition(syntax.sub)[0]
        return syntax.plain(text)

    def repetitions(self, number: int) -> Sequence[str]:
        """The field's repetitions as sent, those with something in them."""
        fields = self.fields
        if number >= len(fields):
            return ()
        text = fields[number]
        if not text or text == '""':
            return ()
        if self.syntax.repetition not in text:
            return (text,)
        return [r for r in text.split(self.syntax.repetition) if r and r != '""']

    def every(self, number: int) -> str:
        """All that the field says, as one text."""
        return self.syntax.every(self.raw(number))


class Message:
    """A message whose header is read and whose other segments are lines still to be split."""

    __slots__ = ("header", "lines", "syntax")

    def __init__(self, syntax: Syntax, lines: list[str]) -> None:
        self.syntax = syntax
        self.lines = lines[1:]
        self.header = Segment(syntax, lines[0])
        self.header.fields.insert(1, syntax.field)

    def segments(self) -> Iterator[tuple[str, str]]:
        """(segment id, line) of every segment after MSH.

        Raises: MessageFault at a line that does not begin with a segment id.
        """
        separator = self.syntax.field
        for number, line in enumerate(self.lines, 2):
            name = line[:3]
            if line[3:4] not in (separator, "") or not _is_segment_id(name):
                raise MessageFault(
                    "", "bad_syntax", f"segment {number}: expected a segment id and a separator"
                )
            yield name, line


@lru_cache(maxsize=1024)
def _is_segment_id(name: str) -> bool:
    return _SEGMENT_ID.fullmatch(name) is not None


def parse_message(raw: bytes, default_encoding: str) -> Message:
    """A message from its bytes, which begin with `MSH`.

    Args:
        raw: one message without framing; line ends after the last segment do not matter.
        default_encoding: codec for messages whose MSH-18 is empty.

    Raises: MessageFault (`nul`, `encoding`, `bad_syntax`).
    """
    if b"\0" in raw:
        raise MessageFault("", "nul", "expected text; a NUL byte came")
    header = _first_line(raw)
    text = _decode(raw, header, default_encoding)
    separator = text[3:4]
    encoding = text[4 : text.find(separator, 4)] if separator else ""
    if len(header) <= 4 + len(encoding):
        raise MessageFault("MSH-2", "bad_syntax", "expected a header with fields after MSH-2")
    return Message(syntax_of(separator, encoding), _lines(text, len(_header_text(text))))


def _first_line(raw: bytes) -> bytes:
    end = raw.find(b"\n", 0, 65_536)
    line = raw if end < 0 else raw[:end]
    return line.partition(b"\r")[0]


def _decode(raw: bytes, header: bytes, default_encoding: str) -> str:
    fields = header.split(header[3:4], 18) if len(header) > 3 else []
    declared = ""
    if len(fields) > 17:
        first = fields[17].partition(header[5:6])[0] if header[5:6] else fields[17]
        declared = first.decode("ascii", "replace").strip()
    codec = CHARACTER_SETS.get(declared.upper()) if declared else default_encoding
    if codec is None:
        raise MessageFault(
            "MSH-18", "encoding", "the character set it names is not one this reader knows"
        )
    try:
        return raw.decode(codec)
    except UnicodeDecodeError as error:
        raise MessageFault(
            "", "encoding", f"byte {error.start + 1} of the message is not in {codec}"
        ) from None


def _header_text(text: str) -> str:
    return text.partition("\n")[0].partition("\r")[0]


def _lines(text: str, header_length: int) -> list[str]:
    """Splits at the segment end that the first segment uses."""
    end = text[header_length : header_length + 2]
    if end == "\r\n":
        text = text.replace("\r\n", "\r")
    elif end[:1] == "\n":
        text = text.replace("\r\n", "\n").replace("\n", "\r")
    lines = text.split("\r")
    return [line.lstrip("\n") for line in lines if line and line.strip(_BLANK)]
