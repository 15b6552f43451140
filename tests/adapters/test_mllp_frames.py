"""MLLP frames: whatever a stream holds and however it is split, its messages are the same ones."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.feed_bytes import KEPT_RAW_BYTES
from adapters.mllp_frames import Framed, Framer, framed

MOST = 40


def cut(pieces: list[bytes], most: int = MOST) -> tuple[list[Framed], tuple[int | None, int, int]]:
    """The messages of a stream in pieces, and what was none."""
    framer = Framer(most)
    found = [one for piece in pieces for one in framer.feed(piece)]
    return found, (framer.unfinished, framer.broken, framer.outside)


def naive(stream: bytes) -> tuple[list[bytes], int]:
    """Messages of a stream, and broken frames: read letter by letter, as the rules say it."""
    messages, broken = [], 0
    content: bytes | None = None
    for byte in (stream[n : n + 1] for n in range(len(stream))):
        if byte == b"\x0b":
            broken += content is not None
            content = b""
        elif content is not None:
            content += byte
            if content.endswith(b"\x1c\r"):
                messages.append(content[:-2])
                content = None
    return messages, broken


streams = st.lists(
    st.one_of(
        st.sampled_from([b"\x0b", b"\x1c", b"\r", b"\x1c\r", b"MSH", b"\n", b" "]),
        st.binary(max_size=60).map(framed),
        st.binary(max_size=12),
    ),
    max_size=14,
).map(b"".join)


@given(stream=streams, cuts=st.lists(st.integers(0, 400), max_size=12))
def test_any_split_gives_the_messages_of_the_rules(stream: bytes, cuts: list[int]) -> None:
    places = [0, *sorted(min(one, len(stream)) for one in cuts), len(stream)]
    pieces = [stream[a:b] for a, b in pairwise(places)]
    split, rest = cut(pieces)
    letters, last = cut([stream[n : n + 1] for n in range(len(stream))])
    assert (split, rest) == (letters, last)
    messages, broken = naive(stream)
    assert [(m[:MOST], len(m)) for m in messages] == [(one.content, one.length) for one in split]
    assert rest[1] == broken


CASES: list[tuple[str, bytes, list[bytes], tuple[int | None, int, int]]] = [
    ("nothing", b"", [], (None, 0, 0)),
    ("one", b"\x0bA\x1c\r", [b"A"], (None, 0, 0)),
    ("two in one packet", b"\x0bA\x1c\r\x0bB\x1c\r", [b"A", b"B"], (None, 0, 0)),
    ("line ends between", b"\r\n\x0bA\x1c\r\r\n \t\x0bB\x1c\r\n", [b"A", b"B"], (None, 0, 0)),
    ("garbage before", b"GET / HTTP\x0bA\x1c\r", [b"A"], (None, 0, 0)),
    ("garbage behind", b"\x0bA\x1c\rGET /", [b"A"], (None, 0, 4)),
    ("half a frame", b"\x0bABC", [], (3, 0, 0)),
    ("an end that waits", b"\x0bABC\x1c", [], (3, 0, 0)),
    ("cut in the middle, then anew", b"\x0bAB\x0bC\x1c\r", [b"C"], (None, 1, 0)),
    ("no return behind the end", b"\x0bA\x1c\x0bB\x1c\r", [b"B"], (None, 1, 0)),
    ("an end byte inside", b"\x0bA\x1cB\x1c\r", [b"A\x1cB"], (None, 0, 0)),
    ("two end bytes", b"\x0bA\x1c\x1c\r", [b"A\x1c"], (None, 0, 0)),
    ("an end without a beginning", b"\x1c\r\x0bA\x1c\r", [b"A"], (None, 0, 0)),
    ("an empty message", b"\x0b\x1c\r", [b""], (None, 0, 0)),
]


@pytest.mark.parametrize(("stream", "messages", "rest"), [case[1:] for case in CASES],
                         ids=[case[0] for case in CASES])  # fmt: skip
def test_each_case_has_its_rule(
    stream: bytes, messages: list[bytes], rest: tuple[int | None, int, int]
) -> None:
    found, left = cut([stream])
    assert [one.content for one in found] == messages
    assert left == rest


def test_one_over_the_limit_keeps_its_beginning_only() -> None:
    most = KEPT_RAW_BYTES * 3
    for length in (most - 1, most, most + 1, most * 5):
        content = random.Random(length).randbytes(length).translate(None, b"\x0b\x1c")
        content += b"x" * (length - len(content))
        stream = framed(content)
        found, _ = cut([stream[n : n + 9_999] for n in range(0, len(stream), 9_999)], most)
        (one,) = found
        assert (one.length, one.too_long) == (length, length > most)
        assert one.content == (content[:KEPT_RAW_BYTES] if one.too_long else content)
