"""Our log, read by others: Go's golang.org/x/mod/sumdb, and a reader made from the specifications.

The Go packages are Debian's golang-go and golang-golang-x-mod-dev; `make go` installs them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit.tiles import entries_path, tile_path
from tests.audit import naive_tree as naive
from tests.audit.logs import Log, entry

GO_PATH = Path("/usr/share/gocode")
PROGRAM = Path(__file__).parent / "outside" / "read_log.go"
STEPS = (1, 2, 255, 256, 257, 700, 1_000)


@pytest.fixture(scope="module")
def read_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Go program."""
    go = shutil.which("go")
    assert go, "no go on the path: `make go` installs it"
    folder = tmp_path_factory.mktemp("go")
    built = folder / "read_log"
    environment = os.environ | {
        "GO111MODULE": "off", "GOPATH": str(GO_PATH), "GOCACHE": str(folder / "cache"),
        "CGO_ENABLED": "0", "GOFLAGS": "",
    }  # fmt: skip
    subprocess.run([go, "build", "-o", built, PROGRAM], check=True, env=environment, cwd=folder)
    return built


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Log]:
    """A log that grew in steps and has two signing keys."""
    made = Log(tmp_path)
    for size in STEPS:
        made.publish(size)
    made.keys.add()
    made.sequencer.publish()
    yield made
    made.ring.close()


def proofs(log: Log) -> dict[str, Any]:
    """Proofs of ours, for the Go program to check."""
    random = Random(1)
    sizes = [*STEPS, *random.sample(range(1, STEPS[-1]), 20)]
    leaves = [(random.randrange(size), size) for size in sizes for _ in range(5)]
    pairs = [(old, new) for old in sizes for new in (old, STEPS[-1]) if old <= new]
    return {
        "inclusion": [
            {"leaf": leaf, "size": size, "entry": b64encode(proof.entry).decode(),
             "hashes": [b64encode(one).decode() for one in proof.hashes]}
            for leaf, size in leaves
            for proof in [log.log.prove(leaf, size)]
        ],
        "consistency": [
            {"old": old, "new": new, "oldRoot": b64encode(log.log.root(old)).decode(),
             "hashes": [b64encode(one).decode() for one in log.log.consistency(old, new)]}
            for old, new in pairs
        ],
    }  # fmt: skip


def asked(read_log: Path, log: Log, told: dict[str, Any]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [read_log, log.folder, log.folder / "vkeys"], input=msgspec.json.encode(told),
        capture_output=True, check=False,
    )  # fmt: skip


def test_go_reads_checkpoint_tiles_entries_and_proofs(read_log: Path, log: Log) -> None:
    told = proofs(log)
    done = asked(read_log, log, told)
    assert done.returncode == 0, done.stderr
    assert msgspec.json.decode(done.stdout) == {
        "size": 1_000, "signatures": 2, "entries": 1_000, "inclusion": len(told["inclusion"]),
        "consistency": len(told["consistency"]),
    }  # fmt: skip


def test_go_refuses_what_was_changed(read_log: Path, log: Log) -> None:
    """The same program says no: to a proof, a tile, an entry, a checkpoint with one bit changed."""
    told = proofs(log)
    for kind in ("inclusion", "consistency"):
        wrong = msgspec.json.decode(msgspec.json.encode(told))
        changed = next(one for one in wrong[kind] if one["hashes"])
        changed["hashes"][0] = b64encode(bytes(32)).decode()
        assert asked(read_log, log, wrong).returncode == 1
    for path in ("checkpoint", "tile/0/000", "tile/0/003.p/232", "tile/1/000.p/3",
                 "tile/entries/001", "tile/entries/003.p/232"):  # fmt: skip
        file = log.folder / path
        whole = file.read_bytes()
        file.write_bytes(bytes([*whole[:40], whole[40] ^ 1, *whole[41:]]))
        assert asked(read_log, log, told).returncode == 1, path
        file.write_bytes(whole)
    assert asked(read_log, log, told).returncode == 0


# --- a reader from the specifications alone -----------------------------------------------------


def read_by_specification(folder: Path, vkey: str) -> tuple[str, list[bytes]]:
    """Origin and entries of a log, all of it checked: C2SP signed-note, tlog-checkpoint,
    tlog-tiles; RFC 6962. The tree is the naive one of the tests."""
    name, key_id, key = vkey.split("+", 2)
    public = b64decode(key)
    assert public[0] == 1
    assert sha256(name.encode() + b"\n" + public).hexdigest()[:8] == key_id
    text, _, signatures = (folder / "checkpoint").read_text("utf-8").rpartition("\n\n")
    text += "\n"
    mine = [
        b64decode(line.split(" ")[2])
        for line in signatures.splitlines()
        if line.split(" ")[1] == name and b64decode(line.split(" ")[2])[:4].hex() == key_id
    ]
    Ed25519PublicKey.from_public_bytes(public[1:]).verify(mine[0][4:], text.encode())
    origin, told, root = text.splitlines()
    size, entries = int(told), list[bytes]()
    while len(entries) < size:
        index, left = len(entries) // 256, size - len(entries)
        path = f"{index:03}" if left >= 256 else f"{index:03}.p/{left}"
        bundle = (folder / "tile" / "entries" / path).read_bytes()
        hashes = (folder / "tile" / "0" / path).read_bytes()
        while bundle:
            length = int.from_bytes(bundle[:2], "big")
            entries.append(bundle[2 : 2 + length])
            bundle = bundle[2 + length :]
        here = entries[index * 256 :]
        assert hashes == b"".join(naive.mth([one]) for one in here)
    assert naive.mth(entries) == b64decode(root)
    above = b"".join(naive.mth(entries[at : at + 256]) for at in range(0, size - 255, 256))
    assert (folder / "tile" / "1" / f"000.p/{size // 256}").read_bytes() == above
    return origin, entries


def test_a_reader_from_the_specification(log: Log) -> None:
    for vkey in (log.folder / "vkeys").read_text("utf-8").splitlines():
        origin, entries = read_by_specification(log.folder, vkey)
        assert origin == log.log.origin
        assert entries == [entry(n) for n in range(1_000)]
    (log.folder / "checkpoint").write_text(
        (log.folder / "checkpoint").read_text("utf-8").replace("1000", "1001"), "utf-8"
    )
    with pytest.raises(InvalidSignature):
        read_by_specification(log.folder, vkey)


def test_names_of_files_as_the_specification_has_them(log: Log) -> None:
    names = {str(p.relative_to(log.folder)) for p in log.folder.rglob("*") if p.is_file()}
    assert {tile_path(0, 0), entries_path(2), tile_path(1, 0, 3), "checkpoint"} <= names
    strange = {n for n in names if not n.startswith(("tile/", "checkpoint", "vkeys", ".sequencer"))}
    assert not strange
