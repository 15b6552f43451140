"""Signed notes and checkpoints: what Go's packages write and read, and what is refused."""

from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.checkpoints import Checkpoint, open_checkpoint, parse_checkpoint
from audit.notes import (
    Kind,
    Note,
    Signature,
    Verifier,
    cosigned,
    parse_note,
    parse_vkey,
    signed,
    verified,
    verifier_of,
)
from schemas.errors import AuditBroken, InvalidValue

# The example in the documentation of golang.org/x/mod/sumdb/note.
PETER = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
PETERS_TEXT = (
    "If you think cryptography is the answer to your problem,\n"
    "then you don't know what your problem is.\n"
)
PETERS_NOTE = (
    PETERS_TEXT
    + "\n— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngo"
    "tpRZb6KE6RyyBwJnAM=\n"
)
A, B, W = (Ed25519PrivateKey.from_private_bytes(bytes([n]) * 32) for n in (1, 2, 3))
ORIGIN = "log.example/audit"
ROOT = sha256(b"root").digest()
POINT = Checkpoint(ORIGIN, 12, ROOT)


def test_a_note_of_another_program_is_read() -> None:
    key = parse_vkey(PETER)
    assert (key.name, key.kind, key.vkey()) == ("PeterNeumann", Kind.ED25519, PETER)
    note = parse_note(PETERS_NOTE.encode())
    assert note.text == PETERS_TEXT
    assert [who for who, _ in verified(note, [key])] == [key]
    assert note.data() == PETERS_NOTE.encode()


def test_several_signatures_and_a_cosignature() -> None:
    text = POINT.text()
    signatures = signed(text, ORIGIN, A), signed(text, ORIGIN, B), cosigned(text, "w/1", W, 1_700)
    note = parse_note(Note(text, signatures).data())
    keys = verifier_of(ORIGIN, A), verifier_of(ORIGIN, B), verifier_of("w/1", W, Kind.COSIGNATURE)
    assert [who for who, _ in verified(note, keys)] == list(keys)
    assert [who for who, _ in verified(note, keys[1:2])] == [keys[1]]
    assert verified(note, keys)[2][1].time() == 1_700
    assert parse_vkey(keys[2].vkey()) == keys[2]
    message = b"cosignature/v1\ntime 1700\n" + text.encode()
    W.public_key().verify(signatures[2].raw[8:], message)


def test_the_same_key_twice_counts_once() -> None:
    one = signed(POINT.text(), ORIGIN, A)
    assert len(verified(Note(POINT.text(), (one, one)), [verifier_of(ORIGIN, A)])) == 1


def test_unknown_signatures_say_nothing() -> None:
    strange = Signature("someone.else", b"1234", b"anything")
    note = Note(POINT.text(), (strange, signed(POINT.text(), ORIGIN, A)))
    assert len(verified(parse_note(note.data()), [verifier_of(ORIGIN, A)])) == 1
    assert not verified(note, [])
    # The id of a known key under another name, and its name with another id.
    known = verifier_of(ORIGIN, A)
    others = (Signature("other", known.key_id, bytes(64)), Signature(ORIGIN, b"1234", bytes(64)))
    assert not verified(Note(POINT.text(), others), [known])


def test_a_signature_of_a_known_key_that_does_not_hold_spoils_the_note() -> None:
    good, known = signed(POINT.text(), ORIGIN, A), [verifier_of(ORIGIN, A), verifier_of(ORIGIN, B)]
    bad = Signature(ORIGIN, known[1].key_id, good.raw)
    with pytest.raises(AuditBroken, match="does not hold"):
        verified(Note(POINT.text(), (good, bad)), known)


@settings(deadline=None)
@given(st.data())
def test_any_bit_flipped_in_a_checkpoint_is_noticed(data: st.DataObject) -> None:
    whole = Note(POINT.text(), (signed(POINT.text(), ORIGIN, A),)).data()
    bit = data.draw(st.integers(0, len(whole) * 8 - 1))
    flipped = (int.from_bytes(whole, "big") ^ 1 << bit).to_bytes(len(whole), "big")
    with pytest.raises((AuditBroken, InvalidValue)):
        open_checkpoint(flipped, ORIGIN, [verifier_of(ORIGIN, A)])


def test_a_cosignature_of_another_time_does_not_hold() -> None:
    raw = cosigned(POINT.text(), "w", W, 5).raw
    known = verifier_of("w", W, Kind.COSIGNATURE)
    later = Signature("w", known.key_id, (6).to_bytes(8, "big") + raw[8:])
    assert not known.holds(POINT.text(), later)
    assert not known.holds(POINT.text(), Signature("w", known.key_id, raw[8:]))


GOOD = "text\n\n— name " + b64encode(b"1234s").decode() + "\n"


@pytest.mark.parametrize(
    "told",
    [
        "", "\n", "text\n", "text\n\n", "text\n\n\n", GOOD[:-1], GOOD.replace("text", "te\tt"),
        GOOD.replace("text", "te\rt"), GOOD.replace("—", "-"), GOOD.replace("— name", "—  name"),
        GOOD.replace("name", "na+me"), GOOD.replace("name", "na\u00a0me"),
        GOOD.replace("name ", "name  "), GOOD.replace("name ", ""), GOOD[:-3] + "\n",
        "text\n\n— name " + b64encode(b"1234").decode() + "\n", GOOD + "\n", GOOD + "more\n",
        GOOD.replace("MTIzNHM=", "MTIzNHN="), GOOD + GOOD.split("\n\n")[1] * 100,
        "t" * 1_000_000 + GOOD,
    ],
    ids=range(21),
)  # fmt: skip
def test_notes_that_are_none(told: str) -> None:
    assert parse_note(GOOD.encode()).signatures == (Signature("name", b"1234", b"s"),)
    with pytest.raises(InvalidValue, match="signed note"):
        parse_note(told.encode())


def test_a_note_that_is_no_text() -> None:
    with pytest.raises(InvalidValue, match="UTF-8"):
        parse_note(GOOD.encode().replace(b"text", b"te\xfft"))


@pytest.mark.parametrize(
    "line",
    ["", "name", "a+b+c", PETER[:-4], PETER.replace("c74f", "c74e"), PETER.replace("Peter", ""),
     PETER.replace("+AR", "+AB"), PETER.replace("PeterN", "Peter N"), PETER + "AAAA"],
)  # fmt: skip
def test_keys_that_are_none(line: str) -> None:
    with pytest.raises(InvalidValue):
        parse_vkey(line)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u2003b", "a\nb"])
def test_names_that_no_key_has(name: str) -> None:
    with pytest.raises(InvalidValue, match="name"):
        Verifier(name, Kind.ED25519, bytes(32))
    with pytest.raises(InvalidValue, match="name"):
        signed("text\n", name, A)


@pytest.mark.parametrize("text", ["", "no end", "a\tb\n", "a\x00b\n"])
def test_texts_that_nobody_signs(text: str) -> None:
    with pytest.raises(InvalidValue, match="whole lines"):
        signed(text, ORIGIN, A)
    with pytest.raises(InvalidValue, match="whole lines"):
        cosigned(text, ORIGIN, A, 1)


# --- checkpoints --------------------------------------------------------------------------------

HASHED = b64encode(ROOT).decode()


def test_a_checkpoint_and_its_text() -> None:
    assert POINT.text() == f"{ORIGIN}\n12\n{HASHED}\n"
    assert parse_checkpoint(POINT.text()) == POINT
    longer = parse_checkpoint(POINT.text() + "one more\nand another\n")
    assert longer == Checkpoint(ORIGIN, 12, ROOT, ("one more", "and another"))
    assert parse_checkpoint(longer.text()) == longer


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "o\n12\n", f"o\n12\n{HASHED}", f"o\n012\n{HASHED}\n", f"o\n-1\n{HASHED}\n",
        f"o\n+1\n{HASHED}\n", f"o\n1_0\n{HASHED}\n", f"o\n\u0661\n{HASHED}\n",
        f"o\n1e3\n{HASHED}\n", f"o\n{10**19}\n{HASHED}\n", f"\n12\n{HASHED}\n",
        f"o\n12\n{HASHED[:-4]}\n", f"o\n12\n{HASHED[:-2]}\n", f"o\n12\n{HASHED[:-2]}9=\n",
        f"o\n12\n {HASHED}\n", f"o\n12\n{HASHED}\n\n", f"o\n12\n{HASHED}\n\nmore\n",
    ],
)  # fmt: skip
def test_checkpoints_that_are_none(text: str) -> None:
    with pytest.raises(InvalidValue, match="checkpoint"):
        parse_checkpoint(text)


def test_a_checkpoint_of_another_log_or_of_a_strange_key_is_refused() -> None:
    data = Note(POINT.text(), (signed(POINT.text(), ORIGIN, A),)).data()
    assert open_checkpoint(data, ORIGIN, [verifier_of(ORIGIN, A)]) == POINT
    with pytest.raises(AuditBroken, match="another log"):
        open_checkpoint(data, "other", [verifier_of(ORIGIN, A)])
    with pytest.raises(AuditBroken, match="no known key"):
        open_checkpoint(data, ORIGIN, [verifier_of(ORIGIN, B)])
