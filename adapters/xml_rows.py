"""Reads XML extracts by the mapping that the settings declare: one element for each row.

Rules:
- `record` says where the elements of the rows stand, from the root on; a path of the mapping, where
  in such an element a value stands. Names are compared without their namespaces.
- What a path finds more than once is joined by line ends. A path that no record has is counted,
  unless it is declared optional: it may be misspelt.
- The file is read as it comes: memory is bounded by one record, and a record by `max_unit_bytes`,
  as far as a block of the file goes beyond it.
- A file that breaks off, or is not well-formed from some place on, is refused; the whole records
  before that place are loaded. So is one in which nothing stands where records should: a list of
  nobody has at least the element that would hold them, and nothing else in it.
- No document type may be declared: extracts need none, entity bombs and references to what lies
  outside do. The parser resolves no entity and opens nothing.
- No message holds a value: messages name paths, lines and the number of the record.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import BinaryIO, cast

from lxml import etree

from adapters.batches import BatchBuilder
from adapters.delimited_lines import Row, RowFault
from adapters.feed_bytes import KEPT_RAW_BYTES, open_feed
from adapters.row_units import RowUnits
from schemas.columns import UnitBatch
from schemas.errors import FeedRefused
from schemas.settings import Limits, SourceSettings
from service.ports import FeedFile

_BLOCK = 1 << 16
_STEP = re.compile(r"[^\W\d][\w.\-]*(?:\[[^\]]*\])*")
_ATTRIBUTE = re.compile(r"(?:^|/)@([\w.\-]+)$")
_FAULTS_HELD_BACK = frozenset({
    etree.ErrorTypes.ERR_NAME_REQUIRED, etree.ErrorTypes.ERR_ENTITYREF_SEMICOL_MISSING,
    etree.ErrorTypes.ERR_UNDECLARED_ENTITY, etree.ErrorTypes.ERR_TAG_NAME_MISMATCH,
    etree.ErrorTypes.ERR_INVALID_ENCODING,
})  # fmt: skip
"""Faults that the parser tells when it is asked to end, of files that need not be torn."""
_ENCODING_FAULTS = frozenset({
    etree.ErrorTypes.ERR_INVALID_ENCODING, etree.ErrorTypes.ERR_UNSUPPORTED_ENCODING,
    etree.ErrorTypes.ERR_UNKNOWN_ENCODING, etree.ErrorTypes.ERR_INVALID_CHAR,
})  # fmt: skip
_DOCUMENT_TYPE = tuple("<!DOCTYPE".encode(name) for name in ("ascii", "utf-16-le", "utf-16-be"))


def read_xml(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    """The records of an extract as batches. Raises (as it goes): FeedRefused."""
    settings = feed.settings
    paths = tuple(dict.fromkeys(c for columns in settings.columns.values() for c in columns))
    with open_feed(feed.path, limits) as stream:
        builder = BatchBuilder(limits.batch_units)
        units = RowUnits(paths, settings, source, builder)
        records = _Records(stream, settings.record or "", paths, limits.max_unit_bytes)
        refusal: FeedRefused | None = None
        try:
            for block in records.blocks():
                yield from units.load(block, "record {}".format)
        except FeedRefused as refused:
            refusal = refused
        for path in records.never_found if records.number else ():
            if path not in settings.optional:
                builder.issue(path, "path not found in any record")
        last = builder.take()
        if last.units or last.issues:
            yield last
        if refusal is not None:
            raise refusal


class _Records:
    """The records of one file.

    Attributes:
        number: of the last record that was read, from 1.
        never_found: the paths that no record had so far.
    """

    def __init__(self, stream: BinaryIO, record: str, paths: Sequence[str], max_bytes: int) -> None:
        self._stream, self._names, self._max_bytes = stream, record.split("/"), max_bytes
        self._paths = [(path, *_compiled(path)) for path in paths]
        self.never_found = set(paths)
        self.number = 0

    def blocks(self) -> Iterator[list[Row]]:
        """The rows, some at a time. Raises (as it goes): FeedRefused."""
        parser = etree.XMLPullParser(
            events=("end",), tag="{*}" + self._names[-1], resolve_entities=False,
            no_network=True, load_dtd=False, huge_tree=False, remove_comments=True,
            remove_pis=True,
        )  # fmt: skip
        since, first = 0, True
        while chunk := self._stream.read(_BLOCK):
            if first and any(mark in chunk for mark in _DOCUMENT_TYPE):
                raise FeedRefused("bomb", "the XML declares a document type; extracts need none")
            first = False
            fault = _feed(parser, chunk)
            ended = [cast("etree._Element", element) for _, element in parser.read_events()]
            rows = [row for element in ended if (row := self._row(element))]
            since = 0 if rows else since + len(chunk)
            yield rows
            if fault is not None:
                raise self._broken(*_told(fault))
            if since > self._max_bytes + _BLOCK:
                raise self._without_end(parser)
        self._check_end(parser)

    def _without_end(self, parser: etree.XMLPullParser) -> FeedRefused:
        """Why no record ended for so long. The parser holds back what could still become right, as
        a lone `&` does: asked to end, it tells."""
        try:
            parser.close()
        except etree.XMLSyntaxError as error:
            if _code(error) in _FAULTS_HELD_BACK:
                return self._broken(*_told(error))
        if not self.number:
            where, most = "/".join(self._names), self._max_bytes
            return FeedRefused("not_the_format", f"no {where!r} in the first {most} bytes")
        return self._broken("too_long", f"more than {self._max_bytes} bytes to the next")

    def _check_end(self, parser: etree.XMLPullParser) -> None:
        """Raises: FeedRefused where the file breaks off, or is another than it should be."""
        try:
            root = parser.close()
        except etree.XMLSyntaxError as error:
            if _code(error) in _FAULTS_HELD_BACK:
                raise self._broken(*_told(error)) from None
            raise self._broken("torn", "the file breaks off") from None
        if _local(root) != self._names[0]:
            raise FeedRefused(
                "not_the_format",
                f"`record` begins with {self._names[0]!r}, but the file's root has another name",
            )
        if not self.number:
            self._check_nobody(root)

    def _check_nobody(self, root: etree._Element) -> None:
        """Raises: FeedRefused where the file without a record is no list of nobody."""
        holders = [root]
        for depth, name in enumerate(self._names[1:-1], 1):
            under = "/".join(self._names[:depth])
            holders = [node for held in holders for node in held if _local(node) == name]
            if not holders:
                told = f"under {under!r} no element is called {name!r}; see `record`"
                raise FeedRefused("not_the_format", told)
        if any(len(held) for held in holders):
            under, name = "/".join(self._names[:-1]), self._names[-1]
            told = f"under {under!r} there are elements, but none is called {name!r}; see `record`"
            raise FeedRefused("not_the_format", told)

    def _broken(self, reason: str, message: str) -> FeedRefused:
        return FeedRefused(reason, f"after record {self.number}: {message}")

    def _row(self, element: etree._Element) -> Row | None:
        """The row of an element; None where it stands elsewhere than the records."""
        ancestors = [element, *element.iterancestors()]
        if [_local(node) for node in reversed(ancestors)] != self._names:
            return None
        self.number += 1
        if element.getroottree().docinfo.internalDTD is not None:
            raise FeedRefused("bomb", "the XML declares a document type; extracts need none")
        raw = etree.tostring(element, encoding="utf-8", with_tail=False)
        row: list[str] | RowFault = [self._text(element, *path) for path in self._paths]
        if len(raw) > self._max_bytes:
            told = f"the record has {len(raw)} bytes; at most {self._max_bytes}"
            row, raw = RowFault("too_long", told), raw[:KEPT_RAW_BYTES]
        element.clear()
        for node in ancestors:
            above = node.getparent()
            while above is not None and above[0] is not node:
                del above[0]
        return self.number, row, raw

    def _text(self, element: etree._Element, path: str, inner: str, attribute: str) -> str:
        """What a path finds in a record."""
        found = element.findall(inner) if inner else [element]
        if attribute:
            texts = [str(value) for node in found if (value := node.get(attribute)) is not None]
        else:
            texts = [_inner(node) for node in found]
        if texts:
            self.never_found.discard(path)
        return texts[0] if len(texts) == 1 else "\n".join(filter(None, texts))


def _feed(parser: etree.XMLPullParser, chunk: bytes) -> etree.XMLSyntaxError | None:
    """Gives the parser a block; what is wrong with the XML, if anything is."""
    try:
        parser.feed(chunk)
    except etree.XMLSyntaxError as error:
        return error
    return None


def _code(error: etree.XMLSyntaxError) -> int:
    return int(getattr(error, "code", 0))  # the stubs lack it


def _told(error: etree.XMLSyntaxError) -> tuple[str, str]:
    """A reason, and where it is. The error's own words may quote the document."""
    if _code(error) in _ENCODING_FAULTS:
        return "encoding", f"line {error.lineno}: not in the encoding that the file declares"
    return "bad_syntax", f"line {error.lineno}: the XML is not well-formed"


def _inner(node: etree._Element) -> str:
    """All text in an element, trimmed."""
    text = "".join(map(str, node.itertext())) if len(node) else node.text or ""
    return text.strip()


def _local(node: etree._Element) -> str:
    return str(node.tag).rpartition("}")[2]


def _compiled(path: str) -> tuple[str, str]:
    """The elements of a path, whatever their namespaces, and the attribute, '' for none."""
    attribute = _ATTRIBUTE.search(path)
    elements = path[: attribute.start()] if attribute else path
    steps = "/".join("{*}" + step[0] for step in _STEP.finditer(elements))
    return steps, attribute[1] if attribute else ""
