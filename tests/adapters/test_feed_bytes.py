"""The bytes of feeds: compression, bombs, damage, lines of any length."""

from __future__ import annotations

import gzip
import io
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.feed_bytes import KEPT_RAW_BYTES, open_feed, read_lines
from schemas.errors import FeedRefused
from schemas.settings import Limits


def zipped(**members: bytes) -> bytes:
    """A zip file in memory."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def content(folder: Path, data: bytes, limits: Limits = Limits()) -> bytes:  # noqa: B008
    """What the feed with these bytes gives."""
    path = folder / "feed"
    path.write_bytes(data)
    with open_feed(path, limits) as stream:
        return stream.read()


@pytest.mark.parametrize(
    "data",
    [b"plain", gzip.compress(b"plain"), gzip.compress(b"pl") + gzip.compress(b"ain"),
     zipped(**{"../../evil": b"plain"})],
    ids=["plain", "gzip", "gzip in two members", "zip, whatever its name says"],
)  # fmt: skip
def test_content(tmp_path: Path, data: bytes) -> None:
    assert content(tmp_path, data) == b"plain"


BOMB = b"\0" * (3 << 20)


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        pytest.param(b"", "empty", id="nothing"),
        pytest.param(gzip.compress(BOMB), "bomb", id="a gzip bomb"),
        pytest.param(zipped(a=BOMB), "bomb", id="a zip bomb"),
        pytest.param(gzip.compress(b"plain" * 99)[:-9], "torn", id="a torn gzip"),
        pytest.param(b"\x1f\x8bnot gzip", "torn", id="no gzip at all"),
        pytest.param(zipped(a=b"plain" * 99)[:-9], "torn", id="a torn zip"),
        pytest.param(zipped(a=b"1", b=b"2"), "not_the_format", id="two files in a zip"),
    ],
)
def test_refused(tmp_path: Path, data: bytes, reason: str) -> None:
    with pytest.raises(FeedRefused) as caught:
        content(tmp_path, data, Limits(max_expansion_ratio=20))
    assert caught.value.reason == reason


def test_whatever_byte_of_a_zip_is_altered_it_is_read_or_refused(tmp_path: Path) -> None:
    sound = zipped(a=b"plain")
    for place in range(4, len(sound)):
        for other in (0, 1, 127, 255):
            data = sound[:place] + bytes([other]) + sound[place + 1 :]
            try:
                assert len(content(tmp_path, data)) <= len(b"plain")
            except FeedRefused as refused:
                assert refused.reason in ("torn", "not_the_format")  # noqa: PT017


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FeedRefused, match="unreadable"), open_feed(tmp_path / "gone", Limits()):
        pass


def test_the_limit_on_expanded_bytes_holds(tmp_path: Path) -> None:
    noise = bytes(range(256)) * 20
    assert content(tmp_path, gzip.compress(noise), Limits(max_expanded_bytes=5120)) == noise
    with pytest.raises(FeedRefused, match="bomb"):
        content(tmp_path, gzip.compress(noise), Limits(max_expanded_bytes=5119))


def lines(data: bytes, most: int) -> list[tuple[int, bytes, int, bool, bool]]:
    """What `read_lines` gives."""
    return [
        (line.number, line.data, line.length, line.ended, line.too_long)
        for line in read_lines(io.BytesIO(data), most)
    ]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        pytest.param(b"", [], id="nothing"),
        pytest.param(b"\n", [(1, b"", 0, True, False)], id="a blank line"),
        pytest.param(
            b"a\r\nb", [(1, b"a", 1, True, False), (2, b"b", 1, False, False)], id="CRLF, no end"
        ),
        pytest.param(b"a\rb\n", [(1, b"a\rb", 3, True, False)], id="a lone CR stays"),
        pytest.param(b"12345\r\n", [(1, b"12345", 5, True, False)], id="at the limit"),
        pytest.param(b"123456\n", [(1, b"12345", 6, True, True)], id="one over"),
        pytest.param(b"123456", [(1, b"12345", 6, False, True)], id="one over, no end"),
        pytest.param(
            b"1234567890\nb\n",
            [(1, b"12345", 11, True, True), (2, b"b", 1, True, False)],
            id="far over",
        ),
    ],
)
def test_lines(data: bytes, expected: list[tuple[int, bytes, int, bool, bool]]) -> None:
    assert lines(data, 5) == expected


def test_a_huge_line_is_kept_only_in_part() -> None:
    (first, second) = read_lines(io.BytesIO(b"x" * (3 << 20) + b"\ny\n"), 1 << 20)
    assert first.too_long
    assert len(first.data) == KEPT_RAW_BYTES
    assert (second.number, second.data) == (2, b"y")


@given(st.lists(st.binary(max_size=8).filter(lambda b: b"\n" not in b and b"\r" not in b)))
@settings(max_examples=50, deadline=None)
def test_lines_are_those_that_were_joined(parts: list[bytes]) -> None:
    read = list(read_lines(io.BytesIO(b"".join(part + b"\n" for part in parts)), 8))
    assert [line.data for line in read] == parts
    assert all(line.ended and not line.too_long for line in read)
