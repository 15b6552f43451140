"""The parts of an Excel workbook (ECMA-376: a zip of XML parts): its sheets, styles and strings.

Rules:
- Only .xlsx and .xlsm are read. A password, the older .xls and the binary .xlsb are told apart, so
  that the refusal says what to do.
- What the whole zip says that it expands to is held against the limits before any part is opened;
  no part gives more than it said.
- A part that is held in memory as a whole is bounded by `max_document_bytes`.
- No part may declare a document type: Excel writes none, and entity bombs need one.
- Nothing is unpacked to disk, nothing outside the workbook is opened, no macro or formula is run.
"""

from __future__ import annotations

import io
import posixpath
import re
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from lxml import etree

from adapters.feed_bytes import bounded, expanded_limit
from schemas.errors import FeedRefused
from schemas.settings import Limits

PLAIN, MOMENT = 0, -1
"""How a number is shown: as it is, or as a date or time. Above 0: with so many digits."""
_OLD_CONTAINER = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
_ENCRYPTED = "EncryptedPackage".encode("utf-16-le")
_MOST_PARTS = 10_000
_CHUNK = 1 << 16
_MOMENT_FORMATS = frozenset(
    map(str, [*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)])
)
"""Numbers of the built-in formats that show dates and times (ECMA-376 18.8.30)."""
_LONGEST_FORMAT = 255
"""Characters of a number format; Excel writes no longer one."""
_LITERAL = re.compile(r'"[^"]*"|\\.|_.|\*.|\[(?![hms]+\])[^\]]*\]', re.IGNORECASE)
"""What a number format shows as it stands, or does not show."""
_ESCAPED = re.compile("_x((?![Dd][89A-Fa-f])[0-9A-Fa-f]{4})_")
"""A character by its number; no half of a pair."""


@dataclass(frozen=True)
class Sheet:
    """A sheet as the workbook lists it. `place` counts from 1."""

    name: str
    place: int
    hidden: bool
    part: str


class Workbook:
    """An open workbook.

    Attributes:
        sheets: in the order of the workbook; only those that hold cells, no charts.
        from_1904: dates count from 1904 instead of 1900.
        shown: by style, how a number is shown.
        strings: the texts that cells refer to.
    """

    def __init__(self, archive: zipfile.ZipFile, limits: Limits) -> None:
        """Raises: FeedRefused."""
        self._archive, self._limits = archive, limits
        self._names = {name.lower(): name for name in archive.namelist()}
        main = self._targets("").get("officeDocument", [("", "")])[0][1]
        if not main:
            raise FeedRefused("not_the_format", "the zip file is no Excel workbook")
        if main.lower().endswith(".bin"):
            raise FeedRefused("not_the_format", f"a binary workbook (.xlsb): {_SAVE}")
        book = self._tree(main)
        related = self._targets(main)
        parts = dict(related.get("worksheet", []))
        self.sheets = tuple(_sheets(book, parts))
        properties = book.find("{*}workbookPr")
        self.from_1904 = properties is not None and properties.get("date1904") in ("1", "true")
        styles, strings = related.get("styles"), related.get("sharedStrings")
        self.shown = _shown(self._tree(styles[0][1])) if styles else [PLAIN]
        self.strings = self._strings(strings[0][1]) if strings else []

    @contextmanager
    def open(self, part: str, most: int | None = None) -> Iterator[io.BufferedReader]:
        """The bytes of a part. Raises (as it goes): FeedRefused."""
        name = self._names.get(part.lower())
        if name is None:
            raise FeedRefused("not_the_format", "the workbook lacks a part that it names")
        size = self._archive.getinfo(name).file_size
        if most is not None and size > most:
            raise FeedRefused("bomb", f"a part of the workbook has {size} bytes; at most {most}")
        try:
            stream = self._archive.open(name)
        except (RuntimeError, NotImplementedError) as error:
            raise FeedRefused(
                "not_the_format", f"the workbook cannot be opened ({type(error).__name__})"
            ) from None
        except (zipfile.BadZipFile, OSError, ValueError) as error:
            raise _torn(error) from None
        with stream:
            yield bounded(cast("io.BufferedReader", stream), size)

    def _tree(self, part: str) -> etree._Element:
        with self.open(part, self._limits.max_document_bytes) as stream:
            data = stream.read()
        return parse_part(data)

    def _targets(self, part: str) -> dict[str, list[tuple[str, str]]]:
        """Kind of relation → (id, part) of those of a part; `` for the workbook's own."""
        folder, name = posixpath.split(part)
        path = posixpath.join(folder, "_rels", f"{name}.rels")
        if path.lower() not in self._names:
            return {}
        found: dict[str, list[tuple[str, str]]] = {}
        for relation in self._tree(path):
            if relation.get("TargetMode") == "External":
                continue
            kind = (relation.get("Type") or "").rpartition("/")[2]
            target = posixpath.normpath(posixpath.join("/", folder, relation.get("Target") or ""))
            found.setdefault(kind, []).append((relation.get("Id") or "", target.lstrip("/")))
        return found

    def _strings(self, part: str) -> list[str]:
        """The shared strings, each without its formatting and reading aids."""
        texts: list[str] = []
        with self.open(part, self._limits.max_document_bytes) as stream:
            _refuse_document_type(stream.peek(_CHUNK)[:_CHUNK])
            try:
                for _, item in etree.iterparse(stream, tag="{*}si", **_SAFE):
                    if not texts and item.getroottree().docinfo.internalDTD is not None:
                        raise _DOCUMENT_TYPE
                    texts.append(string_of(item))
                    item.clear()
                    while item.getprevious() is not None:
                        del item.getparent()[0]
            except etree.XMLSyntaxError:
                raise _MALFORMED from None
        return texts


_SAVE = "open it in Excel and save it as .xlsx"
_SAFE: dict[str, Any] = {
    "resolve_entities": False,
    "no_network": True,
    "load_dtd": False,
    "huge_tree": False,
}
_DOCUMENT_TYPE = FeedRefused(
    "bomb", "a part of the workbook declares a document type, or is not in UTF-8"
)
_MALFORMED = FeedRefused("bad_syntax", "a part of the workbook is not well-formed XML")


@contextmanager
def open_workbook(path: Path, limits: Limits) -> Iterator[Workbook]:
    """The workbook in a file. Raises: FeedRefused."""
    try:
        size = path.stat().st_size
        with path.open("rb") as raw:
            start = raw.read(8)
            if start == _OLD_CONTAINER:
                raise _no_zip(raw)
    except OSError as error:
        raise FeedRefused(
            "unreadable", f"the file could not be opened ({error.strerror})"
        ) from None
    if not size:
        raise FeedRefused("empty", "the file holds no bytes")
    if start[:2] != b"PK":
        raise FeedRefused("not_the_format", "no Excel workbook: it is no zip file")
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, NotImplementedError, OSError, ValueError) as error:
        raise _torn(error) from None
    with archive:
        parts = archive.infolist()
        expanded, most = sum(part.file_size for part in parts), expanded_limit(size, limits)
        if expanded > most or len(parts) > _MOST_PARTS:
            raise FeedRefused(
                "bomb", "the workbook expands beyond the limit; see [limits] in partnership.toml"
            )
        yield Workbook(archive, limits)


def _torn(error: Exception) -> FeedRefused:
    return FeedRefused("torn", f"the workbook is damaged ({type(error).__name__})")


def _no_zip(raw: io.BufferedReader) -> FeedRefused:
    """Why a file in the container of older programs is refused."""
    before = b""
    while piece := raw.read(_CHUNK):
        if _ENCRYPTED in before + piece:
            return FeedRefused(
                "not_the_format",
                "the workbook is protected by a password: send it without, by a way that is safe",
            )
        before = piece[-len(_ENCRYPTED) :]
    return FeedRefused("not_the_format", f"a workbook of Excel 2003 or before (.xls): {_SAVE}")


def parse_part(data: bytes) -> etree._Element:
    """The root of a part held in memory. Raises: FeedRefused."""
    _refuse_document_type(data)
    try:
        return etree.fromstring(data, etree.XMLParser(remove_comments=True, **_SAFE))
    except etree.XMLSyntaxError:  # the parser's own words may quote the document
        raise _MALFORMED from None


def _refuse_document_type(data: bytes) -> None:
    if b"<!DOCTYPE" in data or b"\0" in data:
        raise _DOCUMENT_TYPE


def _sheets(book: etree._Element, parts: dict[str, str]) -> Iterator[Sheet]:
    for place, sheet in enumerate(book.iterfind("{*}sheets/{*}sheet"), 1):
        attributes = {str(name).rpartition("}")[2]: str(value) for name, value in sheet.items()}
        part = parts.get(attributes.get("id", ""))
        if part:
            hidden = attributes.get("state", "visible") != "visible"
            yield Sheet(attributes.get("name", ""), place, hidden, part)


def string_of(item: etree._Element) -> str:
    """The text of a string item: its runs put together, without reading aids."""
    plain = [t.text or "" for t in item.iterfind("{*}t")]
    runs = [t.text or "" for t in item.iterfind("{*}r/{*}t")]
    return unescaped("".join([*plain, *runs]))


def unescaped(text: str) -> str:
    """A text with the characters that XML cannot hold put back (ECMA-376 22.9.2.19)."""
    if "_x" not in text:
        return text
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text)


def _shown(styles: etree._Element) -> list[int]:
    """By style, how a number is shown."""
    own = {f.get("numFmtId"): f.get("formatCode") or "" for f in styles.iterfind("{*}numFmts/*")}
    return [_kind(x.get("numFmtId") or "0", own) for x in styles.iterfind("{*}cellXfs/*")] or [0]


def _kind(number: str, own: dict[str | None, str]) -> int:
    if number not in own:
        return MOMENT if number in _MOMENT_FORMATS else PLAIN
    if len(own[number]) > _LONGEST_FORMAT:
        raise FeedRefused(
            "bad_syntax", "a number format of the workbook is longer than Excel's own"
        )
    shown = _LITERAL.sub("", own[number].partition(";")[0])
    if re.search("[dmyhs]", shown, re.IGNORECASE) and "general" not in shown.lower():
        return MOMENT
    digits = re.sub("[ -]", "", shown)
    return len(digits) if re.fullmatch("0{2,}", digits) else PLAIN
