"""Merkle trees over a log's entries, as RFC 6962 section 2.1 has them. Values only; no I/O.

Rules:
- A leaf is hashed as SHA-256(0x00 ‖ entry), an inner node as SHA-256(0x01 ‖ left ‖ right), the
  empty tree as SHA-256 of nothing.
- A perfect subtree is named by (level, index): the root of the 2^level leaves that begin at
  index · 2^level. Every root and every proof is made of such hashes, got from a `HashReader`.
- A proof is checked with nothing but sizes, hashes and roots (RFC 9162 sections 2.1.3.2 and
  2.1.4.2). A check answers yes or no; whatever is malformed is a no.
- The empty tree proves nothing: consistency with size 0 is never proven.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

Hash = bytes
"""32 bytes of SHA-256."""
Subtree = tuple[int, int]
"""(level, index) of a perfect subtree."""
HashReader = Callable[[Sequence[Subtree]], Sequence[Hash]]
"""The roots of perfect subtrees, in the order asked for."""

HASH_BYTES = 32
EMPTY_ROOT: Hash = sha256(b"").digest()
_LEAF, _NODE = b"\x00", b"\x01"


def leaf_hash(entry: bytes) -> Hash:
    """The hash of a leaf."""
    return sha256(_LEAF + entry).digest()


def node_hash(left: Hash, right: Hash) -> Hash:
    """The hash of an inner node."""
    return sha256(_NODE + left + right).digest()


def parents(hashes: Sequence[Hash]) -> list[Hash]:
    """The nodes above pairs of neighbours. Requires: an even number of hashes."""
    pairs = zip(hashes[::2], hashes[1::2], strict=True)
    return [sha256(_NODE + left + right).digest() for left, right in pairs]


def perfect_root(hashes: Sequence[Hash]) -> Hash:
    """The root over 2^k hashes of one level. Requires: a power of two of them."""
    while len(hashes) > 1:
        hashes = parents(hashes)
    return hashes[0]


def joined(hashes: Iterable[Hash]) -> Hash:
    """The root over neighbouring perfect subtrees, the largest (leftmost) first; that of the empty
    tree for none."""
    root: Hash | None = None
    for one in reversed(list(hashes)):
        root = one if root is None else node_hash(one, root)
    return EMPTY_ROOT if root is None else root


# --- what a tree is made of ---------------------------------------------------------------------


def subtrees(first: int, last: int) -> list[Subtree]:
    """The perfect subtrees that leaves first..last-1 are made of, the largest first.

    Requires: `first` is a multiple of the greatest power of two that fits in the span, as it is
    for every node of a tree.
    """
    found, at = [], first
    for level in reversed(range((last - first).bit_length())):
        if (last - first) >> level & 1:
            found.append((level, at >> level))
            at += 1 << level
    return found


def root_hash(size: int, read: HashReader) -> Hash:
    """The root of the tree of the first `size` leaves. Requires: size >= 0."""
    return joined(read(subtrees(0, size)))


def _split(first: int, last: int) -> int:
    """Where the left subtree of a node over two leaves or more ends."""
    return first + (1 << ((last - first - 1).bit_length() - 1))


def _hashes(spans: Sequence[tuple[int, int]], read: HashReader) -> list[Hash]:
    """The root of each span, with one question to the reader."""
    parts = [subtrees(first, last) for first, last in spans]
    answers = iter(read([one for part in parts for one in part]))
    return [joined(next(answers) for _ in part) for part in parts]


def inclusion_proof(leaf: int, size: int, read: HashReader) -> list[Hash]:
    """The audit path of a leaf (RFC 6962 section 2.1.1), from the leaf up.

    Requires: 0 <= leaf < size.
    """
    first, last, spans = 0, size, []
    while last - first > 1:
        middle = _split(first, last)
        if leaf < middle:
            spans.append((middle, last))
            last = middle
        else:
            spans.append((first, middle))
            first = middle
    return _hashes(spans[::-1], read)


def consistency_proof(old: int, new: int, read: HashReader) -> list[Hash]:
    """The proof that the first `old` leaves of the tree of `new` are the tree of `old` (RFC 6962
    section 2.1.2). Requires: 1 <= old <= new."""
    first, last, spans, whole = 0, new, list[tuple[int, int]](), True
    while old != last:
        middle = _split(first, last)
        if old <= middle:
            spans.append((middle, last))
            last = middle
        else:
            spans.append((first, middle))
            first, whole = middle, False
    if not whole:
        spans.append((first, last))
    return _hashes(spans[::-1], read)


# --- checking -----------------------------------------------------------------------------------


def is_included(leaf: int, size: int, hashed: Hash, proof: Sequence[Hash], root: Hash) -> bool:
    """Whether the proof shows the leaf with this hash in the tree with this root (RFC 9162 section
    2.1.3.2)."""
    if not 0 <= leaf < size or any(len(one) != HASH_BYTES for one in (hashed, *proof)):
        return False
    node, last, found = leaf, size - 1, hashed
    for one in proof:
        if last == 0:
            return False
        if node & 1 or node == last:
            found = node_hash(one, found)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            found = node_hash(found, one)
        node, last = node >> 1, last >> 1
    return last == 0 and found == root


def is_consistent(old: int, new: int, proof: Sequence[Hash], old_root: Hash, root: Hash) -> bool:
    """Whether the proof shows the tree of `old` leaves to be the beginning of that of `new` (RFC
    9162 section 2.1.4.2)."""
    if not 1 <= old <= new or any(len(one) != HASH_BYTES for one in proof):
        return False
    if old == new:
        return not proof and old_root == root
    path = list(proof) if old & (old - 1) else [old_root, *proof]
    if not path:
        return False
    node, last = old - 1, new - 1
    while node & 1:
        node, last = node >> 1, last >> 1
    before = after = path[0]
    for one in path[1:]:
        if last == 0:
            return False
        if node & 1 or node == last:
            before, after = node_hash(one, before), node_hash(one, after)
            while not node & 1 and node:
                node, last = node >> 1, last >> 1
        else:
            after = node_hash(after, one)
        node, last = node >> 1, last >> 1
    return last == 0 and before == old_root and after == root


# --- a tree that grows --------------------------------------------------------------------------


@dataclass
class Frontier:
    """What has to be kept of a tree so that it can grow: the roots of its perfect subtrees, the
    largest first (one for each bit of its size)."""

    size: int = 0
    peaks: list[Hash] = field(default_factory=list)

    def append(self, hashed: Hash) -> None:
        """Takes in the next leaf's hash."""
        size = self.size
        while size & 1:
            hashed, size = node_hash(self.peaks.pop(), hashed), size >> 1
        self.peaks.append(hashed)
        self.size += 1

    def root(self) -> Hash:
        """The root as it stands."""
        return joined(self.peaks)
