"""link-file: links CSV, Parquet or NDJSON files with no workspace.

Rules:
- Columns are mapped by the user, or recognised by well-known names; what was recognised is said.
- Several files are several sources; a `--source` column tells them apart inside one.
- Values that are not what their field says (an NHS number with a wrong check digit, a date in no
  known format) carry no evidence, and are counted.
- The model is trained on the input, from the shipped one, unless a model file is given.
- Output files appear whole or not at all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from linkage.engine import Partition, Scorer, link
from linkage.features import build_features
from linkage.model import Model, uk_person
from linkage.score import probability
from linkage.train import train
from schemas.columns import MATCH_SCHEMA
from schemas.dates import parse_partial_date
from schemas.errors import InputError, InvalidValue, NotUsable
from schemas.identifiers import parse_nhs_number, parse_postcode
from service.table_files import check_outputs, read_table, source_names, write_table

WELL_KNOWN: dict[str, tuple[str, ...]] = {
    "given_name": ("given_name", "first_name", "firstname", "forename", "forenames", "given"),
    "family_name": ("family_name", "surname", "last_name", "lastname", "family"),
    "date_of_birth": ("date_of_birth", "dob", "birth_date", "birthdate", "dateofbirth"),
    "gender": ("gender", "sex"),
    "postcode": ("postcode", "post_code", "postal_code", "zip"),
    "address": ("address", "address_1", "address_line_1", "address1", "street"),
    "phone": ("phone", "telephone", "phone_number", "mobile", "tel"),
    "email": ("email", "e_mail", "email_address"),
    "nhs_number": ("nhs_number", "nhsnumber", "nhs_no"),
    "gp_practice": ("gp_practice", "practice_code", "gp_code"),
}
"""Field → column names that are taken for it when nothing is mapped (case and spaces aside)."""
ID_NAMES = ("record_id", "unique_id", "rec_id", "id")
DATE_FORMATS = (
    "%Y-%m-%d", "%d/%m/%Y", "%Y%m%d", "%d-%m-%Y", "%Y/%m/%d", "%d.%m.%Y", "%m/%d/%Y",
    "%d %b %Y", "%d %B %Y", "%Y-%m", "%Y",
)  # fmt: skip
JOIN_BITS = 6.0
REVIEW_BITS = 0.0


@dataclass(frozen=True)
class LinkFileReport:
    """What was linked and how the columns were understood."""

    records: int
    persons: int
    compared: int
    mapping: dict[str, list[str]]
    recognised: list[str]
    without_evidence: dict[str, int]
    model: str
    rules: list[dict[str, object]] = field(default_factory=list)


def link_files(
    inputs: Sequence[Path],
    out: Path,
    *,
    mapping: Mapping[str, Sequence[str]],
    identifiers: Sequence[str] = (),
    id_column: str | None = None,
    source_column: str | None = None,
    pairs: Path | None = None,
    model: Model | None = None,
    threads: int | None = None,
) -> LinkFileReport:
    """Links the files and writes `record_id, source, person_id`; see the module's rules.

    Raises: InputError (a file or column), NotUsable (nothing to link on).
    """
    check_outputs([out, *([pairs] if pairs else [])], inputs)
    frames = [read_table(path) for path in inputs]
    for name, frame in zip(source_names(inputs), frames, strict=True):
        frame["__source"] = frame.get(source_column, name) if source_column else name
    frame = pd.concat(frames, ignore_index=True)
    used, recognised = _columns(frame, mapping, identifiers, source_column)
    ids = _record_ids(frame, id_column)
    issues: dict[str, int] = {}
    table = _match_table(frame, used, identifiers, issues)
    if model is None:
        model = train(build_features(table, accept_test_numbers=True), uk_person()).model
    partition = link(
        table,
        model,
        join_bits=JOIN_BITS,
        review_bits=REVIEW_BITS,
        accept_test_numbers=True,
        threads=threads,
    )
    source = table["source"]
    person = _person_ids(partition)
    write_table(pa.table({"record_id": ids, "source": source, "person_id": person}), out)
    if pairs is not None:
        write_table(_pair_table(table, model, partition, ids), pairs)
    return LinkFileReport(
        records=len(frame),
        persons=len(np.unique(partition.label)),
        compared=partition.compared,
        mapping={k: list(v) for k, v in used.items()},
        recognised=recognised,
        without_evidence=issues,
        model=model.hash,
        rules=[vars(r) for r in partition.rules],
    )


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


def _columns(
    frame: pd.DataFrame,
    mapping: Mapping[str, Sequence[str]],
    identifiers: Sequence[str],
    source_column: str | None,
) -> tuple[dict[str, list[str]], list[str]]:
    """Field → columns, with what was recognised added to what was mapped."""
    for name in mapping:
        if name not in WELL_KNOWN:
            raise InputError(f"--map {name}: no such field; fields are {', '.join(WELL_KNOWN)}")
    asked = [c for columns in mapping.values() for c in columns]
    asked += [*identifiers, *([source_column] if source_column else [])]
    for column in asked:
        if column not in frame:
            raise InputError(f"no column {column!r}; columns are {', '.join(_shown(frame))}")
    used = {name: list(columns) for name, columns in mapping.items()}
    taken = set(asked)
    by_plain = {_plain(c): c for c in _shown(frame)}
    recognised = []
    for name, known in WELL_KNOWN.items():
        found = next((by_plain[k] for k in known if k in by_plain), None)
        if name not in used and found is not None and found not in taken:
            used[name] = [found]
            recognised.append(f"{found} as {name}")
    if not used and not identifiers:
        raise NotUsable(
            "no column to link on: map some with --map field=column; fields are "
            + ", ".join(WELL_KNOWN)
        )
    return used, recognised


def _shown(frame: pd.DataFrame) -> list[str]:
    return [str(c) for c in frame.columns if c != "__source"]


def _record_ids(frame: pd.DataFrame, id_column: str | None) -> pa.Array:
    if id_column is None:
        id_column = next((c for c in _shown(frame) if _plain(c) in ID_NAMES), None)
    elif id_column not in frame:
        raise InputError(f"no column {id_column!r}; columns are {', '.join(_shown(frame))}")
    if id_column is None:
        return pa.array([str(n) for n in range(len(frame))], pa.string())
    ids = frame[id_column]
    keys = frame["__source"].astype(str) + "\0" + ids.astype(str)
    if ids.isna().any() or keys.duplicated().any():
        raise InputError(f"column {id_column!r}: an id is empty, or stands twice in one source")
    return pa.array(ids.astype(str), pa.string())


def _match_table(
    frame: pd.DataFrame,
    used: Mapping[str, list[str]],
    identifiers: Sequence[str],
    issues: dict[str, int],
) -> pa.Table:
    """The input as `MATCH_SCHEMA`, with `source` and `founder`."""
    n = len(frame)
    text = {name: _text(frame, columns, name) for name, columns in used.items()}
    columns: dict[str, pa.Array] = {
        f.name: pa.array([[]] * n, f.type) if pa.types.is_list(f.type) else pa.nulls(n, f.type)
        for f in MATCH_SCHEMA
    }
    if "given_name" in text or "family_name" in text:
        columns["given"] = _lists(text.get("given_name"), n, keep_empty=True)
        columns["family"] = _lists(text.get("family_name"), n, keep_empty=True)
    for field_name, column in (("address", "address"), ("phone", "phone"), ("email", "email")):
        if field_name in text:
            columns[column] = _lists(text[field_name], n)
    if "postcode" in text:
        columns["postcode"] = _lists(_parsed(text["postcode"], parse_postcode), n)
    if "nhs_number" in text:
        parsed = _parsed(text["nhs_number"], parse_nhs_number)
        issues["nhs_number"] = int(text["nhs_number"].notna().sum() - parsed.notna().sum())
        columns["nhs_number"] = pa.array(parsed, pa.string())
    if "date_of_birth" in text:
        births = _dates(text["date_of_birth"], frame["__source"])
        issues["date_of_birth"] = int(text["date_of_birth"].notna().sum() - births.notna().sum())
        columns["birth_date"] = pa.array(births, pa.string())
    if "gender" in text:
        sent = text["gender"].str.strip().str.lower()
        columns["gender"] = pa.array(sent.map(_GENDERS), pa.string())
    if "gp_practice" in text:
        columns["gp_practice"] = pa.array(text["gp_practice"].str.strip(), pa.string())
    if identifiers:
        columns["identifier"] = _identifier_lists(frame, identifiers)
    digits = len(str(max(n - 1, 1)))
    founders = [f"{i:0{digits}d}".encode() for i in range(n)]
    return pa.table(
        {
            "source": pa.array(frame["__source"].astype(str), pa.string()),
            "founder": pa.array(founders, pa.binary()),
            **columns,
        }
    )


def _text(frame: pd.DataFrame, columns: Sequence[str], name: str) -> pd.Series:
    """Several columns as one text; the parts of a date joined by `-` in the order given."""
    if len(columns) == 1:
        only: pd.Series = frame[columns[0]].str.strip()
        return only
    parts = frame[list(columns)].apply(lambda c: c.str.strip())
    separator = "-" if name == "date_of_birth" else " "
    joined = parts.fillna("").agg(separator.join, axis=1).str.strip(f"{separator} ")
    whole: pd.Series = joined.where(joined != "").astype("string")
    return whole


def _lists(values: pd.Series | None, n: int, *, keep_empty: bool = False) -> pa.Array:
    """One list per row: of the value, or empty (of an empty text where `keep_empty`)."""
    if values is None:
        values = pd.Series([None] * n, dtype="string")
    filled = pa.array(values.fillna(""), pa.string())
    if keep_empty:
        return pa.ListArray.from_arrays(pa.array(np.arange(n + 1, dtype=np.int32)), filled)
    has = (values.fillna("") != "").to_numpy(dtype=bool)
    offsets = np.concatenate([[0], np.cumsum(has)]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), filled.filter(pa.array(has)))


def _identifier_lists(frame: pd.DataFrame, identifiers: Sequence[str]) -> pa.Array:
    rows: list[list[str]] = [[] for _ in range(len(frame))]
    for column in identifiers:
        for row, value in zip(rows, frame[column], strict=True):
            if not pd.isna(value) and value.strip():
                row.append(f"{column}|{value.strip()}")
    return pa.array(rows, pa.list_(pa.string()))


def _parsed(values: pd.Series, parse: object) -> pd.Series:
    """Distinct values parsed once; what does not parse becomes missing."""
    found: dict[str, str | None] = {}
    for value in values.dropna().unique():
        try:
            found[value] = parse(value)  # type: ignore[operator]
        except InvalidValue:
            found[value] = None
    parsed: pd.Series = values.map(found).astype("string")
    return parsed


_GENDERS = {
    **dict.fromkeys(("m", "male", "man", "boy", "1"), "male"),
    **dict.fromkeys(("f", "female", "woman", "girl", "2"), "female"),
}
"""Texts for gender; the digits are those of ISO 5218 and of the NHS Data Dictionary."""


def _dates(values: pd.Series, source: pd.Series) -> pd.Series:
    """Birth dates, source by source in the format that reads most of its column.

    One format for the whole column: day and month are never told apart row by row.
    """
    parsed = pd.Series(pd.NA, index=values.index, dtype="string")
    for _, part in values.groupby(source):
        distinct = part.dropna().unique()
        sample = distinct[:5_000]
        best = max(DATE_FORMATS, key=lambda f: sum(_date(v, f) is not None for v in sample))
        parsed[part.index] = part.map({v: _date(v, best) for v in distinct}).astype("string")
    return parsed


def _date(text: str, fmt: str) -> str | None:
    try:
        return parse_partial_date(
            text.split("T", maxsplit=1)[0].split(" 00:", maxsplit=1)[0], (fmt,)
        )
    except InvalidValue:
        return None


def _person_ids(partition: Partition) -> pa.Array:
    """Persons numbered in the order of their first record."""
    _, person = np.unique(partition.label, return_inverse=True)
    return pa.array(person.astype(np.int64))


def _pair_table(table: pa.Table, model: Model, partition: Partition, ids: pa.Array) -> pa.Table:
    """Scored pairs at or above the review threshold, with bits per field against strangers."""
    left, right = (partition.edges[side].to_numpy() for side in ("left", "right"))
    features = build_features(table, accept_test_numbers=True)
    place = np.empty(len(features), np.int32)
    place[features.row] = np.arange(len(features), dtype=np.int32)
    source = table["source"].combine_chunks()
    bits = partition.edges["bits"].to_numpy()
    return pa.table(
        {
            "left_id": ids.take(pa.array(left)),
            "right_id": ids.take(pa.array(right)),
            "match_weight": bits,
            "probability": probability(bits),
            "left_source": source.take(pa.array(left)),
            "right_source": source.take(pa.array(right)),
            "forbidden_by": partition.edges["guard"],
            **Scorer(features, model).field_bits(place[left], place[right]),
        }
    )
