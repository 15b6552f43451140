"""`python -m bench.match`: asking who somebody is, over a warm index of `bench.people` records.

Rules:
- Each size runs in a process of its own: seconds to read and build, resident memory at the end.
- Half of the records are of people whose records are in the index; what is asked is one of their
  records, taken out of it, with the columns that a desk knows (`DESK`) or all of them; a fifth are
  people of another population, who are not in it; a tenth bear the commonest names.
- Persons are the true ones: what is measured is the asking, not the night's linkage.
- Times are told on the clock and of the processor: the machine may be shared.
- Accuracy: of people who are there, how many are the first candidate, and how many are found at
  all; of what is called certain, how much is right.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from time import perf_counter, thread_time

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from bench.people import write
from linkage.features import build_features
from linkage.lookup import Answer, Lookup
from linkage.model import Model, uk_person
from linkage.train import train

RESULTS = Path(__file__).parent / "results"
QUESTIONS = 2_000
NAMES = {
    "given_name": "given", "family_name": "family", "date_of_birth": "birth_date",
}  # fmt: skip
LISTS = ("given", "family", "postcode", "address", "phone")
DESK = ("given", "family", "birth_date", "gender", "postcode")
KINDS = ("desk", "full", "common", "absent")


def main() -> None:
    """Measures each size, prints, and keeps the figures in bench/results/match.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="*", default=[100_000, 1_000_000])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, default=RESULTS / "match")
    parser.add_argument("--one", type=int, help="measure this size here and print its figures")
    options = parser.parse_args()
    options.work.mkdir(parents=True, exist_ok=True)
    if options.one:
        print(json.dumps(measure(options.one, options.seed, options.work)))
        return
    found = []
    for size in options.sizes:
        command = [sys.executable, "-m", "bench.match", "--one", str(size)]
        command += ["--seed", str(options.seed), "--work", str(options.work)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        found.append(json.loads(done.stdout))
        _print(found[-1])
    (RESULTS / "match.json").write_text(json.dumps(found, indent=1))


def measure(size: int, seed: int, work: Path) -> dict:
    """The figures of one size."""
    table, person = _records(size, seed, work)
    asked = _questions(table, person, seed, work)
    model = _model(table, size, work)
    process = psutil.Process()
    before = process.memory_info().rss
    start = perf_counter()
    left_out = np.ones(len(table), bool)
    left_out[[row for rows in asked.values() for row, _, who in rows if who >= 0]] = False
    features = build_features(
        table.append_column("founder", pa.array(np.arange(len(table)))).filter(pa.array(left_out)),
        accept_test_numbers=True,
    )
    read = perf_counter() - start
    lookup = Lookup.build(features, model, person[left_out], accept_test_numbers=True)
    build = perf_counter() - start
    held = np.unique(person[left_out])
    kinds = {}
    for kind, rows in asked.items():
        times, answers = [], []
        for _, row, who in rows:
            begin, worked = perf_counter(), thread_time()
            answer = lookup.ask(row)
            times.append((perf_counter() - begin, thread_time() - worked))
            answers.append((answer, who if who in held else -1))
        kinds[kind] = _figures(times, answers)
    every = np.concatenate([kinds[kind].pop("times") for kind in KINDS])
    return {
        "records": size, "read_seconds": read, "build_seconds": build,
        "resident_before": before, "resident": process.memory_info().rss,
        "load": os.getloadavg()[0], "all": _times(every), "kinds": kinds,
    }  # fmt: skip


def _records(size: int, seed: int, work: Path) -> tuple[pa.Table, np.ndarray]:
    path = work / f"people-{size}-{seed}.parquet"
    if not path.exists():
        write(size, seed, path)
    table = pq.read_table(path)
    person = pq.read_table(path.with_suffix(".truth.parquet"))["person_id"].to_numpy()
    return _as_match_columns(table), person.astype(np.int64)


def _as_match_columns(table: pa.Table) -> pa.Table:
    table = table.rename_columns([NAMES.get(name, name) for name in table.column_names])
    for name in LISTS:
        array = table[name].combine_chunks()
        ends = np.concatenate([[0], np.cumsum(array.is_valid().to_numpy(zero_copy_only=False))])
        lists = pa.ListArray.from_arrays(pa.array(ends, pa.int32()), array.drop_null())
        table = table.set_column(table.column_names.index(name), name, lists)
    return table


def _model(table: pa.Table, size: int, work: Path) -> Model:
    """A model trained on the records; kept, as training is not what is measured."""
    path = work / f"model-{size}.json"
    if not path.exists():
        founders = pa.array(np.arange(len(table)))
        features = build_features(
            table.append_column("founder", founders), accept_test_numbers=True
        )
        path.write_bytes(train(features, uk_person()).model.to_json())
    return Model.from_json(path.read_bytes())


def _questions(table: pa.Table, person: np.ndarray, seed: int, work: Path) -> dict:
    """Kind → (row, one-row table, person or -1) of each question."""
    rng = np.random.default_rng([seed, 7])
    known = pc.and_(table["birth_date"].is_valid(), pc.greater(_lengths(table, "family"), 0))
    sizes = np.bincount(person)[person]
    usable = np.flatnonzero(known.to_numpy(zero_copy_only=False) & (sizes > 1))
    chosen = rng.permutation(usable)
    first = np.unique(person[chosen], return_index=True)[1]
    chosen = chosen[np.sort(first)]
    parts = [pc.list_element(_filled(table, name), 0) for name in ("given", "family")]
    names = pc.binary_join_element_wise(*parts, " ")
    codes = pc.dictionary_encode(names.combine_chunks()).indices.to_numpy()
    often = np.bincount(codes)[codes][chosen]
    common = chosen[np.argsort(-often, kind="stable")[: QUESTIONS // 10]]
    rest = chosen[~np.isin(chosen, common)]
    desk, full = rest[: QUESTIONS // 2], rest[QUESTIONS // 2 : 7 * QUESTIONS // 10]
    others, _ = _records(10_000, seed + 1_000, work)
    valid = others["birth_date"].is_valid().to_numpy(zero_copy_only=False)
    absent = np.flatnonzero(valid)[: QUESTIONS // 5]
    return {
        "desk": [(r, _row(table, r, DESK), int(person[r])) for r in desk.tolist()],
        "full": [(r, _row(table, r, None), int(person[r])) for r in full.tolist()],
        "common": [(r, _row(table, r, DESK), int(person[r])) for r in common.tolist()],
        "absent": [(-1, _row(others, r, DESK), -1) for r in absent.tolist()],
    }


def _lengths(table: pa.Table, name: str) -> pa.Array:
    return pc.list_value_length(table[name])


def _filled(table: pa.Table, name: str) -> pa.Array:
    """Lists with at least one entry each."""
    none = pa.scalar([""], pa.list_(pa.string()))
    return pc.if_else(pc.greater(_lengths(table, name), 0), table[name], none)


def _row(table: pa.Table, row: int, columns: tuple[str, ...] | None) -> pa.Table:
    one = table.slice(row, 1).drop_columns(["record_id", "source"])
    return (one if columns is None else one.select(columns)).combine_chunks()


def _figures(times: list[tuple[float, float]], answers: list[tuple[Answer, int]]) -> dict:
    there = [(a, who) for a, who in answers if who >= 0]
    certain = [c.person == who for a, who in answers for c in a.candidates if c.grade == "certain"]
    found: dict = {
        "times": np.array(times), **_times(np.array(times)), "questions": len(times),
        "compared": float(np.mean([a.compared for a, _ in answers])),
        "certain": len(certain), "certain_right": int(sum(certain)),
        "named": float(np.mean([len(a.candidates) for a, _ in answers])),
        "nobody": sum(not a.candidates for a, _ in answers),
        "there": len(there),
    }  # fmt: skip
    for grade in ("certain", "probable", "possible"):
        found[f"top_{grade}"] = sum(
            bool(a.candidates) and a.candidates[0].grade == grade for a, _ in answers
        )
    if there:
        found["first"] = sum(bool(a.candidates) and a.candidates[0].person == w for a, w in there)
        found["found"] = sum(any(c.person == w for c in a.candidates) for a, w in there)
    return found


def _times(seconds: np.ndarray) -> dict:
    """Of (n, 2) seconds on the clock and of the processor."""
    found = {}
    for name, column in zip(("", "cpu_"), seconds.T, strict=True):
        for q in (50, 95, 99, 100):
            found[f"{name}p{q}_ms"] = float(np.percentile(column * 1_000, q))
    return found


def _print(one: dict) -> None:
    print(
        f"{one['records']:,} records: read {one['read_seconds']:.1f} s, with index "
        f"{one['build_seconds']:.1f} s, resident {one['resident'] / 1e9:.2f} GB, "
        f"load {one['load']:.1f}"
    )
    for name, k in {"all": one["all"], **one["kinds"]}.items():
        line = f"  {name:8} p50 {k['p50_ms']:6.2f} p95 {k['p95_ms']:6.2f} p99 {k['p99_ms']:6.2f} ms"
        line += f" (processor {k['cpu_p50_ms']:5.2f} {k['cpu_p95_ms']:5.2f} {k['cpu_p99_ms']:5.2f})"
        if "questions" in k:
            line += f"  {k['questions']} asked, {k['compared']:.0f} compared, certain "
            line += f"{k['certain_right']}/{k['certain']}, nobody {k['nobody']}"
        if "first" in k:
            line += f", first {k['first']}/{k['there']}, found {k['found']}/{k['there']}"
        print(line)


if __name__ == "__main__":
    main()
