"""The tree: against the RFC written out naively, and against proofs that must be refused."""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator, Sequence
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.merkle import (
    EMPTY_ROOT,
    Frontier,
    Subtree,
    consistency_proof,
    inclusion_proof,
    is_consistent,
    is_included,
    leaf_hash,
    root_hash,
)
from tests.audit import naive_tree as naive

PUBLIC = Path(__file__).parents[3] / "shared" / "data" / "merkle"
EIGHT = [
    bytes.fromhex(text)
    for text in ("", "00", "10", "2021", "3031", "40414243", "5051525354555657",
                 "606162636465666768696a6b6c6d6e6f")
]  # fmt: skip
"""The eight entries of which the Certificate Transparency tests publish the roots."""
ROOT_OF_EIGHT = "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"
LARGEST = 1_000
ENTRIES = [sha256(n.to_bytes(4, "big")).digest()[: n % 33] for n in range(LARGEST)]


class Held:
    """A reader of hashes over entries in memory, that keeps what it worked out."""

    def __init__(self, entries: Sequence[bytes]) -> None:
        self.entries = entries
        self.known: dict[Subtree, bytes] = {}

    def __call__(self, wanted: Sequence[Subtree]) -> list[bytes]:
        return [self.root(level, index) for level, index in wanted]

    def root(self, level: int, index: int) -> bytes:
        if (level, index) not in self.known:
            if level:
                below = self.root(level - 1, 2 * index) + self.root(level - 1, 2 * index + 1)
                self.known[level, index] = sha256(b"\1" + below).digest()
            else:
                self.known[level, index] = sha256(b"\0" + self.entries[index]).digest()
        return self.known[level, index]


HELD = Held(ENTRIES)


def test_the_roots_of_the_first_eight() -> None:
    read = Held(EIGHT)
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    assert root_hash(0, read) == EMPTY_ROOT
    assert root_hash(8, read).hex() == ROOT_OF_EIGHT
    assert [root_hash(n, read) for n in range(9)] == [naive.mth(EIGHT[:n]) for n in range(9)]


def test_roots_of_trees_of_every_size_to_a_thousand() -> None:
    grown = Frontier()
    for size in range(LARGEST + 1):
        wanted = naive.mth(ENTRIES[:size]) if size % 7 == 0 or size < 70 else None
        root = root_hash(size, HELD)
        assert wanted in (None, root)
        assert grown.root() == root
        assert len(grown.peaks) == size.bit_count()
        if size < LARGEST:
            grown.append(leaf_hash(ENTRIES[size]))


def test_every_proof_in_every_tree_to_forty() -> None:
    for size in range(1, 41):
        some = ENTRIES[:size]
        root = naive.mth(some)
        for leaf in range(size):
            path = inclusion_proof(leaf, size, HELD)
            assert path == naive.path(leaf, some)
            assert is_included(leaf, size, leaf_hash(some[leaf]), path, root)
        for old in range(1, size + 1):
            proof = consistency_proof(old, size, HELD)
            assert proof == naive.proof(old, some)
            assert is_consistent(old, size, proof, naive.mth(some[:old]), root)


def test_random_proofs_in_trees_of_every_size_to_a_thousand() -> None:
    random = Random(6962)
    for size in range(1, LARGEST + 1):
        leaf, old = random.randrange(size), random.randrange(1, size + 1)
        root, before = root_hash(size, HELD), root_hash(old, HELD)
        path, proof = inclusion_proof(leaf, size, HELD), consistency_proof(old, size, HELD)
        hashed = leaf_hash(ENTRIES[leaf])
        assert is_included(leaf, size, hashed, path, root)
        assert is_consistent(old, size, proof, before, root)
        if size % 25 == 0:
            assert path == naive.path(leaf, ENTRIES[:size])
            assert proof == naive.proof(old, ENTRIES[:size])


@st.composite
def trees(draw: st.DrawFn) -> tuple[int, int, int]:
    """A size, a leaf of it, an earlier size."""
    size = draw(st.integers(2, LARGEST))
    return size, draw(st.integers(0, size - 1)), draw(st.integers(1, size - 1))


@settings(deadline=None)
@given(trees(), st.data())
def test_a_proof_with_anything_changed_is_refused(
    tree: tuple[int, int, int], data: st.DataObject
) -> None:
    size, leaf, old = tree
    root, before, hashed = root_hash(size, HELD), root_hash(old, HELD), leaf_hash(ENTRIES[leaf])
    path, proof = inclusion_proof(leaf, size, HELD), consistency_proof(old, size, HELD)
    for changed in _changes(path, data):
        assert not is_included(leaf, size, hashed, changed, root)
    for changed in _changes(proof, data):
        assert not is_consistent(old, size, changed, before, root)
    other = data.draw(st.integers(0, size + 1).filter(lambda n: n != leaf))
    assert not is_included(other, size, hashed, path, root)
    assert not is_included(leaf, size, _flipped(hashed, data), path, root)
    assert not is_included(leaf, size, hashed, path, _flipped(root, data))
    assert not is_consistent(old, size, proof, _flipped(before, data), root)
    assert not is_consistent(old, size, proof, before, _flipped(root, data))
    assert not is_consistent(old, size, proof, root, before)


def _changes(proof: list[bytes], data: st.DataObject) -> Iterator[list[bytes]]:
    """The proof with an element too many, too few, changed, cut short, or swapped."""
    yield [*proof, bytes(32)]
    yield [bytes(32), *proof]
    if proof:
        at = data.draw(st.integers(0, len(proof) - 1))
        yield proof[:-1]
        yield proof[1:]
        yield [*proof[:at], _flipped(proof[at], data), *proof[at + 1 :]]
        yield [*proof[:at], proof[at][:-1], *proof[at + 1 :]]
    if len(proof) > 1:
        yield proof[::-1]


def _flipped(text: bytes, data: st.DataObject) -> bytes:
    bit = data.draw(st.integers(0, len(text) * 8 - 1))
    return (int.from_bytes(text, "big") ^ 1 << bit).to_bytes(len(text), "big")


@pytest.mark.parametrize(("old", "new"), [(0, 0), (0, 1), (0, 8), (9, 8), (-1, 8), (1, 0)])
def test_sizes_that_prove_nothing(old: int, new: int) -> None:
    root = root_hash(8, HELD)
    assert not is_consistent(old, new, [], root, root)
    assert not is_consistent(old, new, [root], root, root)


@pytest.mark.parametrize(("leaf", "size"), [(0, 0), (1, 1), (-1, 1), (8, 8), (2**70, 2**64)])
def test_leaves_that_are_in_no_tree(leaf: int, size: int) -> None:
    root = leaf_hash(ENTRIES[0])
    assert not is_included(leaf, size, root, [], root)


# --- the public vectors, where they are at hand ------------------------------------------------


def _vectors(kind: str) -> list[Any]:
    return [
        pytest.param(msgspec.json.decode(path.read_bytes()), id=f"{path.parent.name}-{path.stem}")
        for path in sorted((PUBLIC / "testdata" / kind).rglob("*.json"))
    ]


def _all(vector: dict[str, Any]) -> list[bytes]:
    return [b64decode(one) for one in vector["proof"] or ()]


@pytest.mark.parametrize("vector", _vectors("inclusion"))
def test_public_inclusion_vectors(vector: dict[str, Any]) -> None:
    held = is_included(
        vector["leafIdx"], vector["treeSize"], b64decode(vector["leafHash"] or ""), _all(vector),
        b64decode(vector["root"] or ""),
    )  # fmt: skip
    assert held is not vector["wantErr"], vector["desc"]


@pytest.mark.parametrize("vector", _vectors("consistency"))
def test_public_consistency_vectors(vector: dict[str, Any]) -> None:
    held = is_consistent(
        vector["size1"], vector["size2"], _all(vector), b64decode(vector["root1"] or ""),
        b64decode(vector["root2"] or ""),
    )  # fmt: skip
    assert held is not vector["wantErr"], vector["desc"]


@pytest.mark.skipif(not PUBLIC.is_dir(), reason="the public vectors are not at hand")
def test_all_of_the_public_vectors_were_read() -> None:
    assert len(_vectors("inclusion")) + len(_vectors("consistency")) == 196
    known = msgspec.json.decode((PUBLIC / "known_roots.json").read_bytes())
    assert [bytes.fromhex(text) for text in known["leaf_inputs_hex"]] == EIGHT
    roots = known["root_hash_hex_by_tree_size"]
    assert [root_hash(n, Held(EIGHT)).hex() for n in range(9)] == roots
