"""One sample of each chart's input, and every chart as a function, for all tests that draw."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from linkage import charts

HOSTILE = (
    "</script><b>bold</b>",
    "<!--",
    "'; alert(1); //",
    'datum["x"]',
    "a.b[0]\\",
    "two\nlines",
    "ünï→☃ \u202e\u2028",
    "",
    "x" * 300,
    "constructor",
    "__proto__",
)
LEVELS = (("exact", 0.9, 0.001, 0.2), ("close", 0.07, 0.009, 0.2), ("different", 0.03, 0.99, 0.6))


def model(fields: tuple[str, ...] = ("nhs_number", "family_name", "postcode")) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"field": f, "level": name, "bits": np.log2(m / u), "m": m, "u": u, "r": r}
            for f in fields
            for name, m, u, r in LEVELS
        ]
    )


def steps(fields: tuple[str, ...] = ("nhs_number", "family_name", "postcode")) -> pd.DataFrame:
    bits = [-20.0, *(7.5 - 4 * at for at in range(len(fields)))]
    said = [None, *("exact" for _ in fields)]
    return pd.DataFrame({"label": ["prior", *fields], "value": said, "bits": bits})


def swept() -> pd.DataFrame:
    """Figures at thresholds from -10 to 30 bits."""
    bits = np.arange(-10.0, 30.5, 0.5)
    precision, recall = 1 / (1 + 2 ** -(bits + 4)), 1 / (1 + 2 ** (bits - 24))
    return pd.DataFrame(
        {
            "bits": bits,
            "precision": precision,
            "recall": recall,
            "f1": 2 * precision * recall / (precision + recall),
            "precision_lower": precision * 0.98,
            "precision_upper": np.minimum(1, precision * 1.01),
            "false_match": np.where(bits > 20, 0.0, 1 - precision),
            "missed_match": 1 - recall,
            "share": (1 - recall) / 10,
        }
    )


def rules(names: tuple[str, ...] = ("nhs_number", "date_of_birth + postcode")) -> pd.DataFrame:
    count = len(names)
    counts = {"proposed": [900_000] * count, "credited": [1_000] * count, "cut_pairs": [0] * count}
    return pd.DataFrame({"rule": list(names), **counts})


def rounds(fields: tuple[str, ...] = ("nhs_number", "family_name")) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {
                "round": at,
                "pass": f"pass {at}",
                "field": f,
                "level": name,
                "kind": kind,
                "probability": p + (0.5 - p) * 0.3**at,
            }
            for at in range(1, 4)
            for f in fields
            for name, m, u, _ in LEVELS
            for kind, p in (("m", m), ("u", u))
        ]
    )


def bins(names: tuple[str, ...] = ("ours",)) -> pd.DataFrame:
    at = np.arange(10)
    parts = [
        pd.DataFrame(
            {
                "bin": [f"bin {a}" for a in at],
                "expected": at / 10 + 0.05,
                "observed": np.clip(at / 10 + 0.02 * k, 0, 1),
                "pairs": 10 * at + 5,
                "model": name,
            }
        )
        for k, name in enumerate(names)
    ]
    return pd.concat(parts, ignore_index=True)


def groups(values: tuple[str, ...] = ("female", "male", "not known")) -> pd.DataFrame:
    return pd.DataFrame(
        [
            {"group": g, "value": v, "rate": 0.9, "lower": 0.88, "upper": 0.93, "pairs": 100 + at}
            for g in ("sex", "age band")
            for at, v in enumerate(values)
        ]
    )


def cluster(labels: tuple[str, ...] = ("a", "b", "c", "d")) -> tuple[pd.DataFrame, pd.DataFrame]:
    count = len(labels)
    nodes = pd.DataFrame({"id": range(count), "label": labels, "group": labels})
    edges = pd.DataFrame({"left": range(count - 1), "right": range(1, count)})
    return nodes, edges.assign(bits=12.5, weak=edges["left"] == 0)


def histogram() -> tuple[np.ndarray, np.ndarray]:
    return np.arange(-10.0, 31.0), np.array([*range(40)], np.int64) ** 3


def drawn() -> dict[str, Callable[[], Any]]:
    """Every chart of the module with ordinary input."""
    return {
        "match_weights": lambda: charts.match_weights(model()),
        "waterfall": lambda: charts.waterfall(steps()),
        "weight_histogram": lambda: charts.weight_histogram(*histogram(), 12.0, 8.0),
        "thresholds": lambda: charts.thresholds(swept(), 12.0),
        "error_rates": lambda: charts.error_rates(swept(), 12.0, 8.0),
        "blocking": lambda: charts.blocking(rules()),
        "cluster_sizes": lambda: charts.cluster_sizes({1: 900, 2: 100, 3: 12, 30: 1}),
        "unlinkable": lambda: charts.unlinkable(swept(), 12.0),
        "convergence": lambda: charts.convergence(rounds()),
        "parameters": lambda: charts.parameters(rounds()),
        "reliability": lambda: charts.reliability(bins(("ours", "plain"))),
        "subgroups": lambda: charts.subgroups(groups(), "recall"),
        "cluster_graph": lambda: charts.cluster_graph(*cluster()),
    }


def empty() -> dict[str, Callable[[], Any]]:
    """Every chart with nothing to draw."""
    nodes, edges = cluster()
    return {
        "match_weights": lambda: charts.match_weights(model().iloc[:0]),
        "waterfall": lambda: charts.waterfall(steps().iloc[:0]),
        "weight_histogram": lambda: charts.weight_histogram([0.0], [], 12.0, 8.0),
        "thresholds": lambda: charts.thresholds(swept().iloc[:0], 12.0),
        "error_rates": lambda: charts.error_rates(swept().iloc[:0], 12.0, 8.0),
        "blocking": lambda: charts.blocking(rules().iloc[:0]),
        "cluster_sizes": lambda: charts.cluster_sizes({}),
        "unlinkable": lambda: charts.unlinkable(swept().iloc[:0], 12.0),
        "convergence": lambda: charts.convergence(rounds().iloc[:0]),
        "parameters": lambda: charts.parameters(rounds().iloc[:0]),
        "reliability": lambda: charts.reliability(bins().iloc[:0]),
        "subgroups": lambda: charts.subgroups(groups().iloc[:0]),
        "cluster_graph": lambda: charts.cluster_graph(nodes.iloc[:0], edges.iloc[:0]),
    }


def hostile() -> Mapping[str, Callable[[], Any]]:
    """Every chart that takes names, with names that try to be something else."""
    return {
        "match_weights": lambda: charts.match_weights(model(HOSTILE)),
        "waterfall": lambda: charts.waterfall(steps(HOSTILE).assign(value=HOSTILE[0])),
        "blocking": lambda: charts.blocking(rules(HOSTILE)),
        "convergence": lambda: charts.convergence(rounds(HOSTILE)),
        "parameters": lambda: charts.parameters(rounds(HOSTILE).assign(**{"pass": HOSTILE[0]})),
        "reliability": lambda: charts.reliability(bins(HOSTILE)),
        "subgroups": lambda: charts.subgroups(groups(HOSTILE), HOSTILE[0]),
        "cluster_graph": lambda: charts.cluster_graph(*cluster(HOSTILE)),
    }
