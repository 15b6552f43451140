"""`make bench-quality`: how right commonthread and its peers are, on sets with a known truth.

Every engine runs on every set of `bench.sets` at the threshold its documentation gives. Figures are
pairwise and B-cubed (linkage.metrics). "Best" is the greatest pairwise F1 over all thresholds of
that engine, which only somebody who knows the truth can choose: it tells a poor threshold from a
poor ranking. Peers' groups are the connected components of the pairs at or above a threshold.

The interval of a difference in F1 is a percentile bootstrap over true persons: a pair of two
persons' records counts half for each of them.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow.parquet as pq
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from bench.engines import PEER_NAMES, options_of, our_command, peer_command, watched
from bench.sets import ARGUMENTS, BUILDERS, PEERS, PROGRAM, AccuracySet, build
from linkage.metrics import Labels, Quality, dense, harmonic, quality

RESULTS = Path(__file__).parent / "results"
OURS = "commonthread"
JOIN_BITS = tuple(range(-4, 32, 2))
"""Thresholds tried for our best."""


@dataclass(frozen=True)
class Outcome:
    """One engine on one set. `best` is (threshold, greatest pairwise F1), or None where it was not
    looked for."""

    labels: Labels
    figures: Quality
    seconds: float
    best: tuple[float, float] | None = None


def main() -> None:
    """Runs all, prints the table and keeps the figures in bench/results/quality.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sets", nargs="*", choices=list(BUILDERS), default=list(BUILDERS))
    parser.add_argument(
        "--engines", nargs="*", choices=[OURS, *PEER_NAMES], default=[OURS, *PEER_NAMES]
    )
    parser.add_argument("--program", type=Path, default=PROGRAM, help="our command")
    parser.add_argument("--prior", type=Path, help="a model file to give to link-file")
    parser.add_argument("--work", type=Path, default=RESULTS / "sets")
    parser.add_argument("--resamples", type=int, default=2_000)
    options = parser.parse_args()
    document: dict[str, object] = {"configuration": configuration_hash(), "sets": {}}
    print(f"configuration of the peers {document['configuration']}")
    print(_HEADER)
    for one in build(options.work, options.sets, options.program):
        document["sets"][one.name] = _measure(one, options)  # type: ignore[index]
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "quality.json").write_text(json.dumps(document, indent=1))


def configuration_hash() -> str:
    """SHA-256 over all that fixes the peers: jobs, programs and locked versions."""
    digest = hashlib.sha256()
    files = sorted([*PEERS.glob("jobs/*.json"), *PEERS.glob("*.py"), PEERS / "requirements.lock"])
    for path in files:
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()[:16]


_HEADER = (
    f"{'set':13} {'engine':14} {'P':>7} {'R':>7} {'F1':>7} {'B3 P':>7} {'B3 R':>7} {'B3 F1':>7}"
    f" {'best F1':>8} {'at':>6} {'s':>6}"
)


def _measure(one: AccuracySet, options: argparse.Namespace) -> dict[str, object]:
    """Every engine on one set, printed as it comes."""
    truth = pq.read_table(one.truth).to_pandas()
    ids, true = truth["record_id"].astype(str), dense(truth["person_id"].astype(str))
    found: dict[str, Outcome] = {}
    for engine in options.engines:
        if engine == OURS:
            outcome = _ours(one, options, ids, true)
        else:
            outcome = _peer(one, engine, options.work / one.name, ids, true)
        found[engine] = outcome
        print(_line(one.name, engine, outcome))
    differences = {}
    for peer in found.keys() - {OURS}:
        if OURS in found:
            low, high = f1_difference(
                found[OURS].labels, found[peer].labels, true, options.resamples
            )
            gap = found[OURS].figures.f1 - found[peer].figures.f1
            print(f"{one.name:13} F1 above {peer}: {gap:+.4f} (95 % {low:+.4f} to {high:+.4f})")
            differences[peer] = [gap, low, high]
    engines = {
        name: {**asdict(o.figures), "f1": o.figures.f1, "b3_f1": o.figures.b3_f1,
               "seconds": o.seconds, "best": o.best}
        for name, o in found.items()
    }  # fmt: skip
    return {"engines": engines, "f1_above": differences}


def _line(name: str, engine: str, outcome: Outcome) -> str:
    q = outcome.figures
    figures = (q.precision, q.recall, q.f1, q.b3_precision, q.b3_recall, q.b3_f1)
    best = (
        f"{outcome.best[1]:8.4f} {outcome.best[0]:6.2f}" if outcome.best else f"{'-':>8} {'-':>6}"
    )
    cells = " ".join(f"{x:7.4f}" for x in figures)
    return f"{name:13} {engine:14} {cells} {best} {outcome.seconds:6.1f}"


def _ours(one: AccuracySet, options: argparse.Namespace, ids: pd.Series, true: Labels) -> Outcome:
    if one.published is not None:
        labels = _labels(one.published, ids)
        return Outcome(labels, quality(labels, true), 0.0)
    out = options.work / one.name / "ours.parquet"
    arguments = ARGUMENTS[one.name] + (("--prior", str(options.prior)) if options.prior else ())

    def run(*further: str) -> Outcome:
        command = our_command(options.program, one.inputs, out, [*arguments, *further])
        done = watched(command)
        labels = _labels(out, ids)
        return Outcome(labels, quality(labels, true), done.wall)

    first = run()
    if "--join-bits" not in options_of(options.program):
        return first
    tried = {bits: run("--join-bits", str(bits)).figures.f1 for bits in JOIN_BITS}
    at = max(tried, key=lambda bits: tried[bits])
    return replace(first, best=(float(at), tried[at]))


def _peer(one: AccuracySet, peer: str, work: Path, ids: pd.Series, true: Labels) -> Outcome:
    out, pairs = work / f"{peer}.parquet", work / f"{peer}.pairs.parquet"
    done = watched(peer_command(peer, one.job(peer), out, pairs))
    labels = _labels(out, ids)
    return Outcome(labels, quality(labels, true), done.wall, _best(pairs, ids, true))


def _labels(path: Path, ids: pd.Series) -> Labels:
    """The partition in a file (`record_id, person_id`), in the order of `ids`.

    Requires: the file names every id once.
    """
    table = pq.read_table(path, columns=["record_id", "person_id"]).to_pandas()
    person = table.set_index(table["record_id"].astype(str))["person_id"].astype(str)
    if len(person) < len(ids) or person.index.has_duplicates:
        raise ValueError(f"{path.name} does not name every record once")
    return dense(person.loc[ids].to_numpy())


def _best(pairs: Path, ids: pd.Series, true: Labels) -> tuple[float, float]:
    """(threshold, greatest pairwise F1) over every score, or a hundred between the ends of many."""
    table = pq.read_table(pairs).to_pandas()
    place = pd.Index(ids)
    left, right = (place.get_indexer(table[side].astype(str)) for side in ("left_id", "right_id"))
    score = table["score"].to_numpy()
    tried = np.unique(score)
    if len(tried) > 300:
        tried = np.linspace(tried[0], tried[-1], 100)
    found = []
    for threshold in tried:
        keep = score >= threshold
        edges = (np.ones(int(keep.sum()), np.int8), (left[keep], right[keep]))
        graph = coo_matrix(edges, shape=(len(ids), len(ids)))
        labels = connected_components(graph, directed=False)[1]
        found.append(quality(labels, true).f1)
    at = int(np.argmax(found))
    return float(tried[at]), found[at]


def f1_difference(
    ours: Labels, theirs: Labels, true: Labels, resamples: int, seed: int = 0
) -> tuple[float, float]:
    """95 % percentile interval of F1(ours) - F1(theirs), over resampled true persons.

    All three label the same records in one order; `true` is dense. Source: Efron and Tibshirani
    1993, chapter 13.
    """
    a, b = _by_person(ours, true), _by_person(theirs, true)
    size = np.bincount(true)
    wanted = size * (size - 1) / 2
    rng = np.random.default_rng(seed)
    gaps = np.empty(resamples)
    for n in range(resamples):
        times = np.bincount(rng.integers(0, len(size), len(size)), minlength=len(size))
        gaps[n] = _f1(a, wanted, times) - _f1(b, wanted, times)
    low, high = np.quantile(gaps, [0.025, 0.975])
    return float(low), float(high)


def _f1(pairs: npt.NDArray[np.float64], wanted: npt.NDArray[np.float64], times: Labels) -> float:
    right, wrong = pairs @ times
    joined, there = right + wrong, wanted @ times
    return harmonic(right / joined if joined else 1.0, right / there if there else 1.0)


def _by_person(labels: Labels, true: Labels) -> npt.NDArray[np.float64]:
    """(2, persons): pairs joined rightly; pairs joined wrongly, half to each of the two persons."""
    labels = dense(labels)
    width = int(true.max()) + 1
    cells, counts = np.unique(labels * width + true, return_counts=True)
    group, person = np.divmod(cells, width)
    size = np.bincount(labels)[group]
    right = np.bincount(person, counts * (counts - 1) / 2, minlength=width)
    wrong = np.bincount(person, counts * (size - counts) / 2, minlength=width)
    return np.stack([right, wrong])


if __name__ == "__main__":
    main()
