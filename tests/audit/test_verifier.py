"""The verifier: right about proofs, right about whole logs, alone in the world, bounded."""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
import zipfile
from base64 import b64encode
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from audit import verifier
from audit.events import canonical
from audit.verifier import (
    Unsound,
    VerifierKey,
    check_bundle,
    check_log,
    consistent,
    includes,
    leaf_hash,
    read_checkpoint,
    verifier_key,
)
from tests.audit import naive_tree
from tests.audit.small_log import (
    BOTH,
    NOW,
    ORIGIN,
    WITNESS,
    SmallLog,
    entries,
    event,
    log_key,
    salt,
    witness_key,
)

FILE = Path(verifier.__file__)


# --- it stands alone ---------------------------------------------------------------------------


def test_it_imports_nothing_of_ours() -> None:
    imported = set()
    for node in ast.walk(ast.parse(FILE.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            imported.add((node.module or "").partition(".")[0])
    assert imported - set(sys.stdlib_module_names) == {"cryptography"}


def test_it_works_where_it_was_copied_alone(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log")
    log.publish(entries(300))
    copy = shutil.copy(FILE, tmp_path / "verifier.py")
    command = [sys.executable, "-I", copy, "log", tmp_path / "log", "--json", "--key"]
    done = subprocess.run([*command, str(log_key())], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    told = json.loads(done.stdout)
    assert (told["sound"], told["size"], told["checked"]) == (True, 300, 300)
    (tmp_path / "log" / "checkpoint").unlink()
    assert (
        subprocess.run([*command, str(log_key())], capture_output=True, check=False).returncode == 1
    )


# --- proofs ------------------------------------------------------------------------------------

LEAVES = [leaf_hash(bytes([n])) for n in range(70)]


@given(st.data())
def test_inclusion_as_the_definition_has_it(data: st.DataObject) -> None:
    size = data.draw(st.integers(1, 70))
    index = data.draw(st.integers(0, size - 1))
    entries_ = [bytes([n]) for n in range(size)]
    proof = naive_tree.path(index, entries_)
    root = naive_tree.mth(entries_)
    assert includes(index, size, LEAVES[index], proof, root)
    for wrong in {*range(size)} - {index}:
        assert not includes(wrong, size, LEAVES[index], proof, root)
    assert not includes(index, size, LEAVES[index], [*proof, root], root)
    assert not includes(index, size, LEAVES[index], proof[:-1], root) or not proof


@given(st.data())
def test_consistency_as_the_definition_has_it(data: st.DataObject) -> None:
    new = data.draw(st.integers(1, 70))
    old = data.draw(st.integers(1, new))
    entries_ = [bytes([n]) for n in range(new)]
    proof = naive_tree.proof(old, entries_)
    roots = naive_tree.mth(entries_[:old]), naive_tree.mth(entries_)
    assert consistent(old, new, *roots, proof)
    other = naive_tree.mth([b"other", *entries_[1:old]])
    assert not consistent(old, new, other, roots[1], proof)
    assert not consistent(old, new, *roots, [*proof, roots[0]])
    if proof:
        assert not consistent(old, new, *roots, proof[:-1])
        at = data.draw(st.integers(0, len(proof) - 1))
        bent = [*proof[:at], sha256(proof[at]).digest(), *proof[at + 1 :]]
        assert not consistent(old, new, *roots, bent)


# --- keys and notes ----------------------------------------------------------------------------


def test_a_key_has_one_form() -> None:
    text = str(log_key())
    assert verifier_key(text) == log_key()
    for at in range(len(text)):
        for bit in range(8):
            bent = text.encode()
            bent = bent[:at] + bytes([bent[at] ^ 1 << bit]) + bent[at + 1 :]
            with pytest.raises(Unsound):
                verifier_key(bent.decode("utf-8", "replace"))


NOT_NOTES = {
    "empty": b"",
    "no signature": b"log\n1\nQUJD\n",
    "signature of no bytes": "log\n0\nAA==\n\n\N{EM DASH} log AAAAAA==\n".encode(),
    "not utf-8": b"\xff\n\n",
    "control character": b"log\x1b\n0\nAA==\n\n",
    "carriage return": b"log\r\n",
    "too long": b"a" * (1 << 20) + b"\n\n",
    "leading zero": "log\n01\n{root}\n\n\N{EM DASH} log AAAAAAA=\n".encode(),
    "negative": "log\n-1\n{root}\n\n\N{EM DASH} log AAAAAAA=\n".encode(),
    "arabic digits": "log\n\u0661\n{root}\n\n\N{EM DASH} log AAAAAAA=\n".encode(),
    "short root": "log\n1\nAAAA\n\n\N{EM DASH} log AAAAAAA=\n".encode(),
    "empty line": "log\n1\n{root}\n\nmore\n\n\N{EM DASH} log AAAAAAA=\n".encode(),
}


@pytest.mark.parametrize("name", NOT_NOTES)
def test_what_is_no_checkpoint(name: str) -> None:
    root = b64encode(bytes(32))
    with pytest.raises(Unsound):
        read_checkpoint(NOT_NOTES[name].replace(b"{root}", root))


# --- whole logs --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 40, 255, 256, 257, 511, 512, 1000, 65_536, 65_537])
def test_sound_logs_of_many_sizes(tmp_path: Path, size: int) -> None:
    log = SmallLog(tmp_path / "log")
    some = [sha256(n.to_bytes(4, "big")).digest() for n in range(size)]
    head = log.publish([b"\x01" + one for one in some])
    seen: list[bytes] = []
    found = check_log(log.folder, [log_key()], seen=lambda first, more: seen.extend(more))
    assert found.faults == []
    assert (found.size, found.checked, found.root, found.origin) == (size, size, head.root, ORIGIN)
    assert seen == log.entries
    assert found.notes == []


def test_keys_that_lie_with_the_log_are_said_to_be_weak(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log")
    log.publish(entries(3))
    found = check_log(log.folder)
    assert found.sound
    assert "taken from the log folder itself" in found.notes[0]


def test_a_log_signed_by_a_stranger_is_not_the_log(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log", keys=("stranger",))
    log.publish(entries(3))
    assert check_log(log.folder).sound
    assert check_log(log.folder, [log_key()]).faults == [
        "checkpoint: no signature by a known key of the log"
    ]


def test_rotation_two_keys_sign_and_either_is_enough(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log")
    log.publish(entries(3))
    log.keys = ("log/1", "log/2")
    log.publish(entries(3, 3))
    first, second = log_key("log/1"), log_key("log/2")
    assert check_log(log.folder, [first, second]).notes == []
    for known in (first, second):
        found = check_log(log.folder, [known])
        assert found.sound
        assert "a key that you did not name" in found.notes[0]


def test_what_a_witness_signed_and_when(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log")
    for more in (10, 300, 5):
        head = log.publish(entries(more, len(log.entries)))
        log.cosign(head, NOW + head.size)
    found = check_log(log.folder, BOTH)
    assert found.faults == []
    assert found.cosigned == {WITNESS: (315, NOW + 315)}
    assert check_log(log.folder, [log_key()]).cosigned == {}


def test_superseded_partial_tiles_may_be_gone_and_whole_ones_may_stand_in(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log")
    log.publish(entries(300))
    kept = (log.folder / "checkpoint").read_bytes()
    log.publish(entries(300, 300))
    (log.folder / "checkpoint").write_bytes(kept)
    for path in log.folder.glob("tile/**/*.p"):
        shutil.rmtree(path)
    # Level 1 never became whole, so that a partial tile is all there is of it.
    (log.folder / "tile/1/000.p").mkdir()
    (log.folder / "tile/1/000.p/1").write_bytes(
        verifier._perfect([leaf_hash(e) for e in log.entries[:256]])
    )
    assert check_log(log.folder, [log_key()]).faults == []


def test_a_gap_does_not_hide_what_comes_after(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log")
    log.publish(entries(1000))
    (log.folder / "tile/entries/001").unlink()
    other = log.folder / "tile/entries/002"
    other.write_bytes(other.read_bytes().replace(b"\x00\x21", b"\x00\x22", 1))
    found = check_log(log.folder, [log_key()])
    assert len(found.faults) == 2
    assert found.checked == 1000 - 512
    (log.folder / "tile/0/001").unlink()
    assert "cannot be checked" in check_log(log.folder, [log_key()]).faults[1]


def test_faults_are_counted_beyond_a_hundred(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log")
    log.publish([b"\x01" + sha256(n.to_bytes(4, "big")).digest() for n in range(256 * 120)])
    for path in (log.folder / "tile/0").glob("[0-9]*"):
        path.write_bytes(bytes(8192))
    found = check_log(log.folder, [log_key()])
    assert (len(found.faults), found.more_faults) == (100, 20)


def test_checkpoints_held_elsewhere(tmp_path: Path) -> None:
    log, other = SmallLog(tmp_path / "log"), SmallLog(tmp_path / "other")
    held = log.note(log.publish(entries(10)))
    forked = other.note(other.publish(entries(10, 1)))
    log.publish(entries(300, 10))
    assert check_log(log.folder, [log_key()], [("mine", held)]).sound
    faults = check_log(log.folder, [log_key()], [("mine", forked)]).faults
    assert faults == ["mine: its root is not that of the first 10 entries"]


def test_memory_does_not_grow_with_the_log(tmp_path: Path) -> None:
    log = SmallLog(tmp_path / "log")
    log.publish([b"\x01" + sha256(n.to_bytes(4, "big")).digest() for n in range(200_000)])
    program = (
        "import re, sys; from pathlib import Path; from audit.verifier import *\n"
        # Of this program alone: ru_maxrss counts what the process was before it became this one.
        "most = lambda: int(re.search('VmHWM: +([0-9]+)',"
        " Path('/proc/self/status').read_text().replace(chr(9), ' '))[1])\n"
        "before = most()\n"
        "assert check_log(Path(sys.argv[1]), [verifier_key(sys.argv[2])]).sound\n"
        "print(most() - before)"
    )
    command = [sys.executable, "-c", program, log.folder, str(log_key())]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=FILE.parents[1])
    assert int(done.stdout) < 16_000  # KiB


# --- bundles -----------------------------------------------------------------------------------


def bundle_of(
    log: SmallLog, leaves: list[int], note: bytes, earlier: tuple[bytes, ...] = ()
) -> dict[str, Any]:
    """A bundle, as the definition has it."""
    head = read_checkpoint(note)
    told = []
    for leaf in leaves:
        proof = naive_tree.path(leaf, log.entries[: head.size])
        told.append({
            "leaf": leaf, "salt": b64encode(salt(leaf)).decode(),
            "event": canonical(event(leaf)).decode(),
            "proof": [b64encode(one).decode() for one in proof],
        })  # fmt: skip
    return {
        "format": verifier.BUNDLE_FORMAT, "keys": [str(log_key())], "checkpoint": note.decode(),
        "earlier": [
            {
                "checkpoint": one.decode(),
                "proof": [
                    b64encode(h).decode()
                    for h in naive_tree.proof(
                        read_checkpoint(one).size, log.entries[: head.size]
                    )
                ],
            }
            for one in earlier
        ],
        "events": told,
    }  # fmt: skip


@pytest.fixture
def log(tmp_path: Path) -> SmallLog:
    return SmallLog(tmp_path / "log")


def written(path: Path, document: dict[str, Any]) -> Path:
    path.write_text(json.dumps(document), "utf-8")
    return path


def test_a_bundle_and_one_as_an_archive(log: SmallLog, tmp_path: Path) -> None:
    first = log.note(log.publish(entries(11)))
    note = log.cosign(log.publish(entries(29, 11)))
    document = bundle_of(log, [0, 10, 11, 39], note, (first,))
    path = written(tmp_path / "bundle.json", document)
    found = check_bundle(path, BOTH, [("mine", first), ("latest", note)])
    assert found.faults == []
    assert (found.size, found.checked, found.cosigned) == (40, 4, {WITNESS: (40, NOW)})
    archive = tmp_path / "bundle.zip"
    with zipfile.ZipFile(archive, "w") as file:
        rest = {name: value for name, value in document.items() if name != "events"}
        file.writestr("bundle.json", json.dumps(rest))
        file.writestr("events.ndjson", "".join(json.dumps(e) + "\n" for e in document["events"]))
    again = check_bundle(archive, BOTH, [("mine", first)])
    assert (again.faults, again.checked) == ([], 4)


def test_a_bundle_that_was_bent_anywhere(log: SmallLog, tmp_path: Path) -> None:
    first = log.note(log.publish(entries(5)))
    note = log.note(log.publish(entries(6, 5)))
    data = json.dumps(bundle_of(log, [3, 7], note, (first,)), ensure_ascii=False).encode()
    path = tmp_path / "bundle.json"
    path.write_bytes(data)
    assert check_bundle(path, [log_key()], [("mine", first)]).sound
    # Spaces and the keys that it brings itself prove nothing and are not held to anything.
    keys = data.index(b'"keys"'), data.index(b'"checkpoint"')
    for at in range(len(data)):
        if keys[0] < at < keys[1] or data[at : at + 1] == b" ":
            continue
        path.write_bytes(data[:at] + bytes([data[at] ^ 4]) + data[at + 1 :])
        assert not check_bundle(path, [log_key()], [("mine", first)]).sound, data[at - 9 : at + 9]


def test_an_archive_that_was_bent_anywhere_ends_in_a_finding(log: SmallLog, tmp_path: Path) -> None:
    note = log.note(log.publish(entries(5)))
    path = tmp_path / "bundle.zip"
    document = bundle_of(log, [1, 3], note)
    events = document.pop("events")
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bundle.json", json.dumps(document))
        archive.writestr("events.ndjson", "".join(json.dumps(one) + "\n" for one in events))
    data = path.read_bytes()
    assert check_bundle(path, [log_key()]).sound
    unsound = 0
    for at in range(len(data)):
        path.write_bytes(data[:at] + bytes([data[at] ^ 0x15]) + data[at + 1 :])
        unsound += not check_bundle(path, [log_key()]).sound
    assert unsound > len(data) // 2
    deep = tmp_path / "deep.json"
    deep.write_bytes(b"[" * 200_000)
    assert check_bundle(deep, [log_key()]).faults == ["not a bundle, or not whole"]


def test_a_bundle_without_proof_for_what_was_held(log: SmallLog, tmp_path: Path) -> None:
    first = log.note(log.publish(entries(5)))
    note = log.note(log.publish(entries(6, 5)))
    path = written(tmp_path / "bundle.json", bundle_of(log, [3], note))
    faults = check_bundle(path, [log_key()], [("mine", first)]).faults
    assert faults == [
        "mine: the bundle proves nothing about 5 entries; ask for one that was made with this"
        " checkpoint"
    ]


NOT_BUNDLES: list[Any] = [
    None, 1, [], {}, {"format": "other"}, {"format": verifier.BUNDLE_FORMAT},
    {"format": verifier.BUNDLE_FORMAT, "keys": [], "checkpoint": 1, "earlier": [], "events": []},
]  # fmt: skip


@pytest.mark.parametrize("document", NOT_BUNDLES, ids=str)
def test_what_is_no_bundle(document: Any, tmp_path: Path) -> None:
    assert not check_bundle(written(tmp_path / "b.json", document), [log_key()]).sound
    (tmp_path / "cut").write_bytes(b'{"format": ')
    assert not check_bundle(tmp_path / "cut", [log_key()]).sound
    assert not check_bundle(tmp_path / "missing", [log_key()]).sound


# --- the command -------------------------------------------------------------------------------


def test_the_command(log: SmallLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = log.note(log.publish(entries(5)))
    head = log.publish(entries(6, 5))
    note = log.cosign(head)
    old, new, proof = tmp_path / "old", tmp_path / "new", tmp_path / "proof"
    old.write_bytes(first)
    new.write_bytes(note)
    hashes = naive_tree.proof(5, log.entries)
    proof.write_text("".join(b64encode(h).decode() + "\n" for h in hashes), "ascii")
    keys = tmp_path / "keys"
    keys.write_text(f"{log_key()}\n", "ascii")
    mine = ["--key", str(keys), "--witness", str(witness_key())]
    folder = str(log.folder)
    sound = [
        ["log", folder, *mine, "--held", str(old), "--quorum", "1"],
        ["consistency", str(old), str(new), str(proof), *mine],
    ]
    for arguments in sound:
        assert verifier.main(arguments) == 0, capsys.readouterr().out
    assert "hospital.example/witness: 11 entries at 2026-09-21" in capsys.readouterr().out
    assert verifier.main(["log", folder, *mine, "--quorum", "2"]) == 1
    assert verifier.main(["consistency", str(new), str(old), str(proof), *mine]) == 1
    assert verifier.main(["log", folder, "--key", "no+such+key"]) == 2
    assert verifier.main(["log", folder, "--key", str(tmp_path / "nowhere")]) == 2


def test_the_command_says_which_argument_is_of_no_use(
    log: SmallLog, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log.publish(entries(5))
    folder, empty = str(log.folder), tmp_path / "empty.keys"
    empty.write_bytes(b"")
    nowhere = tmp_path / "nowhere"
    for arguments, told in [
        # Without any key those that lie with the log would count: not for want of what was named.
        (["--key", str(empty)], f"--key {empty}: no key stands there"),
        (["--key", str(witness_key())], "this is the key of a witness, not of a log"),
        (["--witness", str(log_key())], "this is the key of a log, not of a witness"),
        (["--key", "no+such+key"], "--key no+such+key: expected"),
        (["--key", str(nowhere)], f"{nowhere}: cannot be read (No such file"),
        (["--held", str(nowhere)], f"{nowhere}: cannot be read (No such file"),
    ]:
        assert verifier.main(["log", folder, *arguments]) == 2
        assert told in capsys.readouterr().err
    mine = ["--key", str(log_key())]
    assert verifier.main(["bundle", str(nowhere), *mine]) == 1
    assert "the bundle cannot be read (No such file" in capsys.readouterr().out
    assert verifier.main(["consistency", str(nowhere), str(empty), str(empty), *mine]) == 1
    assert f"{nowhere}: cannot be read (No such file" in capsys.readouterr().out


def test_a_witness_that_only_lies_with_the_log_is_none(log: SmallLog, tmp_path: Path) -> None:
    log.cosign(log.publish(entries(5)))
    with (log.folder / "vkeys").open("a", encoding="utf-8") as stream:
        stream.write(f"{witness_key()}\n")
    assert check_log(log.folder).cosigned == {}
    assert check_log(log.folder, [witness_key()]).cosigned == {WITNESS: (5, NOW)}


def test_text_out_of_files_cannot_steer_a_terminal() -> None:
    bent = "log\x1b[2J\u202eevil\nFAULT"
    assert verifier.shown(bent) == "log\\u001b[2J\\u202eevil\\u000aFAULT"
    assert verifier.shown("Ysbyty Gwynedd, Zoë") == "Ysbyty Gwynedd, Zoë"


def test_a_key_of_an_unknown_kind_is_none() -> None:
    with pytest.raises(Unsound):
        verifier_key(str(VerifierKey("name", 2, bytes(32))))
