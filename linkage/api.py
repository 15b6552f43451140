"""Linking a user's own table, in a notebook or a script: `link`, and what it gives back.

Rules:
- Without a frozen model the table trains its own, from a prior (the shipped `uk_person` unless
  another is given), with blocking rules for the columns it has and the threshold that its own
  scores recommend. With a frozen model nothing is learnt.
- The same records give the same persons, whatever the order of rows and the number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage.blocking import ALL, Proposals
from linkage.columns import Features
from linkage.engine import CHUNK, MustLinks, Partition, Progress, block, link_features
from linkage.features import build_features
from linkage.model import ColumnSpec, Field, Level, Model, uk_person
from linkage.plan import default_rules
from linkage.score import Scorer, probability
from linkage.tables import Reading, read_columns
from linkage.texts import as_arrow, as_text
from linkage.thresholds import FOUND, Rates, Sample, draw, rates, recommend
from linkage.train import Labels, Trained, train
from linkage.views import Rows
from schemas.errors import InputError, NotUsable

GUARDS = ("verified_numbers_differ", "born_after_death", "died_years_apart", "source_holds_apart")
"""Guard rails that hold for any table. Those of the nightly run that rest on clean dates of birth
(twins, generations, one number on two people) are left to the score."""
PLACES = ("town", "region", "birth_place")
YES = ("true", "1", "yes", "y", "match")
NO = ("false", "0", "no", "n", "non-match")
"""How a judged pair is written."""


@dataclass(frozen=True)
class Linked:
    """What `link` found.

    Attributes:
        records: table `record_id`, `source`, `person_id`, one row per input row, in its order.
        model: the model used; `trained` how its training went, None where it was frozen.
        partition: labels, edges, tasks and counts by rule.
        reading: how the table's columns were understood.
        rates: estimated precision and recall by threshold, without labels.
        join_bits, review_bits: the thresholds that were used.
    """

    records: pa.Table
    model: Model
    trained: Trained | None
    partition: Partition
    reading: Reading
    features: Features = field(repr=False)
    sample: Sample = field(repr=False)
    rates: Rates = field(repr=False)
    join_bits: float = 0.0
    review_bits: float = 0.0

    def __repr__(self) -> str:
        """Counts alone: the last line of a notebook's cell shows no person."""
        return (
            f"Linked({len(self.records)} records, {self.persons} persons, "
            f"join_bits={self.join_bits}, model={self.model.hash[:12]})"
        )

    @property
    def missing_fields(self) -> tuple[str, ...]:
        """Fields that the model compares and of which no record has a value."""
        return tuple(
            f.name
            for f in self.model.fields
            if f.column != "source" and self.features.column(f.column).empty
        )

    @property
    def persons(self) -> int:
        """How many persons there are."""
        label = self.partition.clusters.label
        return int(np.count_nonzero(label == np.arange(len(label))))

    @cached_property
    def pairs(self) -> pa.Table:
        """Scored pairs at or above the review threshold: `left_id`, `right_id`, `match_weight`,
        `probability`, their sources, the guard that forbids, and bits per field against
        strangers."""
        edges = self.partition.edges
        left, right = (edges[side].to_numpy() for side in ("left", "right"))
        place = np.empty(len(self.features), np.int32)
        place[self.features.row] = np.arange(len(self.features), dtype=np.int32)
        bits = edges["bits"].to_numpy()
        ids, source = (
            self.reading.ids,
            self.reading.table["source"].combine_chunks().dictionary_decode(),
        )
        one, two = pa.array(left), pa.array(right)
        fields = Scorer(self.features, self.model).field_bits(place[left], place[right])
        return pa.table(
            {
                "left_id": ids.take(one),
                "right_id": ids.take(two),
                "match_weight": bits,
                "probability": probability(bits),
                "left_source": source.take(one),
                "right_source": source.take(two),
                "forbidden_by": edges["guard"],
                **fields,
            }
        )


def link(
    data: Any,
    model: Model | None = None,
    *,
    prior: Model | None = None,
    mapping: Mapping[str, str | Sequence[str]] | None = None,
    identifiers: str | Sequence[str] = (),
    exact: str | Sequence[str] = (),
    id_column: str | None = None,
    source_column: str | None = None,
    keeps_apart: Sequence[str] = (),
    join_bits: float | None = None,
    labels: Any | None = None,
    must_links: MustLinks | None = None,
    dependence: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Linked:
    """Links the records of a table.

    Args:
        data: anything with the Arrow interface. Columns with well-known names are recognised.
        model: a frozen model; without one the table trains its own from `prior` (`uk_person`). A
            prior other than that keeps its own blocking rules.
        mapping: field → column or columns (a date in three); identifiers, exact: further columns.
        id_column, source_column: where they are not called by a well-known name.
        keeps_apart: sources of which no two records are one person.
        join_bits: the join threshold; None takes the recommended one.
        labels: table `left_id`, `right_id`, `match` of judged pairs, to learn from; and
            `left_source`, `right_source` where two sources share ids.
        must_links: two arrays of rows, left and right: each pair is one person, whatever its score.
        dependence: model fields that move together.

    Raises: InputError (columns, ids), NotUsable (nothing to link on), InvalidValue (the model).
    """
    _check_asked(model, prior, labels, join_bits)
    reading = read_columns(
        data, mapping=mapping, identifiers=identifiers, exact=exact,
        id_column=id_column, source_column=source_column,
    )  # fmt: skip
    del data  # what is not a feature need not be kept
    _check_sources(reading, keeps_apart)
    _check_must_links(must_links, len(reading.table))
    features = _features(reading, model or prior or uk_person(), keeps_apart)
    trained = None
    if model is None:
        trained, proposals = _learnt(features, reading, prior, labels, dependence, threads)
        model = trained.model
    else:
        _check_fits(model, features)
        proposals = block(features, model, threads)
    return _joined(
        reading, features, model, trained, proposals, join_bits=join_bits,
        must_links=must_links, threads=threads, progress=progress,
    )  # fmt: skip


def _joined(
    reading: Reading,
    features: Features,
    model: Model,
    trained: Trained | None,
    proposals: Proposals,
    *,
    join_bits: float | None,
    must_links: MustLinks | None,
    threads: int | None,
    progress: Progress | None,
) -> Linked:
    """The persons under a model, at the threshold asked for or else the recommended one."""
    scorer = Scorer(features, model)
    sample = draw(scorer, proposals, threads=threads)
    found = _rates(sample, proposals)
    recommended, review = recommend(found)
    if join_bits is None:
        join_bits = recommended if model.join_bits is None else model.join_bits
    if trained is not None:
        model = msgspec.structs.replace(model, join_bits=join_bits)
    partition = link_features(
        features, model, join_bits=join_bits, review_bits=min(review, join_bits),
        must_links=must_links, threads=threads, progress=progress, proposals=proposals,
        scorer=scorer,
    )  # fmt: skip
    return Linked(
        records=_records(reading, features, partition),
        model=model,
        trained=trained,
        partition=partition,
        reading=reading,
        features=features,
        sample=sample,
        rates=found,
        join_bits=join_bits,
        review_bits=min(review, join_bits),
    )


def _learnt(
    features: Features,
    reading: Reading,
    prior: Model | None,
    labels: Any | None,
    dependence: bool,
    threads: int | None,
) -> tuple[Trained, Proposals]:
    """A model of the table's own, and what its rules propose. Raises: InputError (labels)."""
    start = prior_for(features, prior or uk_person(), reading.extra, own_rules=prior is None)
    proposals = block(features, start, threads)
    judged = _labels(labels, reading, features) if labels is not None else None
    # Training keeps one thread busy for most of its time; another begins what comes after.
    pool = ThreadPoolExecutor(1)
    try:
        if threads != 1:
            proposals.begin(CHUNK, pool)
        trained = train(
            features, start, labels=judged, dependence=dependence, threads=threads,
            proposals=proposals, count_relatives=prior is None,
        )  # fmt: skip
    finally:
        pool.shutdown(wait=False)  # what it has begun goes on
    return trained, proposals


def _features(reading: Reading, model: Model, keeps_apart: Sequence[str]) -> Features:
    """Features of the table's columns, and of those that the model declares and the table has."""
    extra = {spec.name: spec for spec in (*reading.extra, *model.columns)}
    held = reading.table.column_names
    return build_features(
        reading.table,
        keeps_apart=keeps_apart,
        accept_test_numbers=True,
        extra=[spec for name, spec in extra.items() if name in held],
    )


def _rates(sample: Sample, proposals: Proposals) -> Rates:
    """Estimated rates; where every pair was proposed, blocking missed none."""
    whole = any(b.rule.keys == (ALL,) and not b.cut_blocks for b in proposals.blockers)
    return rates(sample, found=1.0 if whole else FOUND)


def _check_asked(
    model: Model | None, prior: Model | None, labels: Any | None, join_bits: float | None
) -> None:
    """That the options go together. Raises: InputError."""
    for name, given in (("model", model), ("prior", prior)):
        if given is not None and not isinstance(given, Model):
            raise InputError(f"{name} is a linkage.Model: read a file's bytes by Model.from_json")
    if model is not None and (prior is not None or labels is not None):
        raise InputError("a frozen model learns nothing: give it neither a prior nor labels")
    if join_bits is not None and not (
        isinstance(join_bits, int | float) and math.isfinite(join_bits)
    ):
        raise InputError("the join threshold must be a number of bits")


def _check_sources(reading: Reading, keeps_apart: Sequence[str]) -> None:
    """A mistyped source would let go of what keeps people apart. Raises: InputError."""
    if isinstance(keeps_apart, str):
        raise InputError("keeps_apart is a list of sources, not one text")
    sources = sorted(set(reading.table["source"].combine_chunks().dictionary.to_pylist()))
    unknown = sorted(set(keeps_apart) - set(sources))
    if unknown:
        raise InputError(
            f"keeps_apart is a list of sources: {', '.join(unknown)} is none of them; sources are "
            + ", ".join(sources)
        )


def _check_must_links(must_links: MustLinks | None, n: int) -> None:
    """That they are rows of the table, side by side. Raises: InputError."""
    if must_links is None:
        return
    sides = [np.asarray(side) for side in must_links]
    whole = len(sides) == 2 and all(
        isinstance(side, np.ndarray) and side.ndim == 1 and side.dtype.kind in "iu"
        for side in must_links
    )
    if not whole or len(sides[0]) != len(sides[1]):
        raise InputError("must_links are two arrays of one length: rows on the left, on the right")
    if any(((side < 0) | (side >= n)).any() for side in sides):
        raise InputError(f"must_links name a row that is not there: rows count from 0 to {n - 1}")


def prior_for(
    features: Features, prior: Model, extra: Sequence[ColumnSpec], *, own_rules: bool
) -> Model:
    """The prior with a field for every declared column, and rules for the columns at hand.

    Args:
        own_rules: plan rules for this table in the place of the prior's.
    """
    known = {spec.name for spec in prior.columns} | {f.column for f in prior.fields}
    new = [spec for spec in extra if spec.name not in known]
    rules = tuple(default_rules(features)) if own_rules else prior.rules
    return msgspec.structs.replace(
        prior,
        columns=(*prior.columns, *new),
        fields=(*prior.fields, *(category_field(spec.name) for spec in new)),
        rules=rules or prior.rules,
        guards=GUARDS if own_rules else prior.guards,
    )


def category_field(name: str) -> Field:
    """A field for a category that no prior knows. Places are shared in a household."""
    shared = 0.8 if name in PLACES else 0.3
    return Field(
        name=name,
        column=name,
        levels=(
            Level(name="same", test="equal", m=0.85, r=shared, u=0.1, frequency=1.0),
            Level(name="close", test="jaro_winkler", at=0.88, m=0.05, r=0.03, u=0.02),
            Level(name="different", m=0.1, r=0.97 - shared, u=0.88),
        ),
    )


def _check_fits(model: Model, features: Features) -> None:
    """A frozen model must have something to compare. Raises: NotUsable."""
    if not len(features):
        return
    held = [f.name for f in model.fields if f.column != "source"
            and not features.column(f.column).empty]  # fmt: skip
    if not held:
        names = ", ".join(f.column for f in model.fields)
        raise NotUsable(f"the model was trained on other fields than this table has: {names}")


def _labels(labels: Any, reading: Reading, features: Features) -> Labels:
    """Judged pairs as rows of the features. Raises: InputError."""
    table = as_arrow(labels)
    for name in ("left_id", "right_id", "match"):
        if name not in table.column_names:
            raise InputError(f"labels: no column '{name}'; expected left_id, right_id and match")
    place = np.empty(len(features), np.int32)
    place[features.row] = np.arange(len(features), dtype=np.int32)
    known = _named(reading.ids, reading.sources)
    sides = []
    for side in ("left", "right"):
        ids = as_text(table[f"{side}_id"].combine_chunks())
        name, values = f"{side}_id", reading.ids
        if f"{side}_source" in table.column_names:
            values, ids = known, _named(ids, as_text(table[f"{side}_source"].combine_chunks()))
        elif len(pc.unique(values)) < len(values):
            raise InputError(f"labels: an id stands in two sources; say which in '{side}_source'")
        rows = pc.index_in(ids, value_set=values)
        if rows.null_count:
            raise InputError(f"labels: {rows.null_count} values of '{name}' are no record's id")
        sides.append(place[rows.to_numpy()])
    one, two = np.minimum(*sides), np.maximum(*sides)
    if (one == two).any():
        raise InputError("labels: a record is paired with itself")
    return _once(one, two, _judged(as_text(table["match"].combine_chunks())))


def _once(one: Rows, two: Rows, match: npt.NDArray[np.bool_]) -> Labels:
    """Each judged pair once. Raises: InputError where there is none, or one is judged both ways."""
    if not len(one):
        raise InputError("labels: there is no judged pair")
    _, first, of = np.unique(
        one.astype(np.int64) << 32 | two, return_index=True, return_inverse=True
    )
    yes = np.bincount(of, weights=match)
    both = int(((yes > 0) & (yes < np.bincount(of))).sum())
    if both:
        raise InputError(f"labels: {both} pairs are judged both ways")
    return Labels(one[first], two[first], match[first])


def _named(ids: pa.Array, sources: pa.Array) -> pa.Array:
    """Records by source and id."""
    return pc.binary_join_element_wise(sources, ids, "\0")


def _judged(texts: pa.Array) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Judgements as true and false. Raises: InputError where one is neither."""
    lowered = pc.utf8_lower(texts)
    match, other = (pc.is_in(lowered, value_set=pa.array(words)) for words in (YES, NO))
    unread = len(texts) - pc.sum(pc.or_(match, other)).as_py() if len(texts) else 0
    if unread:
        raise InputError(f"labels: {unread} values of 'match' are neither true nor false")
    return np.asarray(match.to_numpy(zero_copy_only=False), bool)


def _records(reading: Reading, features: Features, partition: Partition) -> pa.Table:
    """Persons numbered in the canonical order of their first records."""
    label = partition.clusters.label
    number = np.cumsum(label == np.arange(len(label))) - 1
    person = np.empty(len(label), np.int64)
    person[features.row] = number.take(label)
    return pa.table(
        {
            "record_id": reading.ids,
            "source": reading.sources,
            "person_id": person,
        }
    )
