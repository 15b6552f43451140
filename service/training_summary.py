"""What a training says: on a terminal, as JSON, and as a page with charts."""

from __future__ import annotations

from typing import Any

from linkage import charts
from linkage.frames import convergence, match_weights, parameters
from service.link_page import Section, Table, link_page
from service.training import TrainReport


def train_document(report: TrainReport) -> dict[str, Any]:
    """The training as one JSON document."""
    return {
        "records": report.records,
        "model_before": report.before,
        "model": report.model,
        "rounds": report.rounds,
        "change_in_last_round": report.change,
        "passes": report.passes,
    }


def train_lines(report: TrainReport) -> list[str]:
    """The training in a few lines."""
    lines = [f"{'pairs of':45} {'proposed':>12} {'match':>8} {'relative':>9} {'stranger':>9}"]
    lines += [
        f"{name:45} {found['proposed']:12,.0f} {found['match']:8.2%} {found['relative']:9.2%} "
        f"{found['stranger']:9.2%}"
        for name, found in report.passes.items()
    ]
    lines.append(
        f"{report.records:,} records, {report.rounds} rounds (last change {report.change:.1e}); "
        f"model {report.model[:12]} is frozen: the next link is a full one"
    )
    return lines


def train_page(report: TrainReport) -> str:
    """One HTML page: weights, and how they were found."""
    model = report.trained.model
    passes = Table(
        "Pairs that taught, by blocking rule",
        ("rule", "proposed", "compared", "match", "relative", "stranger"),
        tuple(
            (
                name,
                *(found[key] for key in ("proposed", "compared", "match", "relative", "stranger")),
            )
            for name, found in report.passes.items()
        ),
    )
    return link_page(
        "Training of the linkage model",
        [
            Section(
                "Summary",
                f"{report.records:,} records taught the model {report.model} in {report.rounds} "
                f"rounds; the last changed no probability by more than {report.change:.1e}.",
                table=passes,
            ),
            Section(
                "Match weights",
                "What each level of each field says, in bits, against strangers.",
                chart=charts.match_weights(match_weights(model)),
            ),
            Section(
                "Convergence",
                "The probability of each level among pairs of one person, round by round.",
                chart=charts.convergence(convergence(report.trained, model)),
            ),
            Section(
                "Parameters",
                "The probabilities of each level, by kind of pair.",
                chart=charts.parameters(parameters(report.trained, model)),
            ),
        ],
    )
