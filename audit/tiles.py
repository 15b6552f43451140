"""The log as files that anybody can read: C2SP tlog-tiles. Values only; no I/O.

Rules:
- A tile of level L holds up to 256 hashes, each the root of 256^L leaves. It stands at
  `tile/L/N`, one that is not full yet at `tile/L/N.p/W`, with W hashes.
- The entries of a level-0 tile stand in `tile/entries/N` (or `.p/W`), each after its length in two
  bytes, the most significant first.
- N is written in groups of three digits, all but the last after an x: 1234067 is x001/x234/067.
- What a log must know to go on is the unfinished tiles above level 0, as they were before its last
  bundle of entries: these are taken in again, and must give the root that was signed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from audit.merkle import HASH_BYTES, Hash, HashReader, Subtree, joined, leaf_hash, perfect_root
from schemas.errors import InvalidValue

HEIGHT = 8
WIDTH = 1 << HEIGHT
"""Hashes of a full tile; entries of a full bundle."""
LONGEST_ENTRY = 0xFFFF
TileReader = Callable[[int, int, int], bytes]
"""(level, index, width) → that many hashes of the tile."""


def tile_path(level: int, index: int, width: int = WIDTH) -> str:
    """Where a tile stands. Requires: 0 <= level <= 63, index >= 0, 1 <= width <= 256."""
    return f"tile/{level}/{_numbered(index, width)}"


def entries_path(index: int, width: int = WIDTH) -> str:
    """Where the entries of a level-0 tile stand. Requires: as `tile_path`."""
    return f"tile/entries/{_numbered(index, width)}"


def _numbered(index: int, width: int) -> str:
    groups = [f"{index % 1_000:03}"]
    while index := index // 1_000:
        groups.append(f"x{index % 1_000:03}")
    path = "/".join(reversed(groups))
    return path if width == WIDTH else f"{path}.p/{width}"


def width_at(size: int, level: int, index: int) -> int:
    """How many hashes of a tile the tree of `size` leaves has; 0 for none, 256 at most."""
    return max(0, min(WIDTH, (size >> level * HEIGHT) - index * WIDTH))


def bundled(entries: Sequence[bytes]) -> bytes:
    """A bundle of entries. Requires: each is of 65,535 bytes at most."""
    return b"".join(len(one).to_bytes(2, "big") + one for one in entries)


def unbundled(data: bytes) -> list[bytes]:
    """The entries of a bundle. Raises: InvalidValue: it ends within an entry."""
    entries, at = [], 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data) or at + 2 > len(data):
            raise InvalidValue("a bundle of log entries ends within an entry")
        entries.append(data[at + 2 : end])
        at = end
    return entries


def hashes_of(tile: bytes) -> list[Hash]:
    """The hashes of a tile. Raises: InvalidValue: not whole hashes."""
    if len(tile) % HASH_BYTES:
        raise InvalidValue("a tile of the log does not hold whole hashes")
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def tiled(size: int, read: TileReader) -> HashReader:
    """A reader of subtrees over the tiles of a tree of `size` leaves. A tile is read once for all
    the hashes that are asked for together."""

    def hashes(wanted: Sequence[Subtree]) -> list[Hash]:
        held: dict[tuple[int, int], bytes] = {}
        found = []
        for level, index in wanted:
            tile_level, within = divmod(level, HEIGHT)
            place = tile_level, index >> (HEIGHT - within)
            if place not in held:
                held[place] = read(*place, width_at(size, *place))
            first = (index << within) % WIDTH * HASH_BYTES
            part = held[place][first : first + (HASH_BYTES << within)]
            found.append(perfect_root(hashes_of(part)))
        return found

    return hashes


# --- a log that grows ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Edge:
    """Where a log stands before a bundle of entries.

    Attributes:
        size: entries so far, a multiple of 256.
        above: for each tile level from 1 the hashes of its unfinished tile, fewer than 256.
    """

    size: int = 0
    above: tuple[tuple[Hash, ...], ...] = ()

    def root(self, after: Sequence[Hash] = ()) -> Hash:
        """The root of the tree with these leaves (their hashes, 256 at most) after the edge."""
        return joined(
            perfect_root(hashes[first:last])
            for hashes in (*reversed(self.above), after)
            for first, last in pairwise(_steps(len(hashes)))
        )


def _steps(count: int) -> list[int]:
    """Where `count` neighbours fall apart into perfect subtrees: 0, ..., count."""
    steps = [0]
    for bit in reversed(range(count.bit_length())):
        if count >> bit & 1:
            steps.append(steps[-1] + (1 << bit))
    return steps


def edge_at(size: int, read: TileReader) -> Edge:
    """The edge before the last bundle of a log of `size` entries, from its tiles.

    Requires: size >= 1.
    """
    base, above, level = (size - 1) // WIDTH * WIDTH, list[tuple[Hash, ...]](), 1
    while count := base >> level * HEIGHT:
        index, width = divmod(count, WIDTH)
        tile = read(level, index, width_at(size, level, index)) if width else b""
        above.append(tuple(hashes_of(tile)[:width]))
        level += 1
    return Edge(base, tuple(above))


@dataclass(frozen=True)
class Grown:
    """A log after entries were taken in.

    Attributes:
        files: path → content of what is new, entries and tiles.
        edge: before the last bundle, full or not.
        size, root: of the whole.
    """

    files: dict[str, bytes]
    edge: Edge
    size: int
    root: Hash


def grow(edge: Edge, entries: Sequence[bytes], published: int) -> Grown:
    """Takes in entries after the edge.

    Args:
        entries: from the edge on; one at least.
        published: up to this size files are there already; what they hold is not given again.
    """
    files: dict[str, bytes] = {}
    above = [list(hashes) for hashes in edge.above]
    size = edge.size + len(entries)
    before, hashes = edge, list[Hash]()
    for first in range(0, len(entries), WIDTH):
        some = entries[first : first + WIDTH]
        if first + WIDTH >= len(entries):
            before = Edge(edge.size + first, tuple(map(tuple, above)))
        hashes = [leaf_hash(one) for one in some]
        index = (edge.size + first) // WIDTH
        if min(size, (index + 1) * WIDTH) > published:
            files[entries_path(index, len(some))] = bundled(some)
            files[tile_path(0, index, len(some))] = b"".join(hashes)
        if len(some) == WIDTH:
            _carry(above, perfect_root(hashes), index, published, files)
            hashes = []
    for level, held in enumerate(above, start=1):
        # An unfinished tile above is new only where it has grown.
        if held and size >> level * HEIGHT > published >> level * HEIGHT:
            path = tile_path(level, (size >> level * HEIGHT) // WIDTH, len(held))
            files[path] = b"".join(held)
    root = Edge(size - size % WIDTH, tuple(map(tuple, above))).root(hashes)
    return Grown(files, before, size, root)


def _carry(
    above: list[list[Hash]], root: Hash, index: int, published: int, files: dict[str, bytes]
) -> None:
    """Hands the root of a full tile to the level above, and so on while that fills a tile."""
    level = 1
    while True:
        if len(above) < level:
            above.append([])
        held = above[level - 1]
        held.append(root)
        if len(held) < WIDTH:
            return
        index //= WIDTH
        if published >> level * HEIGHT < (index + 1) * WIDTH:
            files[tile_path(level, index)] = b"".join(held)
        root = perfect_root(held)
        held.clear()
        level += 1
