"""Splink on DuckDB, trained and applied as its documentation does; one process per run.

The job:

| key | what |
|---|---|
| `inputs` | Parquet files; one for `dedupe_only`, several otherwise |
| `id` | the column that names each record, unique over all files |
| `link_type` | `dedupe_only`, `link_only` or `link_and_dedupe` |
| `derive` | further column → SQL expression over the input's |
| `blocking` | rules for prediction: lists of columns or expressions (`block_on`), or SQL |
| `comparisons` | `[class of splink.comparison_library, positional, named, term frequency?]` |
| `deterministic`, `recall` | for the probability that two random records match |
| `u_pairs` | random pairs for u |
| `em` | blocking rules of the training passes, in order |
| `em_pairs` | at most so many pairs a pass, or null |
| `em_without_tf` | `estimate_without_term_frequencies` |
| `predict`, `cluster` | match probabilities: pairs kept, pairs that join |
| `seed` | of the random pairs |
"""

from __future__ import annotations

import logging

import duckdb
import splink.comparison_library as cl
from common import Report, arguments
from splink import DuckDBAPI, Linker, SettingsCreator, block_on


def main() -> None:
    """Runs the job of the command line."""
    options = arguments("Splink")
    logging.disable(logging.WARNING)
    job, report = options.job, Report("splink")
    connection = duckdb.connect()
    with report.stage("load"):
        linker = load(connection, job)
    with report.stage("train"):
        train(linker, job)
    with report.stage("predict"):
        found = linker.inference.predict(threshold_match_probability=job["predict"])
    with report.stage("cluster"):
        clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
            found, threshold_match_probability=job["cluster"]
        )
    with report.stage("write"):
        connection.sql(
            f"select {job['id']} as record_id, cluster_id as person_id"
            f" from {clusters.physical_name}"
        ).write_parquet(str(options.out))
    if options.pairs:
        left, right = f"{job['id']}_l", f"{job['id']}_r"
        connection.sql(
            f"select {left} as left_id, {right} as right_id, match_weight as score"
            f" from {found.physical_name}"
        ).write_parquet(str(options.pairs))
    connection.execute(f"select count(*) from {found.physical_name}")
    (report.pairs["kept"],) = connection.fetchone()
    report.show()


def load(connection: duckdb.DuckDBPyConnection, job: dict) -> Linker:
    """Reads the files into DuckDB and builds the untrained model."""
    api = DuckDBAPI(connection=connection)
    derived = "".join(f", {sql} as {name}" for name, sql in job["derive"].items())
    tables = []
    for n, path in enumerate(job["inputs"]):
        connection.execute(
            f"create table input_{n} as select *{derived} from read_parquet(?)", [path]
        )
        tables.append(api.register(f"input_{n}"))
    settings = SettingsCreator(
        link_type=job["link_type"],
        unique_id_column_name=job["id"],
        blocking_rules_to_generate_predictions=[rule(r) for r in job["blocking"]],
        comparisons=[comparison(*c) for c in job["comparisons"]],
        retain_intermediate_calculation_columns=False,
        retain_matching_columns=False,
    )
    return Linker(tables[0] if len(tables) == 1 else tables, settings)


def rule(words: list[str] | str):  # type: ignore[no-untyped-def]
    """A blocking rule: columns that must agree, or SQL over `l` and `r`."""
    return words if isinstance(words, str) else block_on(*words)


def comparison(kind: str, positional: list, named: dict, frequency: bool):  # type: ignore[no-untyped-def]
    """A comparison of Splink's library, with term-frequency adjustment where asked for."""
    built = getattr(cl, kind)(*positional, **named)
    return built.configure(term_frequency_adjustments=True) if frequency else built


def train(linker: Linker, job: dict) -> None:
    """Prior from deterministic rules, u from random pairs, m from several passes of EM."""
    linker.training.estimate_probability_two_random_records_match(
        [rule(r) for r in job["deterministic"]], recall=job["recall"]
    )
    linker.training.estimate_u_using_random_sampling(max_pairs=job["u_pairs"], seed=job["seed"])
    for words in job["em"]:
        linker.training.estimate_parameters_using_expectation_maximisation(
            rule(words),
            estimate_without_term_frequencies=job["em_without_tf"],
            max_pairs=job["em_pairs"],
        )


if __name__ == "__main__":
    main()
