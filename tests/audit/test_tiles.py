"""Tiles: paths, bundles, and a log that grows in steps of any size."""

from __future__ import annotations

from hashlib import sha256

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit.merkle import inclusion_proof, is_included, leaf_hash, root_hash
from audit.tiles import (
    WIDTH,
    Edge,
    bundled,
    edge_at,
    entries_path,
    grow,
    hashes_of,
    tile_path,
    tiled,
    unbundled,
    width_at,
)
from schemas.errors import InvalidValue
from tests.audit import naive_tree as naive

PATHS = """
level  index       width  path
0      0           256    tile/0/000
0      0           1      tile/0/000.p/1
3      999         256    tile/3/999
0      1000        256    tile/0/x001/000
1      1234067     256    tile/1/x001/x234/067
1      1234067     255    tile/1/x001/x234/067.p/255
63     1000000000  8      tile/63/x001/x000/x000/000.p/8
"""
ENTRIES = [b"\x01" + sha256(n.to_bytes(4, "big")).digest() for n in range(2_000)]


@pytest.mark.parametrize("row", PATHS.strip().splitlines()[1:])
def test_paths(row: str) -> None:
    level, index, width, path = row.split()
    assert tile_path(int(level), int(index), int(width)) == path
    below = path.split("/", 2)[2]
    assert entries_path(int(index), int(width)) == f"tile/entries/{below}"


@pytest.mark.parametrize(
    ("size", "level", "index", "width"),
    [(0, 0, 0, 0), (1, 0, 0, 1), (256, 0, 0, 256), (257, 0, 1, 1), (257, 1, 0, 1), (255, 1, 0, 0),
     (65_536, 1, 0, 256), (65_536, 2, 0, 1), (70_000, 0, 273, 112), (70_000, 1, 1, 17)],
)  # fmt: skip
def test_widths(size: int, level: int, index: int, width: int) -> None:
    assert width_at(size, level, index) == width


@settings(deadline=None)
@given(st.lists(st.binary(max_size=600), max_size=20))
def test_a_bundle_holds_its_entries(entries: list[bytes]) -> None:
    assert unbundled(bundled(entries)) == entries


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), min_size=1, max_size=5), st.data())
def test_a_bundle_that_was_cut_within_an_entry_is_refused(
    entries: list[bytes], data: st.DataObject
) -> None:
    whole = bundled(entries)
    ends = {len(bundled(entries[:n])) for n in range(len(entries) + 1)}
    cut = data.draw(st.integers(0, len(whole)).filter(lambda n: n not in ends))
    with pytest.raises(InvalidValue, match="within an entry"):
        unbundled(whole[:cut])


def test_a_tile_of_half_a_hash_is_refused() -> None:
    with pytest.raises(InvalidValue, match="whole hashes"):
        hashes_of(bytes(33))


class Folder:
    """A log in memory, that grows as the sequencer makes it grow."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.size = 0

    def read(self, level: int, index: int, width: int) -> bytes:
        return self.files[tile_path(level, index, width)]

    def grow(self, size: int) -> bytes:
        edge = edge_at(self.size, self.read) if self.size else Edge()
        grown = grow(edge, ENTRIES[edge.size : size], self.size)
        assert not grown.files.keys() & self.files.keys(), "a file is written once"
        self.files |= grown.files
        self.size, self.edge = grown.size, grown.edge
        return grown.root


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(1, 700), min_size=1, max_size=6))
def test_a_log_that_grows_in_steps_has_the_root_of_one_that_grew_at_once(steps: list[int]) -> None:
    folder = Folder()
    for step in steps:
        size = min(folder.size + step, len(ENTRIES))
        root = folder.grow(size)
        assert root == naive.mth(ENTRIES[:size])
        assert edge_at(size, folder.read) == folder.edge
        read = tiled(size, folder.read)
        assert root_hash(size, read) == root
        for leaf in {0, size // 2, size - 1}:
            path = inclusion_proof(leaf, size, read)
            assert is_included(leaf, size, leaf_hash(ENTRIES[leaf]), path, root)
    held = [folder.files[entries_path(n, width_at(folder.size, 0, n))]
            for n in range(-(-folder.size // WIDTH))]  # fmt: skip
    assert [one for bundle in held for one in unbundled(bundle)] == ENTRIES[: folder.size]


def test_a_log_whose_second_level_is_full() -> None:
    """70,000 entries: three levels of tiles, the second of them full once."""
    entries = [n.to_bytes(3, "big") for n in range(70_000)]
    grown = grow(Edge(), entries, 0)
    files = dict(grown.files)

    def read(level: int, index: int, width: int) -> bytes:
        return files[tile_path(level, index, width)]

    levels = [path.split("/")[1] for path in files]
    assert {level: levels.count(level) for level in set(levels)} == {
        "entries": 274, "0": 274, "1": 2, "2": 1,
    }  # fmt: skip
    assert grown.root == root_hash(70_000, tiled(70_000, read)) == naive.mth(entries)
    assert grown.edge == edge_at(70_000, read)
    assert grown.edge.size == 69_888
    assert grown.edge.root([leaf_hash(one) for one in entries[69_888:]]) == grown.root
    stepped = grow(grow(Edge(), entries[:65_535], 0).edge, entries[65_280:], 65_535)
    assert stepped.root == grown.root
    assert stepped.edge == grown.edge
    assert {path: files[path] for path in stepped.files} == stepped.files
    assert "tile/1/000" in stepped.files
    assert "tile/2/000.p/1" in stepped.files


@pytest.mark.parametrize("size", [1, 255, 256, 257, 512, 65_535, 65_536, 65_537, 65_792])
def test_what_is_after_the_edge_gives_the_root_again(size: int) -> None:
    """Also where the last bundle is full: its entries are still compared with what was signed."""
    entries = [n.to_bytes(3, "big") for n in range(size)]
    grown = grow(Edge(), entries, 0)
    after = [leaf_hash(one) for one in entries[grown.edge.size :]]
    assert 1 <= len(after) <= WIDTH
    assert grown.edge.root(after) == grown.root == naive.mth(entries)
    assert grown.edge.root([*after[:-1], leaf_hash(b"other")]) != grown.root
