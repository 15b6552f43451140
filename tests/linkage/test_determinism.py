"""The same bytes, whatever the threads, the pieces, the order of rows and the seed of hashing."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage.engine import Partition, link
from linkage.features import build_features
from linkage.model import Model, uk_person
from linkage.train import train
from tests.linkage.people import models, people_table, shipped_model, tables

ROOT = Path(__file__).resolve().parents[2]


def crowd(count: int = 300) -> pa.Table:
    """Many records of few names, with slips, so that components are contested."""
    rng = np.random.default_rng(23)
    given, family = ["Ann", "Anne", "Anna", "Bea", "Bee", "J"], ["Lee", "Leigh", "Ray", "Rae"]
    rows = []
    for n in range(count):
        born = f"19{50 + rng.integers(4)}-0{rng.integers(1, 4)}-0{rng.integers(1, 4)}"
        rows.append(
            {
                "founder": f"{rng.integers(10**9):09d}-{n}",
                "source": str(rng.choice(["a", "b", "c"])),
                "given": str(rng.choice(given)),
                "family": str(rng.choice(family)),
                "birth_date": born if rng.random() < 0.9 else born[:4],
                "phone": f"0117 496 00{rng.integers(10, 40)}",
                "gender": str(rng.choice(["male", "female"])),
                "postcode": f"BS{rng.integers(1, 4)} 5TR",
            }
        )
    return people_table(rows)


def run(table: pa.Table, model: Model, threads: int = 1, chunk: int = 250_000) -> Partition:
    """Linked at thresholds that leave much in doubt."""
    return link(table, model, join_bits=2.0, review_bits=-3.0, threads=threads, chunk=chunk)


def digest(found: Partition) -> str:
    """SHA-256 of labels, edges, tasks and counts, to the last bit."""
    seen = hashlib.sha256(found.label.tobytes())
    for table in (found.edges, found.tasks):
        for column in table.columns:
            values = column.combine_chunks()
            plain = values.to_pylist() if pa.types.is_string(values.type) else values.to_numpy()
            seen.update(repr(plain).encode() if isinstance(plain, list) else plain.tobytes())
    seen.update(repr((found.rules, found.compared, found.stats)).encode())
    return seen.hexdigest()


@pytest.fixture(scope="module")
def alone() -> str:
    """What one thread in one piece gives."""
    found = run(crowd(), shipped_model())
    assert found.stats["contested"] > 1
    return digest(found)


@pytest.mark.parametrize("threads", [1, 2, 4])
@pytest.mark.parametrize("chunk", [97, 5_000])
def test_threads_and_pieces_change_nothing(alone: str, threads: int, chunk: int) -> None:
    assert digest(run(crowd(), shipped_model(), threads, chunk)) == alone


def test_pieces_of_a_single_pair_change_nothing() -> None:
    few = crowd(40)
    assert digest(run(few, shipped_model(), 4, 1)) == digest(run(few, shipped_model()))


@settings(max_examples=12, deadline=None)
@given(tables(), models(), st.randoms(use_true_random=False))
def test_the_order_of_rows_changes_nothing(table: pa.Table, model: Model, random: object) -> None:
    order = list(range(len(table)))
    random.shuffle(order)  # type: ignore[attr-defined]
    plain, other = run(table, model), run(table.take(pa.array(order)), model, 2, 3)
    back = np.array(order)
    label = np.empty_like(plain.label)
    label[back] = back[other.label]
    np.testing.assert_array_equal(label, plain.label)
    edges = []
    for found, rows in ((plain, np.arange(len(order))), (other, back)):
        ends = np.sort(rows[np.stack([found.edges["left"], found.edges["right"]])], axis=0)
        bits = found.edges["bits"].to_pylist()
        edges.append(sorted(zip(*ends.tolist(), bits, strict=True)))
    assert edges[0] == edges[1]
    assert plain.rules == other.rules


def test_training_gives_the_same_file_whatever_the_threads_and_the_order_of_rows() -> None:
    table = crowd()
    order = np.random.default_rng(1).permutation(len(table))
    wanted = train(build_features(table), uk_person(), dependence=True, threads=1)
    for threads, rows in ((1, table), (2, table), (4, table), (2, table.take(pa.array(order)))):
        again = train(build_features(rows), uk_person(), dependence=True, threads=threads)
        assert again.model.to_json() == wanted.model.to_json()


def test_the_seed_of_training_changes_the_sample_only_where_there_is_one() -> None:
    """All pairs of few records are looked at, so that the seed has nothing to choose."""
    features = build_features(crowd(60))
    models_ = [train(features, uk_person(), seed=seed).model.to_json() for seed in (0, 1)]
    assert models_[0] == models_[1]


SCRIPT = """
from tests.linkage.test_determinism import *
table = crowd(120)
model = train(build_features(table), uk_person(), dependence=True).model
print(digest(run(table, model)), model.hash)
"""


@pytest.mark.slow
def test_the_seed_of_hashing_changes_nothing() -> None:
    printed = set()
    for seed in ("0", "4711"):
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        )
        printed.add(done.stdout)
    assert len(printed) == 1
