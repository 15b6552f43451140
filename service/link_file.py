"""link-file: links CSV, Parquet or NDJSON files with no workspace.

Rules:
- Several files are several sources; a `--source` column tells them apart inside one.
- The model is trained on the input, from the shipped one (or another prior), unless a frozen model
  is given.
- Each output file appears whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from linkage.api import Linked, link
from linkage.engine import Progress
from linkage.features import build_features
from linkage.model import Model
from linkage.plan import RuleCost, costs, default_rules
from linkage.table_names import SOURCE_OF_FILE
from linkage.tables import read_columns
from linkage.texts import as_text, by_value
from linkage.thresholds import rates
from schemas.errors import InputError
from service.table_files import (
    Read,
    check_outputs,
    read_table,
    source_names,
    write_table,
    write_text,
)


@dataclass(frozen=True)
class LinkFileReport:
    """What was linked and how the columns were understood.

    `unused` columns are read by nothing; `missing_fields` are those that a frozen model compares
    and the input does not have.
    """

    records: int
    persons: int
    compared: int
    mapping: dict[str, list[str]]
    recognised: list[str]
    without_evidence: dict[str, int]
    unused: list[str]
    missing_fields: list[str]
    joined_pairs: int
    model: str
    join_bits: float
    estimated_precision: float
    estimated_recall: float
    rules: list[dict[str, Any]]


@dataclass(frozen=True)
class Columns:
    """What the user says of the input's columns; what is not said is recognised."""

    mapping: Mapping[str, Sequence[str]]
    identifiers: Sequence[str] = ()
    exact: Sequence[str] = ()
    id_column: str | None = None
    source_column: str | None = None


@dataclass(frozen=True)
class Outputs:
    """Where results go; None where one is not wanted."""

    out: Path
    pairs: Path | None = None
    report: Path | None = None
    model: Path | None = None


def link_files(
    inputs: Sequence[Path],
    outputs: Outputs,
    columns: Columns,
    *,
    model: Model | None = None,
    prior: Model | None = None,
    join_bits: float | None = None,
    labels: Path | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
    page: Callable[[Linked], str] | None = None,
    read: Read = read_table,
) -> LinkFileReport:
    """Links the files and writes `record_id, source, person_id`; see the module's rules.

    Args:
        page: makes the HTML report; needed where `outputs` wants one.
        read: gives an input's table, where reading has begun already.

    Raises: InputError (a file or column), NotUsable (nothing to link on).
    """
    tables = [outputs.out, *filter(None, [outputs.pairs])]
    held = [*inputs, *filter(None, [labels])]
    check_outputs(tables, held, others=[*filter(None, [outputs.report, outputs.model])])
    linked = link(
        read_files(inputs, columns.source_column, read),
        model,
        prior=prior,
        mapping=columns.mapping,
        identifiers=columns.identifiers,
        exact=columns.exact,
        id_column=columns.id_column,
        join_bits=join_bits,
        labels=read_table(labels) if labels else None,
        threads=threads,
        progress=progress,
    )
    write_table(linked.records, outputs.out)
    if outputs.pairs is not None:
        write_table(linked.pairs, outputs.pairs)
    if outputs.report is not None and page is not None:
        write_text(page(linked), outputs.report)
    if outputs.model is not None:
        write_text(linked.model.to_json().decode(), outputs.model)
    return _report(linked)


def plan_files(
    inputs: Sequence[Path], columns: Columns, model: Model | None, read: Read = read_table
) -> list[RuleCost]:
    """What blocking would cost, rule by rule, before anything is compared."""
    reading = read_columns(
        read_files(inputs, columns.source_column, read),
        mapping=columns.mapping,
        identifiers=columns.identifiers,
        exact=columns.exact,
        id_column=columns.id_column,
    )
    features = build_features(reading.table, accept_test_numbers=True, extra=reading.extra)
    return costs(features, model.rules if model else default_rules(features))


def read_files(
    inputs: Sequence[Path], source_column: str | None = None, read: Read = read_table
) -> pa.Table:
    """All files as one table that says which source each row is of. Raises: InputError."""
    tables: list[pa.Table] = []
    columns: dict[str, None] = {}
    for name, path in zip(source_names(inputs), inputs, strict=True):
        table = read(path)
        columns |= dict.fromkeys(table.column_names)
        if source_column and source_column in table.column_names:
            source = by_value(table[source_column].combine_chunks(), as_text)
        else:
            which = pa.array(np.zeros(len(table), np.int32))
            source = pa.DictionaryArray.from_arrays(which, pa.array([name]))
        tables.append(table.append_column(SOURCE_OF_FILE, source))
    if source_column and source_column not in columns:
        raise InputError(f"--source: no column {source_column!r}; columns are {', '.join(columns)}")
    if len(tables) == 1:
        return tables[0]
    return pa.concat_tables([_as_texts(table) for table in tables], promote_options="default")


def _as_texts(table: pa.Table) -> pa.Table:
    """The table with every column as texts: files may differ in the types they give."""
    return pa.table({n: as_text(table[n].combine_chunks()) for n in table.column_names})


def _report(linked: Linked) -> LinkFileReport:
    at_join = rates(linked.sample, grid=np.array([linked.join_bits]), found=linked.rates.found)
    return LinkFileReport(
        records=len(linked.records),
        persons=linked.persons,
        compared=linked.partition.compared,
        mapping=linked.reading.mapping,
        recognised=linked.reading.recognised,
        without_evidence=linked.reading.without_evidence,
        unused=list(linked.reading.unused),
        missing_fields=list(linked.missing_fields) if linked.trained is None else [],
        joined_pairs=linked.partition.joined_pairs,
        model=linked.model.hash,
        join_bits=linked.join_bits,
        estimated_precision=round(float(at_join.precision[0]), 5),
        estimated_recall=round(float(at_join.recall[0]), 5),
        rules=[asdict(r) for r in linked.partition.rules],
    )
