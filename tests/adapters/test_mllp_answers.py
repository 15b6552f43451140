"""What messages are answered: by what a file reader makes of them, in the sender's own delimiters,
and without a word of what they say of a person."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import mllp_answers
from adapters.hl7v2_message import Segment, parse_message
from adapters.mllp_answers import NOT_KEPT, TAKEN, Judge, Judged, Verdict, answer
from adapters.mllp_frames import Framed, framed
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.settings import FileSettings, Limits
from tests.adapters.hl7v2_feeds import PID, message, read, source

NOW = Instant("2026-03-01T04:05:06Z")
FILE = FileSettings("*", "hl7v2")
LIMITS = Limits(max_message_bytes=4_000)
JUDGE = Judge(source(), FILE, LIMITS)
HEAD = "MSH|^~\\&|PAS|RA7|CT|CT2|20260102030405||{kind}|{control}|P|{version}"


def judged(content: bytes) -> Judged:
    return JUDGE.judge(Framed(content, len(content)))


def told(content: bytes, one: Judged | None = None) -> str:
    found = answer(content, one or judged(content), NOW, "N1")
    assert found is not None
    return found.decode()


def headed(kind: str = "ADT^A31", version: str = "2.4", more: str = "", pid: str = PID) -> bytes:
    head = HEAD.format(kind=kind, control="M1", version=version)
    return f"{head}{more}\r{pid}\r".encode()


GOOD = headed()
VERDICTS: list[tuple[str, bytes, str, str, str]] = [
    ("taken", GOOD, "AA", "", ""),
    ("LF as segment end", GOOD.replace(b"\r", b"\n"), "AA", "", ""),
    ("an unknown version 2", headed(version="2.99"), "AA", "", ""),
    ("no version", headed(version=""), "AA", "", ""),
    ("training", GOOD.replace(b"|P|2.4", b"|T|2.4"), "AA", "", ""),
    ("version 3", headed(version="3.0"), "AR", "MSH^1^12", "203"),
    ("a type that is not taken", headed("QRY^A19"), "AR", "MSH^1^9", "200"),
    ("no type", headed(""), "AR", "MSH^1^9", "100"),
    ("no person", GOOD.split(b"PID")[0], "AE", "PID^1", "101"),
    ("a birth date that is none", GOOD.replace(b"19800517", b"19801399"), "AE", "PID^1^7", "102"),
    ("no local id", GOOD.replace(b"R1^^^RA7^PI~", b""), "AE", "PID^1^3", "101"),
    ("bytes of another encoding", GOOD.replace(b"HIGGS", b"H\xcbGGS"), "AE", "", "102"),
    ("a NUL", GOOD.replace(b"HIGGS", b"HI\0GS"), "AE", "", "102"),
    ("a damaged segment", GOOD + b"lower case\r", "AE", "", "100"),
    ("two messages run together", GOOD + GOOD, "AE", "", "207"),
    ("delimiters that are none", b"MSH|^^^^|x\r", "AR", "MSH^1^2", "100"),
    ("no HL7", b"GET / HTTP/1.1\r\n", "AR", "", "100"),
    ("nothing", b"", "AR", "", "100"),
    ("blanks before it", b" " + GOOD, "AR", "", "100"),
    ("an end byte within", GOOD + b"\x1cX\r", "AR", "", "100"),
    ("UTF-16", GOOD.decode().encode("utf-16"), "AR", "", "100"),
]  # fmt: skip


@pytest.mark.parametrize(("content", "code", "place", "error"), [row[1:] for row in VERDICTS],
                         ids=[row[0] for row in VERDICTS])  # fmt: skip
def test_each_message_gets_its_answer(content: bytes, code: str, place: str, error: str) -> None:
    lines = told(content).split("\r")
    msa = lines[1].split("|")
    assert msa[1] == code
    assert msa[2] == ("M1" if b"|M1|" in content and content.startswith(b"MSH") else "")
    if code == "AA":
        assert lines[2:] == [""]
        return
    err = lines[2].split("|")
    assert (err[2], err[3].split("^")[0], err[3].split("^")[2], err[4]) == (
        place, error, "HL70357", "E",
    )  # fmt: skip
    assert err[8] == msa[3] != ""


def test_one_over_the_limit_is_refused_with_its_id() -> None:
    long = GOOD + b"ZZZ|" + b"x" * 5_000
    one = JUDGE.judge(Framed(long[:4_000], len(long)))
    assert told(long[:4_000], one).split("\r")[1].startswith("MSA|AR|M1|a message of 5")


def test_the_answer_is_a_message_in_the_senders_delimiters() -> None:
    strange = GOOD.decode().translate(str.maketrans("|^~\\&", "!:;/*")).encode()
    text = told(strange.replace(b"ADT:A31", b"QRY:A19"))
    assert (
        text.split("\r")[0] == "MSH!:;/*!CT!CT2!PAS!RA7!20260301040506+0000!!ACK:A19:ACK!N1!P!2.4"
    )
    assert "type QRY^A19 are" in text, "no delimiter of theirs"
    plain = parse_message(told(headed("QRY^A19")).encode(), "ascii")
    (msa, err) = (Segment(plain.syntax, line) for _, line in plain.segments())
    assert msa.value(3) == err.value(8) == "messages of type QRY^A19 are not taken"
    assert plain.header.value(5) == "PAS"


def test_a_character_set_comes_back_with_what_is_written_in_it() -> None:
    latin = headed(more="||||||8859/1").decode().replace("RA7|CT", "SÃO|CT").encode("latin-1")
    found = answer(latin, judged(latin), NOW, "N1")
    assert found is not None
    fields = found.decode("latin-1").split("\r")[0].split("|")
    assert (fields[5], fields[17]) == ("SÃO", "8859/1")


MODES: list[tuple[str, str, Verdict, str | None]] = [
    ("", "", Verdict.TAKEN, "AA"),
    ("AL", "NE", Verdict.TAKEN, "CA"),
    ("AL", "AL", Verdict.FAULTY, "CE"),
    ("al", "", Verdict.REFUSED, "CR"),
    ("NE", "AL", Verdict.TAKEN, "AA"),
    ("NE", "", Verdict.FAULTY, "AE"),
    ("NE", "NE", Verdict.TAKEN, None),
    ("NE", "NE", Verdict.REFUSED, None),
    ("ER", "NE", Verdict.TAKEN, None),
    ("ER", "NE", Verdict.REFUSED, "CR"),
    ("SU", "NE", Verdict.TAKEN, "CA"),
    ("SU", "ER", Verdict.FAULTY, "AE"),
    ("??", "??", Verdict.TAKEN, "AA"),
]


@pytest.mark.parametrize(("accept", "application", "verdict", "code"), MODES)
def test_the_enhanced_mode_is_honoured(
    accept: str, application: str, verdict: Verdict, code: str | None
) -> None:
    content = headed(more=f"|||{accept}|{application}")
    found = answer(content, Judged(verdict, "", "torn", "words"), NOW, "N1")
    assert (None if found is None else found.split(b"|MSA|")[0].split(b"MSA|")[1][:2].decode()) == (
        code
    )


def test_what_cannot_be_stored_is_to_be_sent_again() -> None:
    assert "MSA|AR|M1|it could not be stored; send it again" in told(GOOD, NOT_KEPT)


def test_a_reader_that_fails_refuses_one_message_only(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(*_: object) -> object:
        raise KeyError("Pemberton-Smythe")

    monkeypatch.setattr(mllp_answers, "faults_of", failing)
    text = told(GOOD)
    assert "MSA|AR|M1|" in text
    assert "Pemberton" not in text


SECRETS = ("HIGGS", "Ann", "R1", "9434765919", "19800517")


@settings(deadline=None)
@given(st.data())
def test_an_answer_says_what_the_reader_says_and_no_value(data: st.DataObject) -> None:
    """Damage anywhere behind the header: taken is what a file of it would load."""
    good = bytearray(message(PID, "PV1|1|I|W1|||||||||||||||||V17"))
    body = good.index(b"PID")
    for _ in range(data.draw(st.integers(0, 3))):
        good[data.draw(st.integers(body, len(good) - 1))] = data.draw(
            st.integers(0, 255).filter(lambda byte: byte not in (0x0B, 0x1C))
        )
    content = bytes(good)
    one = judged(content)
    text = answer(content, one, NOW, "N1")
    assert text is not None
    for secret in SECRETS:
        assert secret.encode() not in text, text
    if one.verdict is not Verdict.REFUSED:
        rejected = [r for batch in _read(framed(content)) for r in batch.rejected]
        assert (one == TAKEN) == (not rejected)
        if rejected:
            assert (one.field, one.code, one.reason) == (
                rejected[0].field, rejected[0].reason, rejected[0].message,
            )  # fmt: skip


def _read(data: bytes) -> list[UnitBatch]:
    with tempfile.TemporaryDirectory() as folder:
        return read(Path(folder), data, source(), LIMITS)
