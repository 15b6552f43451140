"""Detection: from events and facts to alerts. Tables in, tables out; no I/O and no clock.

Rules:
- Explanations first (`detect_explain`), then the rules of the table (`detect_rules`).
- An alert gathers the signals of one actor and one person, or of one actor in one week.
- Its score is the sum of the match weights of its signals, of each family the heaviest, and of how
  closely the looks are explained: likelihoods multiply where signals are independent.
- It is raised from `ALERT_BITS` on, with a strong signal or with weak ones of two families.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import log2

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa

from audit.detect_explain import explain
from audit.detect_facts import CLASS, REFUSED, Facts, Mask, accesses, vocabulary
from audit.detect_levels import EPISODE, LEVELS, NONE
from audit.detect_pairs import LATER_RULES, PAIR_RULES, Scene, habits_of, unexplained
from audit.detect_periods import PERIOD_RULES, History, Span, kept_history, span_of, week_of
from audit.detect_rules import (
    ALERT_BITS,
    BOUND,
    INNOCENT_BY_LEVEL,
    LEAST_PAIRS,
    MISUSE_BY_LEVEL,
    RULES,
    Scope,
    Strength,
)

MOST_EVIDENCE = 50
"""Accesses kept as evidence for one rule of one alert: the first ones."""
_EVIDENCE = ["alert", "rule", "leaf", "at", "organisation", "person", "level"]
_ALERTS = ["scope", "actor", "person", "week", "role", "organisation", "bits", "first_at",
           "last_at", "level"]  # fmt: skip


@dataclass(frozen=True, eq=False)
class Detection:
    """What a span shows.

    Attributes:
        alerts: one row each: scope, actor, person ('' where of a period), week (number, -1 where of
            a pair), role, organisation, bits, first_at, last_at (seconds), level (a name).
        evidence: alert (row of `alerts`), rule, leaf, at, organisation, person, level.
        weights: rule → bits as used.
        looks: how many looks there were; by_level: of these by how closely they are explained.
        by_kind: kind of the explaining tie → looks.
        history: what to give to the next span.
    """

    alerts: pd.DataFrame
    evidence: pd.DataFrame
    weights: dict[str, float]
    looks: int
    by_level: dict[str, int]
    by_kind: dict[str, int]
    history: History = field(repr=False)


def detect(
    events: pa.Table, facts: Facts, history: History | None = None, zone: str = "Europe/London"
) -> Detection:
    """Alerts of a span of events (`detect_facts.EVENT_SCHEMA`, in order of time)."""
    history = history or History()
    words = vocabulary(facts, events)
    rows = accesses(events, facts, words, zone)
    explained = explain(rows, facts, words)
    habits = _added(history.habits, habits_of(rows, words), ["role", "what"])
    scene = Scene(rows, facts, words, explained, habits)
    masks = {name: see(scene) for name, see in PAIR_RULES.items()}
    span = span_of(scene, history)
    rates = _added(history.rates, _rates(scene, masks), ["rule"])
    days = {name: see(span) for name, see in PERIOD_RULES.items()}
    rates = _added(rates, _period_rates(span, {n: d.fired for n, d in days.items()}), ["rule"])
    weights, by_level = weights_of(rates)
    pairs = _pair_alerts(scene, _not_excused(scene, masks), weights, by_level)
    periods = _period_alerts(span, {n: (d.fired, d.evidence) for n, d in days.items()}, weights)
    shown = np.bincount(explained.level[rows.opens], minlength=len(LEVELS))
    tied = explained.kind[rows.opens & (explained.level > NONE)]
    kinds = np.bincount(tied, minlength=len(explained.kinds)).tolist() if len(tied) else []
    return Detection(
        *_joined(pairs, periods),
        weights=weights,
        looks=int(rows.opens.sum()),
        by_level=dict(zip(LEVELS, shown.tolist(), strict=True)),
        by_kind=dict(zip(explained.kinds, kinds, strict=False)),
        history=kept_history(span, habits, rates),
    )


def _added(before: pd.DataFrame, now: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    """Counts of two tables added up."""
    both = pd.concat([before, now], ignore_index=True)
    return both.groupby(keys, as_index=False, sort=True).sum()


# --- weights ------------------------------------------------------------------------------------


def _pair_keys(scene: Scene, where: Mask) -> npt.NDArray[np.int64]:
    rows = scene.rows
    width = len(scene.words.persons) + 1
    return rows.actor[where].astype(np.int64) * width + rows.person[where]


def _rates(scene: Scene, masks: dict[str, Mask]) -> pd.DataFrame:
    """rule, hits, of: how often each estimated rule speaks of pairs that ties explain; and, under
    `level NAME`, how many looks are explained how closely."""
    fair = scene.rows.opens & (scene.explained.level >= EPISODE)
    of = len(np.unique(_pair_keys(scene, fair)))
    found = [
        (name, len(np.unique(_pair_keys(scene, fair & mask))), of)
        for name, mask in masks.items()
        if RULES[name].estimated
    ]
    levels = np.bincount(scene.explained.level[scene.rows.opens], minlength=len(LEVELS))
    found += [
        (f"level {name}", int(n), int(levels.sum())) for name, n in zip(LEVELS, levels, strict=True)
    ]
    return pd.DataFrame(found, columns=["rule", "hits", "of"])


def _period_rates(span: Span, fired: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The same for the estimated rules of periods, of weeks in which somebody looked at all."""

    def weeks(days: pd.DataFrame) -> int:
        return len(pd.DataFrame({"a": days.actor, "w": week_of(days.day)}).drop_duplicates())

    of = weeks(span.daily)
    found = [(n, weeks(days), of) for n, days in fired.items() if RULES[n].estimated]
    return pd.DataFrame(found, columns=["rule", "hits", "of"])


def weights_of(rates: pd.DataFrame) -> tuple[dict[str, float], npt.NDArray[np.float64]]:
    """Rule → bits; and the bits of each level of explanation."""
    columns = (rates[name].tolist() for name in ("rule", "hits", "of"))
    known = {
        rule: (hits + 0.5) / (of + 1)
        for rule, hits, of in zip(*columns, strict=True)
        if of >= LEAST_PAIRS
    }

    def held(stated: float, name: str) -> float:
        return float(max(stated / BOUND, min(stated * BOUND, known.get(name, stated))))

    weights = {n: log2(r.misuse / held(r.innocent, n)) for n, r in RULES.items()}
    by_level = np.array(
        [
            log2(MISUSE_BY_LEVEL[n] / held(INNOCENT_BY_LEVEL[n], f"level {name}"))
            for n, name in enumerate(LEVELS)
        ]
    )
    return weights | {"unexplained": float(by_level[NONE])}, by_level


# --- alerts -------------------------------------------------------------------------------------


def _scored_level(scene: Scene) -> npt.NDArray[np.int8]:
    """How closely an access is explained when it is scored: a declaration or a refusal also by
    what came a little later."""
    rows = scene.rows
    declared = (rows.kind == CLASS["break-glass"]) | rows.glass | (rows.outcome == REFUSED)
    return np.where(declared, scene.explained.later, scene.explained.level).astype(np.int8)


def _not_excused(scene: Scene, masks: dict[str, Mask]) -> dict[str, Mask]:
    """The signals of pairs that no explanation excuses."""
    kept = {}
    for name, mask in masks.items():
        excused = RULES[name].excused
        level = scene.explained.later if name in LATER_RULES else scene.explained.level
        kept[name] = mask if excused is None else mask & (level < excused)
    return kept


class _Scores:
    """Adds the bits of groups up: of each family the heaviest."""

    def __init__(self, size: int) -> None:
        self._bits: dict[str, npt.NDArray[np.float64]] = {}
        self._strong = np.zeros(size, np.bool_)
        self._size = size

    def add(self, rule: str, groups: npt.NDArray[np.int64], bits: float) -> None:
        """The rule speaks of these groups."""
        family = self._bits.setdefault(RULES[rule].family, np.full(self._size, -np.inf))
        family[groups] = np.maximum(family[groups], bits)
        if RULES[rule].strength is Strength.STRONG:
            self._strong[groups] = True

    def add_levels(self, bits: npt.NDArray[np.float64], speaks: Mask) -> None:
        """How closely each group is explained; it counts as a signal where it speaks. What no
        explanation excuses is not outweighed by one. Called last."""
        self._bits["explanation"] = np.where(self._strong, np.maximum(bits, 0), bits)
        self._silent = ~speaks

    def raised(self) -> tuple[npt.NDArray[np.float64], Mask]:
        """The bits of every group, and which groups are alerts."""
        table = np.array(list(self._bits.values())).reshape(len(self._bits), self._size)
        total = np.where(np.isfinite(table), table, 0).sum(axis=0)
        families = np.isfinite(table).sum(axis=0)
        silent = getattr(self, "_silent", None)
        if silent is not None:
            families = families - silent
        return total, (total >= ALERT_BITS) & (self._strong | (families >= 2))


def _pair_alerts(
    scene: Scene, masks: dict[str, Mask], weights: dict[str, float],
    by_level: npt.NDArray[np.float64],
) -> tuple[pd.DataFrame, pd.DataFrame]:  # fmt: skip
    rows = scene.rows
    telling = {name: mask for name, mask in masks.items() if name != "unexplained"}
    seen = np.flatnonzero(np.logical_or.reduce(list(telling.values())))
    keys = _pair_keys(scene, np.isin(np.arange(len(rows)), seen))
    kinds, group = np.unique(keys, return_inverse=True)
    level = _scored_level(scene)
    closest = np.full(len(kinds), len(LEVELS) - 1, np.int8)
    np.minimum.at(closest, group, level[seen])
    scores = _Scores(len(kinds))
    for name, mask in telling.items():
        scores.add(name, np.unique(group[mask[seen]]), weights[name])
    scores.add_levels(by_level[closest], closest == NONE)
    bits, raised = scores.raised()
    asked = rows.opens | np.isin(np.arange(len(rows)), seen)
    whole = _pair_keys(scene, asked)
    at = np.minimum(np.searchsorted(kinds[raised], whole), max(0, int(raised.sum()) - 1))
    hit_by = kinds[raised][at] == whole if raised.any() else np.zeros(len(whole), np.bool_)
    rows_of, alert_of = np.flatnonzero(asked)[hit_by], at[hit_by]
    evidence = []
    for name, mask in (telling | {"unexplained": unexplained(scene)}).items():
        hit = mask[rows_of]
        evidence.append(pd.DataFrame({"alert": alert_of[hit], "row": rows_of[hit], "rule": name}))
    found = pd.concat(evidence, ignore_index=True)
    table = pd.DataFrame({"bits": bits[raised], "level": np.array(LEVELS, object)[closest[raised]]})
    return _told(scene, table.assign(scope=Scope.PAIR.value, week=-1), found, level)


def _period_alerts(
    span: Span, days: dict[str, tuple[pd.DataFrame, Mask]], weights: dict[str, float]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    scene = span.scene
    rows = scene.rows
    fired = pd.concat(
        [found.assign(rule=name, week=week_of(found.day)) for name, (found, _) in days.items()],
        ignore_index=True,
    ).astype({"actor": np.int64, "day": np.int64, "week": np.int64})
    groups = fired[["actor", "week"]].drop_duplicates(ignore_index=True)
    groups["group"] = np.arange(len(groups))
    fired = fired.merge(groups, on=["actor", "week"])
    scores = _Scores(len(groups))
    for name, part in fired.groupby("rule"):
        scores.add(str(name), part.group.unique(), weights[str(name)])
    bits, raised = scores.raised() if len(groups) else (np.zeros(0), np.zeros(0, np.bool_))
    number = np.cumsum(raised) - 1
    lasting = fired[raised[fired.group]]
    evidence = [pd.DataFrame({"alert": [], "row": [], "rule": []}, dtype=np.int64)]
    for name, part in lasting.groupby("rule"):
        _, mask = days[str(name)]
        at = np.flatnonzero(mask & np.isin(rows.actor, part.actor))
        looks = pd.DataFrame({"actor": rows.actor[at], "day": rows.day[at], "row": at})
        hit = looks.merge(part[["actor", "day", "group"]], on=["actor", "day"])
        evidence.append(
            pd.DataFrame({"alert": number[hit.group], "row": hit.row, "rule": str(name)})
        )
    table = pd.DataFrame(
        {"bits": bits[raised], "level": "", "scope": Scope.PERIOD.value,
         "week": groups.week[raised].to_numpy()}
    )  # fmt: skip
    found = pd.concat(evidence, ignore_index=True).astype({"alert": np.int64, "row": np.int64})
    return _told(scene, table, found, scene.explained.level)


def _told(
    scene: Scene, table: pd.DataFrame, found: pd.DataFrame, level: npt.NDArray[np.int8]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The alerts and their evidence, in names."""
    rows, words = scene.rows, scene.words
    found = found.sort_values(["alert", "rule", "row"], kind="stable", ignore_index=True)
    row = found.row.to_numpy(np.int64)
    names = {
        name: np.array([*vocabulary.list, ""], object)
        for name, vocabulary in (
            ("actor", words.actors), ("person", words.persons), ("role", words.roles),
            ("organisation", words.organisations),
        )
    }  # fmt: skip
    for name, texts in names.items():
        found[name] = texts[getattr(rows, name)[row]]
    found["leaf"], found["at"] = rows.leaf[row], rows.at[row]
    found["level"] = np.array(LEVELS, object)[level[row]]
    first = found.groupby("alert")[["actor", "person", "role", "organisation"]].first()
    table = table.join(first).join(found.groupby("alert")["at"].agg(first_at="min", last_at="max"))
    if len(table) and table.scope.iloc[0] == Scope.PERIOD.value:
        table["person"] = ""
    kept = found.groupby(["alert", "rule"]).cumcount() < MOST_EVIDENCE
    return table.reindex(columns=_ALERTS), found.loc[kept, _EVIDENCE].reset_index(drop=True)


def _joined(
    pairs: tuple[pd.DataFrame, pd.DataFrame], periods: tuple[pd.DataFrame, pd.DataFrame]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """The alerts of both scopes in one table."""
    later = periods[1].assign(alert=periods[1].alert + len(pairs[0]))
    some = [table for table in (pairs[0], periods[0]) if len(table)] or [pairs[0]]
    told = [table for table in (pairs[1], later) if len(table)] or [pairs[1]]
    return pd.concat(some, ignore_index=True), pd.concat(told, ignore_index=True)
