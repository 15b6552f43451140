"""Generated histories of a small partnership: records arrive, change, leave and come back; sources
merge them; people decide, and take decisions back. After each step it can be linked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import msgspec
import pyarrow as pa
from hypothesis import strategies as st

from linkage.blocking import Blocks
from linkage.features import build_features
from linkage.increment import Decided, Linked, link_increment
from linkage.model import Model
from linkage.prepared import Prepared
from linkage.reference import reference_partition
from tests.linkage.people import EXTRA, PHONES, as_row, models, people_table, person, shipped_model

Row = dict[str, Any]
Pair = tuple[int, int]
Step = list[Callable[["Partnership"], None]]
READ: dict[str, Any] = {"keeps_apart": {"b"}, "accept_test_numbers": True}
CROWD = 2
"""A crowd in these histories: a contact point of few records is borne by more."""


@dataclass
class Partnership:
    """What a store would hold: live records by id with version and content; declarations."""

    live: dict[int, tuple[int, Row]] = field(default_factory=dict)
    gone: dict[int, Row] = field(default_factory=dict)
    same: set[Pair] = field(default_factory=set)
    merged: set[Pair] = field(default_factory=set)
    apart: set[Pair] = field(default_factory=set)
    edges: list[Pair] = field(default_factory=list)
    records: int = 0
    versions: int = 0

    def put(self, record: int, row: Row) -> None:
        """A version of a record."""
        self.versions += 1
        self.live[record] = (self.versions, row)

    def arrive(self, row: Row) -> None:
        """A record not seen before."""
        self.records += 1
        self.put(3 * self.records, row)

    def nth(self, number: int) -> int | None:
        """A live record, by lot."""
        return sorted(self.live)[number % len(self.live)] if self.live else None

    def anyone(self, number: int) -> int:
        """A record that is live or was, by lot."""
        known = sorted({*self.live, *self.gone})
        return known[number % len(known)] if known else 3

    def decided(self) -> Decided:
        """The declarations, as tables, each way round."""
        return Decided(*(_pairs(some) for some in (self.same, self.merged, self.apart)))

    def table(self, records: Iterable[int] | None = None) -> pa.Table:
        """Records as the store would give them."""
        return records_table({r: self.live[r] for r in (self.live if records is None else records)})


def records_table(records: dict[int, tuple[int, Row]]) -> pa.Table:
    """Records by id → version and content; founders go in another order than ids."""
    rows = [
        {**row, "founder": f"{record * 7919 % 1009:04d}-{record}"}
        for record, (_, row) in records.items()
    ]
    table = people_table(rows, EXTRA)
    ids = pa.array(list(records), pa.int64())
    versions = pa.array([version for version, _ in records.values()], pa.int64())
    return table.append_column("record_id", ids).append_column("version_id", versions)


def _pairs(pairs: Iterable[Pair]) -> pa.Table:
    listed = sorted(pairs, key=lambda pair: (pair[0] % 5, pair))
    return pa.table(
        {
            "left": pa.array([one for one, _ in listed], pa.int64()),
            "right": pa.array([two for _, two in listed], pa.int64()),
        }
    )


# --- what may happen ---------------------------------------------------------------------------


def _arrive(row: Row) -> Callable[[Partnership], None]:
    return lambda p: p.arrive(row)


def _copy(number: int, row: Row, names: Iterable[str]) -> Callable[[Partnership], None]:
    """Another record of somebody, with some columns of its own."""

    def happen(p: Partnership) -> None:
        record = p.nth(number)
        if record is not None:
            p.arrive({**p.live[record][1], **{name: row[name] for name in names}})

    return happen


def _change(number: int, row: Row, names: Iterable[str]) -> Callable[[Partnership], None]:
    """A new version; with no names it says what the old one said."""

    def happen(p: Partnership) -> None:
        record = p.nth(number)
        if record is not None:
            p.put(record, {**p.live[record][1], **{name: row[name] for name in names}})

    return happen


def _withdraw(number: int) -> Callable[[Partnership], None]:
    def happen(p: Partnership) -> None:
        record = p.nth(number)
        if record is not None:
            p.gone[record] = p.live.pop(record)[1]

    return happen


def _come_back(number: int) -> Callable[[Partnership], None]:
    def happen(p: Partnership) -> None:
        if p.gone:
            record = sorted(p.gone)[number % len(p.gone)]
            p.put(record, p.gone.pop(record))

    return happen


def _share(numbers: list[int], name: str, value: str) -> Callable[[Partnership], None]:
    """Several records come to bear one value: a home takes them in."""

    def happen(p: Partnership) -> None:
        for record in {p.nth(number) for number in numbers} - {None}:
            p.put(record, {**p.live[record][1], name: [value]})

    return happen


def _crowd(number: int, copies: int) -> Callable[[Partnership], None]:
    """Several records of one person at once."""

    def happen(p: Partnership) -> None:
        record = p.nth(number)
        for _ in range(copies if record is not None else 0):
            p.arrive(p.live[record][1])

    return happen


def _declare(kind: str, one: int, two: int) -> Callable[[Partnership], None]:
    return lambda p: getattr(p, kind).add((p.anyone(one), p.anyone(two)))


def _decide(kind: str, number: int) -> Callable[[Partnership], None]:
    """Somebody looks at a pair that scored, or at one that was declared in another way."""

    def happen(p: Partnership) -> None:
        pairs = sorted({*p.edges, *p.same, *p.merged, *p.apart})
        if pairs:
            getattr(p, kind).add(pairs[number % len(pairs)])

    return happen


def _revoke(number: int) -> Callable[[Partnership], None]:
    def happen(p: Partnership) -> None:
        held = [(kind, pair) for kind in ("same", "merged", "apart") for pair in getattr(p, kind)]
        if held:
            kind, pair = sorted(held)[number % len(held)]
            getattr(p, kind).discard(pair)

    return happen


_number = st.integers(0, 40)
_row = st.builds(as_row, person)
_columns = st.sets(
    st.sampled_from(("given", "family", "birth_date", "postcode", "phone", "email", "identifier",
                     "nhs_number", "address", "source", "death")),
    max_size=4,
).map(sorted)  # fmt: skip
happenings = st.one_of(
    st.builds(_arrive, _row),
    st.builds(_copy, _number, _row, _columns),
    st.builds(_copy, _number, _row, _columns),
    st.builds(_change, _number, _row, _columns),
    st.builds(_change, _number, _row, _columns),
    st.builds(_withdraw, _number),
    st.builds(
        _share, st.lists(_number, min_size=2, max_size=5), st.just("phone"), st.sampled_from(PHONES)
    ),
    st.builds(_crowd, _number, st.integers(2, 4)),
    st.builds(_come_back, _number),
    st.builds(_declare, st.sampled_from(("same", "merged", "apart")), _number, _number),
    st.builds(_decide, st.sampled_from(("same", "merged", "apart")), _number),
    st.builds(_decide, st.sampled_from(("same", "apart")), _number),
    st.builds(_revoke, _number),
)
steps = st.lists(happenings, min_size=1, max_size=5)


@st.composite
def small_caps(draw: st.DrawFn) -> Model:
    """A model whose blocks often cross their caps."""
    model = draw(st.one_of(st.just(shipped_model()), models()))
    caps = draw(st.lists(st.integers(1, 6), min_size=len(model.rules), max_size=len(model.rules)))
    rules = [
        msgspec.structs.replace(rule, cap=cap) for rule, cap in zip(model.rules, caps, strict=True)
    ]
    return msgspec.structs.replace(model, rules=tuple(rules))


@dataclass(frozen=True)
class History:
    """A model, thresholds, the first night's records and what happens each night after."""

    model: Model
    join_bits: float
    first: list[Callable[[Partnership], None]]
    nights: list[Step]


@st.composite
def histories(draw: st.DrawFn) -> History:
    """Histories of a few nights over a few records."""
    arrivals = st.one_of(
        st.builds(_arrive, _row),
        st.builds(_copy, _number, _row, _columns),
        st.builds(_copy, _number, _row, _columns),
    )
    return History(
        draw(small_caps()),
        draw(st.floats(-4, 7)) + 1 / 3,
        draw(st.lists(arrivals, min_size=3, max_size=12)),
        draw(st.lists(steps, min_size=1, max_size=5)),
    )


# --- living through one ------------------------------------------------------------------------


def live_through(history: History, met: Counter[str]) -> None:
    """After each night, the increment is the link from nothing, to the last bit; and at the end it
    is the slow reference's. `met` counts what came to pass."""
    p = Partnership()
    options = {"join_bits": history.join_bits, "review_bits": history.join_bits - 3.0, **READ}
    options["threads"] = 1
    state, before, linked, held = None, Decided(), p.live.copy(), None
    for night in [history.first, *history.nights]:
        for happen in night:
            happen(p)
        past = {r: v for r, v in linked.items() if r not in p.live or p.live[r][0] != v[0]}
        decided = p.decided()
        found = link_increment(
            p.table(), records_table(past), state, decided, before, history.model, **options
        )
        whole = link_increment(
            p.table(), records_table({}), None, decided, Decided(), history.model, **options
        )
        assert_same(found, whole)
        held = _gone_on_from(held, p.table(), records_table(past), history.model)
        ids = [
            table.select(["record_id", "version_id"]) for table in (p.table(), records_table(past))
        ]
        again = link_increment(
            *ids, state, decided, before, history.model, prepared=held, **options
        )
        assert_same(again, whole)
        held = _kept(held, p.table())
        if state is not None:
            _count(met, history.model, linked, p.live, found, past, decided)
        p.edges = [(e["left"], e["right"]) for e in found.state.edges.to_pylist()]
        state, before, linked = found.state, decided, p.live.copy()
    del options["threads"]
    assert_reference(p, history.model, found, options)
    met["histories"] += 1


def _gone_on_from(held: Prepared | None, now: pa.Table, past: pa.Table, model: Model) -> Prepared:
    """What was kept, with the versions that it lacks."""
    both = pa.concat_tables([now, past.select(now.column_names)]) if len(past) else now
    held = Prepared.read(both.slice(0, 0)) if held is None else held
    lacking = both.filter(pa.array(~held.held(both["version_id"].to_numpy())))
    read = Prepared.read(
        lacking, accept_test_numbers=READ["accept_test_numbers"], extra=model.columns
    )
    return held.with_more(read)


def _kept(held: Prepared, now: pa.Table) -> Prepared:
    """What is left of it when it was written down and read again: on every other night nothing but
    what is live, in the order of founders."""
    if len(now) % 2:
        rows = held.rows_of(now["version_id"].to_numpy())
        held = held.compact(rows[held.in_order(rows)])
    return Prepared.of_tables(held.tables())


def assert_same(found: Linked, whole: Linked) -> None:
    """The same state, and the same histogram of it."""
    for name in ("records", "edges", "tasks"):
        one, two = getattr(found.state, name), getattr(whole.state, name)
        assert one.schema == two.schema, name
        assert one.to_pylist() == two.to_pylist(), name
    assert found.histogram[1].tolist() == whole.histogram[1].tolist()


def assert_reference(p: Partnership, model: Model, found: Linked, options: dict[str, Any]) -> None:
    """Labels, edges and tasks are those of the slow reference."""
    ids = list(p.live)
    row = {record: n for n, record in enumerate(ids)}
    declared = {
        name: tuple(
            [row[pair[side]] for pair in sorted(pairs) if set(pair) <= row.keys()]
            for side in (0, 1)
        )
        for name, pairs in (("must_links", p.merged), ("same", p.same), ("apart", p.apart))
    }
    wanted = reference_partition(p.table(), model, **declared, **options)
    label = {r["record_id"]: r["label"] for r in found.state.records.to_pylist()}
    assert label == {record: ids[wanted.label[n]] for record, n in row.items()}
    edges = {(e["left"], e["right"]): e["guard"] for e in found.state.edges.to_pylist()}
    named = {_sorted(ids[a], ids[b]): guard for (a, b), (_, guard) in wanted.edges.items()}
    assert edges == named
    tasks = {(t["left"], t["right"]): t["reason"] for t in found.state.tasks.to_pylist()}
    listed = {_sorted(ids[a], ids[b]): why for a, b, why in wanted.tasks}
    assert {k: v if v in ("contested", "review band") else "forbidden" for k, v in tasks.items()} \
        == listed  # fmt: skip
    assert len(tasks) == len(found.state.tasks) == len(wanted.tasks)


def _sorted(one: int, two: int) -> Pair:
    return min(one, two), max(one, two)


Records = dict[int, tuple[int, Row]]


def _count(
    met: Counter[str],
    model: Model,
    old: Records,
    new: Records,
    found: Linked,
    past: Records,
    decided: Decided,
) -> None:
    """What a night met with, found in plain ways."""
    met["nights"] += 1
    met["nights with a smaller region"] += found.stats["region"] < len(new)
    met["nights with former versions"] += bool(past)
    met["nights with tasks"] += len(found.state.tasks) > 0
    met["crowds crossed"] += bool(_crowded(old) ^ _crowded(new))
    met["nights with declared pairs"] += any(
        len(pairs) for pairs in (decided.same, decided.merged, decided.apart)
    )
    met["records dirty through others"] += found.stats["crossed"]
    one, two = (
        build_features(records_table(some), extra=model.columns, **READ) for some in (old, new)
    )
    for rule in model.rules:
        cut = Blocks.of(one, rule).cut_blocks, Blocks.of(two, rule).cut_blocks
        met["caps crossed"] += cut[0] != cut[1]


def _crowded(records: Records) -> set[str]:
    """Telephones that more than `CROWD` records bear."""
    bearers = Counter(phone for _, row in records.values() for phone in set(row["phone"]))
    return {phone for phone, count in bearers.items() if count > CROWD}
