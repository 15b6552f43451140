"""Quality control of what is joined: pairs drawn at random, judged by people, and what follows.

Rules:
- Drawn from the pairs that the latest link scored at or above the review threshold and joined, in
  strata of match weight: more where pairs are many and unsure (linkage/thresholds.sampling_plan),
  some in every stratum. Nothing is drawn twice.
- A share is judged by two people, each without seeing the other's judgement.
- A judgement is a label. Only `different` acts: the records part at once; where that contradicts a
  decision it stays a label, and the decision is named.
- Precision is weighted by stratum; its interval is the exact binomial one at the effective sample
  size (Kish 1965), so that zero errors in a small sample do not look like certainty.
- Agreement of two reviewers is Cohen's kappa (1960) over the pairs that both judged.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from consent.commands import Action
from linkage.metrics import interval
from linkage.thresholds import Sample, sampling_plan
from schemas.decisions import Decision, Origin, Standing, Verdict
from schemas.errors import InputError, NotFound
from service.access import about, event, permit, record
from service.acting import acting
from service.decisions import Desk, Pair, draft, held_pair, read

EVEN_SHARE = 0.5
"""So much of a draw is spread evenly over the strata, so that each is known a little."""
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Drawn:
    """One stratum of a draw: pairs of at least `low` bits, how many there are, how many drawn."""

    low: float
    pairs: int
    drawn: int


def draw(desk: Desk, size: int, seed: int) -> list[Drawn]:
    """Draws joined pairs as tasks. Raises: NotPermitted, NotFound: nothing is joined yet."""
    permit(desk.actor, Action.REVIEW_SAMPLE, desk.store, desk.clock)
    edges = _joined(desk)
    bits = edges["bits"].to_numpy()
    none = np.zeros(len(bits), np.int32)
    plan = sampling_plan(Sample(none, none, bits, np.ones(len(bits))), desk.settings.link.join_bits)
    lows = np.array([stratum.low for stratum in plan])
    stratum_of = np.maximum(np.searchsorted(lows, bits, side="right") - 1, 0)
    there = np.bincount(stratum_of, minlength=len(plan))
    wanted = _allocated(size, there, np.array([float(s.look_at) for s in plan]))
    rng = np.random.default_rng(seed)
    rows = np.concatenate(
        [
            rng.choice(np.flatnonzero(stratum_of == at), int(n), replace=False)
            for at, n in enumerate(wanted)
        ]
    ).astype(np.int64)
    twice = rng.permutation(len(rows)) < round(desk.settings.review.double_share * len(rows))
    pairs = edges.take(pa.array(rows)).select(["left", "right", "bits"])
    for name, values in (
        ("low", lows[stratum_of[rows]]),
        ("stratum_pairs", there[stratum_of[rows]]),
        ("judgements", np.where(twice, 2, 1)),
    ):
        pairs = pairs.append_column(name, pa.array(values))
    record(desk.actor, Action.REVIEW_SAMPLE, desk.store, desk.clock, pairs=len(rows), seed=seed)
    desk.store.add_quality_pairs(pairs, desk.clock())
    return [
        Drawn(float(low), int(n), int(k))
        for low, n, k in zip(lows, there, wanted, strict=True)
        if n
    ]


def _joined(desk: Desk) -> pa.Table:
    """Edges within persons that were not drawn before and that nobody decided."""
    kept = desk.store.link_state()
    if kept is None:
        raise NotFound("nothing is linked yet: run `commonthread link` first")
    ids = kept.state.records["record_id"].to_numpy()
    labels = kept.state.records["label"].to_numpy()
    edges = kept.state.edges
    left, right = (edges[side].to_numpy() for side in ("left", "right"))
    together = labels[np.searchsorted(ids, left)] == labels[np.searchsorted(ids, right)]
    edges = edges.filter(pa.array(together))
    before = desk.store.quality_pairs()
    known = {(row["left"], row["right"]) for row in before.to_pylist()}
    known |= {d.pair for d in acting(desk.store, desk.store.decisions()).decisions}
    if known:
        left, right = (edges[side].to_numpy() for side in ("left", "right"))
        span = max(int(right.max(initial=0)), *(pair[1] for pair in known)) + 1
        keys = np.array([a * span + b for a, b in known], np.int64)
        edges = edges.filter(pa.array(~np.isin(left * span + right, keys)))
    if not len(edges):
        raise NotFound("no joined pair is left to draw")
    return edges


def _allocated(size: int, there: Ints, weights: npt.NDArray[np.float64]) -> Ints:
    """How many to draw of each stratum: by weight, some of each, never more than there are."""
    strata = max(int((there > 0).sum()), 1)
    out = np.minimum(there, int(size * EVEN_SHARE) // strata)
    weights = np.where(there > 0, np.maximum(weights, 1.0), 0.0)
    while out.sum() < size and (out < there).any():
        room = out < there
        behind = np.where(room, out / np.maximum(weights, 1e-9), np.inf)
        out[np.argmin(behind)] += 1
    return out.astype(np.int64)


def judge(desk: Desk, pair: Pair, verdict: Verdict, reason: str) -> tuple[Decision, list[Decision]]:
    """Labels a drawn pair; returns the label, and the decisions that keep it from acting.

    Raises: NotPermitted, NotFound, InputError: no reason, or judged by this account already.
    """
    permit(desk.actor, Action.REVIEW_DECIDE, desk.store, desk.clock)
    seen, decisions = read(desk.store, reason)
    one, two = held_pair(desk.store, pair)
    for d in decisions:
        if d.pair == pair and _is_label(d) and d.author == desk.actor.name:
            raise InputError(f"you have judged this pair: decision {d.decision_id}")
    now = acting(desk.store, decisions)
    against = now.contradicted(*pair, verdict) if verdict is Verdict.DIFFERENT else []
    acts = verdict is Verdict.DIFFERENT and not against
    label = replace(
        draft(desk, one, two, verdict, reason, Origin.QUALITY),
        standing=Standing.LIVE if acts else Standing.LABEL,
    )
    noted = event(
        desk.actor, Action.REVIEW_DECIDE, desk.clock, **about((one, two)), verdict=verdict.value,
        standing=label.standing.value,
    )  # fmt: skip
    return desk.store.write_decisions(seen, [label], [], noted)[0], against


def _is_label(one: Decision) -> bool:
    return one.origin is Origin.QUALITY and one.standing is not Standing.REVOKED


# --- what follows ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reviewers:
    """How two reviewers agree on the pairs that both judged; kappa None where it is undefined:
    both always gave the same one answer."""

    one: str
    two: str
    pairs: int
    agreed: int
    kappa: float | None


@dataclass(frozen=True)
class StratumPrecision:
    """One stratum of the latest draw. `unsure`: undecided, or two who disagree."""

    low: float
    pairs: int
    drawn: int
    same: int
    different: int
    unsure: int
    precision: float | None
    lower: float
    upper: float


@dataclass(frozen=True)
class Agreement:
    """What the judgements say.

    Attributes:
        judged: pairs with a judgement; twice: pairs judged by two or more; agreed: of these, with
            one answer.
        precision, lower, upper: share of joined pairs that are one person, with its 95 % interval,
            by the latest draw; None without judgements. covered: share of the joined pairs that
            lie in strata with a judgement.
    """

    judged: int
    judgements: int
    twice: int
    agreed: int
    reviewers: tuple[Reviewers, ...]
    drawn_at: str | None
    strata: tuple[StratumPrecision, ...]
    precision: float | None
    lower: float
    upper: float
    covered: float

    @property
    def document(self) -> dict[str, Any]:
        """For a script."""
        return asdict(self)


def agreement(desk: Desk) -> Agreement:
    """What the judgements so far say. Raises: NotPermitted."""
    permit(desk.actor, Action.REVIEW_AGREEMENT, desk.store, desk.clock)
    record(desk.actor, Action.REVIEW_AGREEMENT, desk.store, desk.clock)
    answers: dict[Pair, dict[str, Verdict]] = defaultdict(dict)
    for one in desk.store.decisions():
        if _is_label(one):
            answers[one.pair][one.author] = one.verdict
    drawn = desk.store.quality_pairs().to_pylist()
    latest = drawn[-1]["drawn_at"] if drawn else None
    strata = _strata([row for row in drawn if row["drawn_at"] == latest], answers)
    precision, lower, upper, covered = estimate(strata)
    twice = [a for a in answers.values() if len(a) > 1]
    return Agreement(
        judged=len(answers),
        judgements=sum(len(a) for a in answers.values()),
        twice=len(twice),
        agreed=sum(len(set(a.values())) == 1 for a in twice),
        reviewers=tuple(_reviewers(list(answers.values()))),
        drawn_at=latest,
        strata=tuple(strata),
        precision=precision,
        lower=lower,
        upper=upper,
        covered=covered,
    )


def _strata(
    rows: Sequence[dict[str, Any]], answers: dict[Pair, dict[str, Verdict]]
) -> list[StratumPrecision]:
    found: dict[float, Counter[str]] = defaultdict(Counter)
    pairs: dict[float, int] = {}
    for row in rows:
        pairs[row["low"]] = row["stratum_pairs"]
        counts = found[row["low"]]
        counts["drawn"] += 1
        given = set(answers.get((row["left"], row["right"]), {}).values())
        if given:
            only = next(iter(given)) if len(given) == 1 else Verdict.UNDECIDED
            counts[only.value] += 1
    strata = []
    for low, counts in sorted(found.items()):
        same, different = counts[Verdict.SAME.value], counts[Verdict.DIFFERENT.value]
        sure = same + different
        lower, upper = interval(same, sure)
        strata.append(
            StratumPrecision(
                low, pairs[low], counts["drawn"], same, different,
                counts[Verdict.UNDECIDED.value], same / sure if sure else None, lower, upper,
            )
        )  # fmt: skip
    return strata


def estimate(strata: Sequence[StratumPrecision]) -> tuple[float | None, float, float, float]:
    """(precision, lower, upper, covered) over the strata, each weighted by its pairs."""
    judged = [s for s in strata if s.precision is not None]
    everything = sum(s.pairs for s in strata)
    covered = sum(s.pairs for s in judged)
    if not covered:
        return None, 0.0, 1.0, 0.0
    shares = [s.pairs / covered for s in judged]
    precision = sum(
        w * s.same / (s.same + s.different) for w, s in zip(shares, judged, strict=True)
    )
    effective = 1 / sum(w * w / (s.same + s.different) for w, s in zip(shares, judged, strict=True))
    lower, upper = interval(min(precision * effective, effective), effective)
    return precision, lower, upper, covered / everything


def _reviewers(answers: Sequence[dict[str, Verdict]]) -> list[Reviewers]:
    both: dict[tuple[str, str], list[tuple[Verdict, Verdict]]] = defaultdict(list)
    for given in answers:
        for one, two in combinations(sorted(given), 2):
            both[one, two].append((given[one], given[two]))
    return [
        Reviewers(one, two, len(pairs), sum(a is b for a, b in pairs), kappa(pairs))
        for (one, two), pairs in sorted(both.items())
    ]


def kappa(pairs: Sequence[tuple[Verdict, Verdict]]) -> float | None:
    """Cohen's kappa of two reviewers' answers; None where chance alone would always agree.
    Requires: at least one pair."""
    n = len(pairs)
    observed = sum(a is b for a, b in pairs) / n
    first, second = Counter(a for a, _ in pairs), Counter(b for _, b in pairs)
    chance = sum(first[v] * second[v] for v in Verdict) / (n * n)
    return None if chance >= 1.0 else (observed - chance) / (1 - chance)
