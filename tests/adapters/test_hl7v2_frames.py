"""How files are cut into messages: line ends, MLLP, batches, breaks, borders."""

from __future__ import annotations

import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.hl7v2_frames import read_frames
from schemas.errors import FeedRefused

ONE = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|1|P|2.4\rPID|1||11\r"
TWO = b"MSH|^~\\&|A|B|C|D|2026||ADT^A01|2|P|2.4\rPID|1||22\r"
ODD = b"MSH$%@!*$A$B$C$D$2026$$ADT%A01$3$P$2.4\rPID$1$$33\r"
FHS, BHS = b"FHS|^~\\&|A\r", b"BHS|^~\\&|A\r"


class Dribble(io.BytesIO):
    """A stream that gives a few bytes at a time, so that every border falls everywhere."""

    step = 7

    def read(self, size: int | None = -1) -> bytes:
        return super().read(self.step)


def frames(data: bytes, limit: int = 1 << 20):
    issues: list[tuple[str, str]] = []
    found = list(read_frames(io.BytesIO(data), limit, issues))
    in_bits: list[tuple[str, str]] = []
    assert list(read_frames(Dribble(data), limit, in_bits)) == found
    assert in_bits == issues
    return found, issues


@pytest.mark.parametrize(
    ("data", "bodies"),
    [
        (ONE, [ONE]),
        (ONE + TWO, [ONE, TWO]),
        (ONE + ODD + TWO, [ONE, ODD, TWO]),
        (b"\xef\xbb\xbf" + ONE + b"\xef\xbb\xbf" + TWO, [ONE, TWO]),
        (ONE + b"\r\r\n\n" + TWO + b"\r\x1a", [ONE, TWO]),
        (b"\r\n " + ONE, [ONE]),
        (b"\x0b" + ONE + b"\x1c\r\x0b" + TWO + b"\x1c\r", [ONE, TWO]),
        (b"\x0b" + ONE.rstrip() + b"\x1c\r", [ONE]),
        (FHS + BHS + ONE + TWO + b"BTS|2\rFTS|1\r", [ONE, TWO]),
        (BHS + ONE + b"BTS|1\r" + BHS + TWO + b"BTS|1\r", [ONE, TWO]),
        (FHS + BHS + b"BTS|0\rFTS|1\r", []),
        (ONE.replace(b"\r", b"\n") + TWO.replace(b"\r", b"\n"), [ONE, TWO]),
        (ONE.replace(b"\r", b"\r\n") + TWO.replace(b"\r", b"\r\n"), [ONE, TWO]),
    ],
    ids=lambda v: None,
)
def test_messages_are_found_whole(data, bodies):
    found, issues = frames(data)
    plain = [f.raw.replace(b"\r\n", b"\r").replace(b"\n", b"\r") for f in found]
    assert plain == [body.rstrip() for body in bodies]
    assert all(f.is_message and not f.torn for f in found)
    assert issues == []


@pytest.mark.parametrize(
    ("data", "torn"),
    [
        (ONE.rstrip(), [False]),
        (ONE + TWO.rstrip(), [False, True]),
        (ONE.rstrip() + TWO, [True, False]),
        (b"\x0b" + ONE + b"\x1c\r\x0b" + TWO, [False, True]),
        (b"\x0b" + ONE, [True]),
        (BHS + ONE.rstrip(), [True]),
        (ONE + TWO[:25], [False, True]),
    ],
)
def test_torn_messages(data, torn):
    found, _ = frames(data)
    assert [f.torn for f in found] == torn


@pytest.mark.parametrize(
    ("data", "issues"),
    [
        (FHS + BHS + ONE + b"BTS|2\rFTS|1\r", [("BTS-1", "count differs")]),
        (FHS + BHS + ONE + b"BTS|1\rFTS|3\r", [("FTS-1", "count differs")]),
        (FHS + BHS + ONE + b"BTS|x\rFTS|1\r", [("BTS-1", "count differs")]),
        (FHS + BHS + ONE + b"BTS\rFTS\r", []),
        (FHS + BHS + ONE, [("BTS", "missing"), ("FTS", "missing")]),
        (BHS + ONE + BHS + TWO + b"BTS|1\r", [("BTS", "missing")]),
        (BHS + ONE + b"BTS|2\r" + BHS + TWO + b"BTS|1\r", [("BTS-1", "count differs")]),
    ],
)
def test_envelope_counts_are_issues(data, issues):
    found, told = frames(data)
    assert told == issues
    assert all(f.is_message and not f.torn for f in found)


@pytest.mark.parametrize(
    ("data", "kinds"),
    [
        (b"garbage\r" + ONE, [False, True]),
        (ONE.replace(b"MSH", b"MXH") + TWO, [False, True]),
        (ONE + TWO.replace(b"MSH", b"M"), [True, False]),
        (ONE[:-1] + b"x" + TWO, [True, True]),
    ],
    ids=["before the first", "damaged name", "shortened name", "lost line end"],
)
def test_a_damaged_header_never_glues_messages(data, kinds):
    found, _ = frames(data)
    assert [f.is_message for f in found] == kinds


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\r\n \n", "empty"),
        (b"a,b,c\n1,2,3\n", "not_the_format"),
        ("MSH|^~\\&|".encode("utf-16"), "encoding"),
    ],
)
def test_files_that_are_no_hl7(data, reason):
    with pytest.raises(FeedRefused) as refused:
        frames(data)
    assert refused.value.reason == reason


@pytest.mark.parametrize("size", [2_000, 100_000])
def test_a_message_over_the_limit_is_skipped_and_its_neighbours_stay(size):
    long = TWO + b"OBX|1|TX|||" + b"x" * size + b"\r"
    found, _ = frames(ONE + long + TWO, 1_000)
    assert [f.too_long for f in found] == [False, True, False]
    assert (found[1].raw, found[1].length) == (long[: 64 << 10], len(long))


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from([ONE, TWO, ODD]), min_size=1, max_size=6),
    st.integers(1, 60),
    st.sampled_from([b"", b"\r", b"\n\n"]),
)
def test_borders_of_what_is_read_at_once_do_not_matter(messages, step, between):
    stream = Dribble(between.join(messages))
    stream.step = step
    found = list(read_frames(stream, 1 << 20, []))
    assert [f.raw for f in found] == [m.rstrip() for m in messages]
