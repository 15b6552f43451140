"""Signals of an actor and a day: counts against the own baseline, the peers' and the rota.

Rules:
- Each function gives the days on which its rule speaks, and which accesses are the evidence.
- What was before the span comes in as `History`, by name; nothing else is remembered.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import pdtrc

from audit.detect_facts import CLASS, NEVER, NOBODY, PERMITTED, REFUSED, Ints, Mask
from audit.detect_levels import EPISODE, NONE
from audit.detect_pairs import Scene, hours
from audit.detect_rules import RULES

BASELINE_DAYS = 35
"""Days of which counts are kept: five weeks, so that every weekday is among them five times."""
LEAST_PERSONS = 20
"""Fewer persons in a day are no volume."""
OWN_DAYS = 5
"""Days from which on somebody has a baseline of their own; before, their role's counts."""
PEER_QUANTILE = 0.995
CHANCE = 1e-4
OPENED_WITHIN = 3_600
"""Seconds from a search to the look that it was for."""
AT_ONCE = 600
"""Seconds in which nobody changes place."""
GLASS_DAYS = 30
TIMES_USUAL = 4
LEAST_DRAWN = 5
"""Extracts from which on it is known what a role usually draws."""
EXPORTERS = frozenset({"data_team", "analyst"})
LOG_READERS = frozenset({"ig_officer", "privacy_officer"})

_COLUMNS: dict[str, tuple[str, ...]] = {
    "days": ("actor", "role", "day", "persons", "unexplained"),
    "seen": ("actor", "day"),
    "glasses": ("actor", "reason", "day"),
    "drawn": ("actor", "role", "day", "kind", "rows"),
    "habits": ("role", "what", "count"),
    "rates": ("rule", "hits", "of"),
}


def _empty(name: str) -> pd.DataFrame:
    text = {"actor", "role", "reason", "what", "rule"}
    return pd.DataFrame(
        {c: pd.Series(dtype=object if c in text else np.int64) for c in _COLUMNS[name]}
    )


@dataclass(frozen=True, eq=False)
class History:
    """What detection keeps of the time before, as tables.

    Attributes:
        days: persons opened, and of these unexplained, by actor and day, of `BASELINE_DAYS`.
        seen: the last day on which an actor looked. glasses: those not borne out, of 30 days.
        drawn: rows taken out of the partnership or of the log (`kind`: a class), of a year.
        habits: see `detect_pairs.Scene`. rates: how often rules spoke of explained pairs.
    """

    days: pd.DataFrame = field(default_factory=lambda: _empty("days"))
    seen: pd.DataFrame = field(default_factory=lambda: _empty("seen"))
    glasses: pd.DataFrame = field(default_factory=lambda: _empty("glasses"))
    drawn: pd.DataFrame = field(default_factory=lambda: _empty("drawn"))
    habits: pd.DataFrame = field(default_factory=lambda: _empty("habits"))
    rates: pd.DataFrame = field(default_factory=lambda: _empty("rates"))


@dataclass(frozen=True, eq=False)
class Days:
    """Days on which a rule speaks: columns actor, day; and the accesses that are the evidence, of
    which those of these days count."""

    fired: pd.DataFrame
    evidence: Mask


@dataclass(frozen=True, eq=False)
class Span:
    """The scene, the history, and what several rules count.

    Attributes:
        daily: actor, role, day, persons, unexplained of the span, by code.
        before: the same of the history.
    """

    scene: Scene
    history: History
    daily: pd.DataFrame
    before: pd.DataFrame


def span_of(scene: Scene, history: History) -> Span:
    """Counts the days."""
    words = scene.words
    before = history.days.assign(
        actor=words.actors.codes(history.days.actor), role=words.roles.codes(history.days.role)
    )
    return Span(scene, history, _daily(scene), before)


def _distinct(scene: Scene, where: Mask) -> pd.DataFrame:
    """actor, day, persons: distinct persons by actor and day among the accesses chosen."""
    rows = scene.rows
    frame = pd.DataFrame(
        {"actor": rows.actor[where], "day": rows.day[where], "person": rows.person[where]}
    ).drop_duplicates()
    return (
        frame.groupby(["actor", "day"], as_index=False).size().rename(columns={"size": "persons"})
    )


def _daily(scene: Scene) -> pd.DataFrame:
    rows = scene.rows
    opened = rows.opens & (rows.outcome == PERMITTED)
    whole = _distinct(scene, opened)
    bare = _distinct(scene, opened & (scene.explained.level == NONE))
    whole = whole.merge(
        bare.rename(columns={"persons": "unexplained"}), on=["actor", "day"], how="left"
    )
    role = np.full(len(scene.words.actors) + 1, NOBODY, np.int32)
    role[rows.actor] = rows.role
    whole["role"] = role[whole.actor.to_numpy(np.int64)]
    whole["unexplained"] = whole.unexplained.fillna(0).astype(np.int64)
    return whole


def _all_days(span: Span) -> pd.DataFrame:
    columns = ["actor", "role", "day", "persons", "unexplained"]
    return pd.concat([span.before[columns], span.daily[columns]], ignore_index=True)


def volume(span: Span) -> Days:
    """Days with far more persons than the own median and nearly all of the peers' days."""
    known = _all_days(span)
    own = known.groupby("actor").persons.agg(["median", "size"])
    peers = known.groupby("role").persons
    high, usual = peers.quantile(PEER_QUANTILE), peers.median()
    daily = span.daily
    mine = daily.actor.map(own["median"]).where(
        daily.actor.map(own["size"]) >= OWN_DAYS, daily.role.map(usual)
    )
    fired = daily[
        (daily.persons >= LEAST_PERSONS)
        & (daily.persons > RULES["volume"].threshold * mine)
        & (daily.persons >= daily.role.map(high))
    ]
    return Days(fired[["actor", "day"]], span.scene.rows.opens)


def many_unexplained(span: Span) -> Days:
    """Days with more unexplained persons than chance gives at the peers' rate (Poisson)."""
    known = _all_days(span).groupby("role")[["persons", "unexplained"]].sum()
    rate = (known.unexplained / known.persons).clip(lower=0.02)
    daily = span.daily
    expected = daily.persons * daily.role.map(rate)
    chance = pdtrc(daily.unexplained - 1, expected)
    fired = daily[(daily.unexplained >= RULES["many-unexplained"].threshold) & (chance < CHANCE)]
    bare = span.scene.rows.opens & (span.scene.explained.level == NONE)
    return Days(fired[["actor", "day"]], bare)


def off_rota(span: Span) -> Days:
    """Days with several unexplained persons outside the rota."""
    scene = span.scene
    seen = hours(scene) & (scene.explained.level == NONE)
    counts = _distinct(scene, seen)
    fired = counts[counts.persons >= RULES["off-rota"].threshold]
    return Days(fired[["actor", "day"]], seen)


def leaver(span: Span) -> Days:
    """Days on which somebody looked who had left or had not begun."""
    scene = span.scene
    rows, staff = scene.rows, scene.facts.staff
    first = np.full(len(scene.words.actors) + 1, NEVER, np.int64)
    last = np.full(len(scene.words.actors) + 1, -NEVER, np.int64)
    actor = scene.words.actors.codes(staff.actor)
    np.minimum.at(first, actor, staff.start.to_numpy(np.int64))
    np.maximum.at(last, actor, staff.end.to_numpy(np.int64))
    listed = last > -NEVER
    outside = (rows.day > last[rows.actor]) | (rows.day < first[rows.actor])
    seen = listed[rows.actor] & (rows.actor >= 0) & outside & rows.opens
    return Days(_days(scene, seen), seen)


def _days(scene: Scene, where: Mask) -> pd.DataFrame:
    rows = scene.rows
    frame = pd.DataFrame({"actor": rows.actor[where], "day": rows.day[where]})
    return frame.drop_duplicates(ignore_index=True)


def dormant(span: Span) -> Days:
    """First days after a long time without a look."""
    scene = span.scene
    seen = span.history.seen
    days = pd.concat(
        [
            pd.DataFrame(
                {"actor": scene.words.actors.codes(seen.actor), "day": seen.day, "before": True}
            ),
            _days(scene, scene.rows.opens).assign(before=False),
        ],
        ignore_index=True,
    ).sort_values(["actor", "day"])
    gap = days.groupby("actor").day.diff()
    fired = days[(gap > RULES["dormant"].threshold) & ~days.before.astype(bool)]
    return Days(fired[["actor", "day"]], scene.rows.opens)


def browsing(span: Span) -> Days:
    """Days with many searches after which nobody who was found was opened, or cared for."""
    scene = span.scene
    rows = scene.rows
    looked = (rows.kind == CLASS["search"]) & (rows.outcome == PERMITTED) & (rows.person != NOBODY)
    kept = looked & (_opened_after(scene, looked) | (scene.explained.later != NONE))
    searches = pd.DataFrame(
        {"actor": rows.actor[looked], "day": rows.day[looked], "leaf": rows.leaf[looked],
         "kept": kept[looked]}
    ).groupby(["actor", "day", "leaf"], as_index=False).kept.max()  # fmt: skip
    counts = searches.groupby(["actor", "day"], as_index=False).kept.agg(["size", "sum"])
    idle = counts["size"] - counts["sum"]
    fired = counts[(idle >= RULES["browsing"].threshold) & (2 * idle >= counts["size"])]
    return Days(fired[["actor", "day"]], looked & ~kept)


def _opened_after(scene: Scene, looked: Mask) -> Mask:
    """Of the accesses chosen, those whose person the actor opened soon after."""
    rows = scene.rows
    pair = rows.actor.astype(np.int64) * (len(scene.words.persons) + 1) + rows.person
    start = int(rows.at.min(initial=0))
    kinds, number = np.unique(pair, return_inverse=True)
    width = int(rows.at.max(initial=0)) - start + OPENED_WITHIN + 1
    moment: Ints = number.astype(np.int64) * width + (rows.at - start)
    opened = np.sort(moment[rows.opens])
    found = np.zeros(len(rows), np.bool_)
    if len(opened) and len(kinds):
        asked = moment[looked]
        at = np.minimum(np.searchsorted(opened, asked), len(opened) - 1)
        after = opened[at] - asked
        found[looked] = (after >= 0) & (after <= OPENED_WITHIN)
    return found


def shared(span: Span) -> Days:
    """Days on which an account changed place faster than anybody can."""
    scene = span.scene
    rows = scene.rows
    placed = (rows.station != NOBODY) & (rows.actor != NOBODY)
    order = np.lexsort((rows.at[placed], rows.actor[placed]))
    frame = pd.DataFrame(
        {"actor": rows.actor[placed], "at": rows.at[placed], "station": rows.station[placed],
         "day": rows.day[placed], "row": np.flatnonzero(placed)}
    ).iloc[order]  # fmt: skip
    last = frame.shift(1)
    moved = (
        (frame.actor == last.actor)
        & (frame.station != last.station)
        & (frame["at"] - last["at"] <= AT_ONCE)
    )
    changes = frame[moved]
    counts = changes.groupby(["actor", "day"], as_index=False).size()
    evidence = np.zeros(len(rows), np.bool_)
    evidence[changes.row.to_numpy()] = True
    fired = counts[counts["size"] >= RULES["shared"].threshold]
    return Days(fired[["actor", "day"]], evidence)


def refusals(span: Span) -> Days:
    """Days on which somebody was turned away from many persons."""
    scene = span.scene
    rows = scene.rows
    seen = (rows.outcome == REFUSED) & rows.opens & (scene.explained.later == NONE)
    counts = _distinct(scene, seen)
    return Days(counts.loc[counts.persons >= RULES["refusals"].threshold, ["actor", "day"]], seen)


def unborne_glasses(scene: Scene) -> Mask:
    """Broken glasses after which no contact followed."""
    rows = scene.rows
    declared = rows.action == scene.words.actions.code("break-glass")
    seen = declared & (rows.outcome == PERMITTED) & (scene.explained.later < EPISODE)
    return np.asarray(seen, np.bool_)


def glass_repeated(span: Span) -> Days:
    """Days on which a glass was broken once more for a reason that was not borne out before."""
    scene = span.scene
    rows, past = scene.rows, span.history.glasses
    seen = unborne_glasses(scene)
    both = pd.concat(
        [
            pd.DataFrame(
                {"actor": scene.words.actors.codes(past.actor), "day": past.day,
                 "reason": scene.words.reasons.codes(past.reason), "now": False}
            ),
            pd.DataFrame(
                {"actor": rows.actor[seen], "day": rows.day[seen], "reason": rows.reason[seen],
                 "now": True}
            ),
        ],
        ignore_index=True,
    ).sort_values(["actor", "reason", "day"], kind="stable")  # fmt: skip
    back = int(RULES["glass-repeated"].threshold) - 1
    since = both.day - both.groupby(["actor", "reason"]).day.shift(back)
    fired = both[(since <= GLASS_DAYS) & both.now.astype(bool)]
    return Days(fired[["actor", "day"]].drop_duplicates(), seen)


def drawn_rows(scene: Scene) -> pd.DataFrame:
    """actor, role, day, kind, rows: what was drawn out of the partnership or the log, by event."""
    rows = scene.rows
    kinds = (rows.kind == CLASS["export"]) | (rows.kind == CLASS["audit"])
    seen = kinds & (rows.outcome == PERMITTED) & (rows.rows > 0)
    _, first = np.unique(rows.leaf[seen], return_index=True)
    at = np.flatnonzero(seen)[first]
    return pd.DataFrame(
        {"actor": rows.actor[at], "role": rows.role[at], "day": rows.day[at],
         "kind": rows.kind[at].astype(np.int64), "rows": rows.rows[at]}
    )  # fmt: skip


def _drawn(span: Span, kind: str) -> pd.DataFrame:
    """What was drawn of one kind, the time before included (`now`: within the span), by week."""
    scene, past = span.scene, span.history.drawn
    before = past.assign(
        actor=scene.words.actors.codes(past.actor), role=scene.words.roles.codes(past.role),
        now=False,
    )  # fmt: skip
    both = pd.concat([before, drawn_rows(scene).assign(now=True)], ignore_index=True)
    return both[both.kind == CLASS[kind]].assign(week=lambda found: week_of(found.day))


def week_of(day: pd.Series[int]) -> pd.Series[int]:
    """Number of the week, which begins on a Monday; 1970-01-01 was a Thursday."""
    return (day + 3) // 7


def _outstanding(found: pd.DataFrame, least: float, usual_roles: set[int]) -> pd.DataFrame:
    """Those drawn now whose rows are many, and many times what the actor drew before and, in roles
    whose work it is, what the role usually draws."""
    found = found.sort_values(["actor", "day"], kind="stable")
    before = found.groupby("actor").rows.transform(lambda rows: rows.shift(1).cummax()).fillna(0)
    roles = found.groupby("role").rows.agg(["median", "size"])
    habitual = found.role.isin(usual_roles) & (found.role.map(roles["size"]) >= LEAST_DRAWN)
    usual = found.role.map(roles["median"]).where(habitual, 0)
    many = found.rows >= least
    above = (found.rows > TIMES_USUAL * before) & (found.rows > TIMES_USUAL * usual)
    return found[found.now.astype(bool) & many & above]


def export(span: Span) -> Days:
    """Days on which far more was drawn out than usual."""
    rows, words = span.scene.rows, span.scene.words
    usual = {words.roles.code(name) for name in EXPORTERS} - {NOBODY}
    fired = _outstanding(_drawn(span, "export"), RULES["export"].threshold, usual)
    return Days(fired[["actor", "day"]].drop_duplicates(), rows.kind == CLASS["export"])


def audit_export(span: Span) -> Days:
    """Days of weeks in which far more of the log was drawn out than usual."""
    rows, words = span.scene.rows, span.scene.words
    weeks = _drawn(span, "audit").groupby(["actor", "role", "week"], as_index=False).agg(
        {"rows": "sum", "day": "max", "now": "max"}
    )  # fmt: skip
    usual = {words.roles.code(name) for name in LOG_READERS} - {NOBODY}
    fired = _outstanding(weeks, RULES["audit-export"].threshold, usual)
    return Days(fired[["actor", "day"]].drop_duplicates(), rows.kind == CLASS["audit"])


PERIOD_RULES: dict[str, Callable[[Span], Days]] = {
    "leaver": leaver,
    "dormant": dormant,
    "volume": volume,
    "many-unexplained": many_unexplained,
    "off-rota": off_rota,
    "browsing": browsing,
    "shared": shared,
    "export": export,
    "refusals": refusals,
    "glass-repeated": glass_repeated,
    "audit-export": audit_export,
}
"""Rule of the scope `PERIOD` → what it sees."""


def kept_history(span: Span, habits: pd.DataFrame, rates: pd.DataFrame) -> History:
    """What to keep for the next span: the history with this span in it."""
    scene = span.scene
    actors, roles = scene.words.actors.list, scene.words.roles.list
    rows = scene.rows
    last = int(rows.day.max(initial=0))
    named = span.daily.assign(actor=_named(actors, span.daily.actor),
                              role=_named(roles, span.daily.role))  # fmt: skip
    days = pd.concat([span.history.days, named[list(_COLUMNS["days"])]], ignore_index=True)
    looked = _days(scene, rows.opens)
    looked = looked.assign(actor=_named(actors, looked.actor))
    seen = pd.concat([span.history.seen, looked]).groupby("actor").day.max().reset_index()
    bare = unborne_glasses(scene)
    glasses = pd.DataFrame(
        {"actor": _named(actors, pd.Series(rows.actor[bare])), "day": rows.day[bare],
         "reason": _named(scene.words.reasons.list, pd.Series(rows.reason[bare]))}
    )  # fmt: skip
    out = drawn_rows(scene)
    out = out.assign(actor=_named(actors, out.actor), role=_named(roles, out.role))
    return History(
        days=_since(days, last - BASELINE_DAYS),
        seen=seen,
        glasses=_since(_joined(span.history.glasses, glasses), last - GLASS_DAYS),
        drawn=_since(_joined(span.history.drawn, out), last - 365),
        habits=habits,
        rates=rates,
    )


def _joined(before: pd.DataFrame, now: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([before, now[list(before.columns)]], ignore_index=True)


def _since(table: pd.DataFrame, day: int) -> pd.DataFrame:
    return table[table.day > day].reset_index(drop=True)


def _named(names: list[str], codes: pd.Series[int]) -> npt.NDArray[np.object_]:
    return np.array([*names, ""], object)[codes.to_numpy(np.int64)]
