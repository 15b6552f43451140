"""link-file: files of one's own, with no workspace."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from commands.common import HELD_FILE, NEW_FILE, finish, json_option, progress_bar, report_option
from commands.lean import ended, keep_memory, leave_pandas_out, use_soon
from schemas.errors import InputError


@click.command("link-file")
@click.argument("inputs", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=NEW_FILE)
@click.option("--map", "maps", multiple=True, help="field=column, or field=column+column.")
@click.option("--identifier", "identifiers", multiple=True, help="A column of further numbers.")
@click.option("--exact", "exact", multiple=True, help="A column of a further category.")
@click.option("--id", "id_column", help="The column that names each record.")
@click.option("--source", "source_column", help="The column that tells sources apart.")
@click.option("--pairs", type=NEW_FILE)
@click.option(
    "--model",
    "model_file",
    type=HELD_FILE,
    help="A frozen model: nothing is learnt from the input.",
)
@click.option(
    "--prior",
    "prior_file",
    type=HELD_FILE,
    help="A model to train from in the place of the shipped one; its rules are kept.",
)
@click.option("--save-model", type=NEW_FILE)
@click.option(
    "--labels",
    type=HELD_FILE,
    help="Judged pairs to learn from: left_id, right_id, match.",
)
@click.option("--join-bits", type=float, default=None, help="The join threshold, in bits.")
@report_option
@click.option("--plan", "plan_only", is_flag=True, help="Show what blocking would cost, and stop.")
@click.option("--threads", type=click.IntRange(1), default=None)
@json_option
def link_file(
    inputs: tuple[Path, ...],
    out: Path | None,
    maps: tuple[str, ...],
    identifiers: tuple[str, ...],
    exact: tuple[str, ...],
    id_column: str | None,
    source_column: str | None,
    pairs: Path | None,
    model_file: Path | None,
    prior_file: Path | None,
    save_model: Path | None,
    labels: Path | None,
    join_bits: float | None,
    report: Path | None,
    plan_only: bool,
    threads: int | None,
    as_json: bool,
) -> None:
    """Links CSV, Parquet or NDJSON files with no workspace."""
    keep_memory()
    use_soon(4 * sum(path.stat().st_size for path in inputs if path.is_file()))
    if report is None:
        leave_pandas_out()
    from service.table_files import reading

    columns = _field_map(maps), identifiers, exact, id_column, source_column
    mapped = [name for names in columns[0].values() for name in names]
    with reading(inputs, _by_value({*mapped, *identifiers, *exact})) as read:
        # What computes is brought in while the files are read.
        from service.link_file import Columns, Outputs, link_files, plan_files
        from service.link_file_lines import link_file_lines, plan_lines
        from service.model_files import load_model

        model = load_model(model_file) if model_file else None
        prior = load_model(prior_file) if prior_file else None
        if plan_only:
            rules = plan_files(inputs, Columns(*columns), model or prior, read)
            finish([asdict(rule) for rule in rules], plan_lines(rules), as_json)
            return
        if out is None:
            raise InputError("--out FILE: where shall the persons be written?")
        with progress_bar("linking") as bar:
            found = link_files(
                inputs,
                Outputs(out, pairs, report, save_model),
                Columns(*columns),
                model=model,
                prior=prior,
                join_bits=join_bits,
                labels=labels,
                threads=threads,
                progress=lambda stage, done, total: bar(stage, done, total=total),
                page=_link_page if report else None,
                read=read,
            )
    finish(asdict(found), link_file_lines(found, out), as_json)
    ended()


def _link_page(linked: Any) -> str:
    from service.link_report import link_report

    return link_report(linked)


def _by_value(asked: set[str]) -> Callable[[str], bool]:
    def wanted(name: str) -> bool:
        from linkage.table_names import read_by_value

        return read_by_value(name, asked)

    return wanted


def _field_map(maps: tuple[str, ...]) -> dict[str, list[str]]:
    out: dict[str, list[str]] = {}
    for entry in maps:
        name, equals, columns = entry.partition("=")
        if not equals or not columns:
            raise InputError(f"--map {entry}: expected field=column")
        if name in out:
            raise InputError(f"--map {name}: given twice; join columns as {name}=one+other")
        out[name] = columns.split("+")
    return out
