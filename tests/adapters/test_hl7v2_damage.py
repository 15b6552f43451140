"""Damaged HL7 v2 files: nothing but the damaged messages is lost, and no value is told."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import FeedRefused
from tests.adapters.hl7v2_feeds import NUMBER, message, read, segment

COUNT = 6
GOOD = [
    message(
        "EVN|A01|20260101",
        f"PID|1||R{n}^^^RA7~{NUMBER}^^^NHS||Sickert^Walburga||19800517|F|||7 Quay^^^^BS1 5TR",
        segment("PV1", "1", "I", "W1", f19=f"V{n}", f44="20260101"),
        "AL1|1|DA|P^Penicillin",
        kind="ADT^A01",
        control=f"M{n}",
    )
    for n in range(COUNT)
]
SPANS = [(sum(map(len, GOOD[:n])), sum(map(len, GOOD[: n + 1]))) for n in range(COUNT)]


def _untouched(places: list[int]) -> set[str]:
    """Messages with no damage in them, nor two bytes of it in the header that ends them."""
    whole = set()
    for n, (start, end) in enumerate(SPANS):
        inside = any(start <= p < end for p in places)
        header_after = sum(end <= p < end + 8 for p in places)
        if not inside and header_after < 2:
            whole.add(f"R{n}")
    return whole


@settings(max_examples=150, deadline=None)
@given(
    damage=st.lists(
        st.tuples(st.integers(0, sum(map(len, GOOD)) - 1), st.integers(0, 255)),
        min_size=1,
        max_size=4,
    )
)
def test_damaged_bytes_lose_nothing_else(tmp_path_factory, damage):
    data = bytearray(b"".join(GOOD))
    for place, byte in damage:
        data[place] = byte
    path = tmp_path_factory.getbasetemp() / "damaged.hl7"
    (batch,) = read(path, bytes(data))
    accounted = set(batch.records["unit"].to_pylist()) | {r.unit for r in batch.rejected}
    accounted |= set(batch.items["unit"].to_pylist())
    assert accounted == set(range(batch.units))
    assert _untouched([p for p, _ in damage]) <= set(batch.records["local_id"].to_pylist())
    for rejected in batch.rejected:
        words = f"{rejected.message} {rejected.where} {rejected.field}"
        assert not any(v in words for v in ("Sickert", "Walburga", NUMBER, "1980", "Quay"))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, sum(map(len, GOOD))))
def test_a_file_cut_anywhere_keeps_what_came_whole(tmp_path_factory, cut):
    path = tmp_path_factory.getbasetemp() / "cut.hl7"
    try:
        (batch,) = read(path, b"".join(GOOD)[:cut])
    except FeedRefused:
        assert cut < 8
        return
    whole = {f"R{n}" for n, (_, end) in enumerate(SPANS) if end <= cut}
    assert whole <= set(batch.records["local_id"].to_pylist())
    assert batch.units == sum(start < cut for start, _ in SPANS)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "any.hl7"
    try:
        batches = read(path, b"MSH|^~\\&|" + data)
    except FeedRefused:
        return
    assert sum(b.units for b in batches) >= 1
