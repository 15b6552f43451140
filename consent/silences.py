"""What a source's silence under a heading means (rule 1). Pure.

Rules:
- It is worked out from what is decided of a source's ordinary items, which is the same for every
  person, and from what is shown. Hidden items change nothing: a silence tells nothing of them.
- "Recorded as none" is said only where a source said so itself.
- Of a restricted person the sources that show something are not named; how the feeds stand is the
  same for everybody, and is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache

from consent.same import Same
from consent.shared import (
    Decision,
    ReadDecision,
    Refusal,
    Ring,
    Silence,
    SilenceState,
    Tell,
)
from schemas.held import FeedState, HeldItem, SourceView
from schemas.identifiers import OdsCode, SourceId
from schemas.items import CareItem, Heading
from schemas.sharing import Category

NONE_KNOWN = frozenset({"716186003", "160244002", "409137002", "428607008", "429625007"})
"""SNOMED CT: no known allergy, no known allergies (and of drugs, environment, food)."""
_CATEGORIES: Mapping[Heading, Category] = {one: Category(one.value) for one in Heading}
_STATES: Mapping[FeedState, SilenceState] = {
    FeedState.CURRENT: SilenceState.NOTHING_RECORDED,
    FeedState.STALE: SilenceState.STALE,
    FeedState.FAILED: SilenceState.FEED_FAILED,
    FeedState.NOT_CONNECTED: SilenceState.NOT_CONNECTED,
}


def says_none(item: CareItem) -> bool:
    """Whether the item is a source's own word that there is nothing under its heading."""
    return item.details.get("empty_reason") == "nilknown" or any(
        one.code in NONE_KNOWN for one in item.codes
    )


def silences(
    decision: ReadDecision,
    sources: Sequence[SourceView],
    shown: Sequence[HeldItem],
    headings: frozenset[Heading] | None,
    present: frozenset[tuple[SourceId, Heading]],
    *,
    unnamed: bool,
) -> tuple[Silence, ...]:
    """One for each heading and source; split by custodian where these are decided differently.

    Args: as `consent.redact.redact_read`; `shown` are the items that are shown.
    """
    if isinstance(decision.opening, Refusal):
        return _shut(decision.opening, sources, headings)
    if unnamed:
        return _unnamed(decision, sources, shown, headings, present)
    held: dict[tuple[SourceId, Heading], list[HeldItem]] = {}
    for one in shown:
        held.setdefault((one.source, one.item.heading), []).append(one)
    found: list[Silence] = []
    shows = held.keys() | present
    for key, view, told, untold in _untold(Same(decision.ordinary), Same(sources), headings):
        if key in shows:
            items = held.get(key, ())
            found += _of_source(view, key[1], told, items, elsewhere=key in present)
        else:
            found += untold
    return tuple(found)


Ordinary = Mapping[tuple[Category, OdsCode | None], Decision]
Told = Mapping[OdsCode, Decision]
"""Custodian → the refusal that may be told of their ordinary items."""


@lru_cache(maxsize=512)
def _untold(
    ordinary: Same[Ordinary],
    sources: Same[Sequence[SourceView]],
    headings: frozenset[Heading] | None,
) -> tuple[tuple[tuple[SourceId, Heading], SourceView, Told, tuple[Silence, ...]], ...]:
    """For each source and heading the refusals that may be told, and what it means that the source
    shows nothing: the same of every person of whom the same is decided."""
    found = []
    for view in sources.held:
        for heading in _asked(view, headings):
            told = _refusals(ordinary.held, view, heading)
            untold = tuple(_of_source(view, heading, told, (), elsewhere=False))
            found.append(((view.source, heading), view, told, untold))
    return tuple(found)


def _refusals(ordinary: Ordinary, view: SourceView, heading: Heading) -> Told:
    decided = ((one, ordinary.get((_CATEGORIES[heading], one))) for one in view.custodians)
    return {custodian: one for custodian, one in decided if one is not None and _told(one)}


def _asked(view: SourceView, headings: frozenset[Heading] | None) -> list[Heading]:
    return [one for one in sorted(view.headings) if headings is None or one in headings]


def _shut(
    opening: Refusal, sources: Sequence[SourceView], headings: frozenset[Heading] | None
) -> tuple[Silence, ...]:
    wanted = {h for view in sources for h in view.headings if headings is None or h in headings}
    return tuple(
        Silence(heading, None, SilenceState.WITHHELD, ring=opening.ring)
        for heading in sorted(wanted)
    )


def _of_source(
    view: SourceView,
    heading: Heading,
    told: Told,
    items: Sequence[HeldItem],
    *,
    elsewhere: bool,
) -> list[Silence]:
    if not told:
        return [_open(view, heading, items, elsewhere=elsewhere)]
    if len(told) == len(view.custodians) and not items:
        first = next(iter(told.values()))
        return [Silence(heading, view.source, SilenceState.WITHHELD, ring=_ring(first))]
    found = [
        Silence(heading, view.source, SilenceState.WITHHELD, None, _ring(one), custodian)
        for custodian, one in told.items()
    ]
    return [_open(view, heading, items, elsewhere=elsewhere), *found]


def _open(
    view: SourceView, heading: Heading, items: Sequence[HeldItem], *, elsewhere: bool
) -> Silence:
    """The silence of what is not withheld from everybody like the requester."""
    if elsewhere or any(not says_none(one.item) for one in items):
        return Silence(heading, view.source, SilenceState.PRESENT)
    if items:
        return Silence(heading, view.source, SilenceState.RECORDED_AS_NONE)
    state = _STATES[view.state]
    since = None if state is SilenceState.NOTHING_RECORDED else view.since
    return Silence(heading, view.source, state, since)


def _told(decision: Decision | None) -> bool:
    return isinstance(decision, Refusal) and decision.tell is Tell.MAY_BE_TOLD


def _ring(decision: Decision | None) -> Ring | None:
    return decision.ring if isinstance(decision, Refusal) else None


def _unnamed(
    decision: ReadDecision,
    sources: Sequence[SourceView],
    shown: Sequence[HeldItem],
    headings: frozenset[Heading] | None,
    present: frozenset[tuple[SourceId, Heading]],
) -> tuple[Silence, ...]:
    """One for each heading, whatever source it is of, and what holds of sources whether they show
    something or not: else what one source does not say would tell which other one does."""
    untold = _untold(Same(decision.ordinary), Same(sources), headings)
    common = [silence for *_, silences in untold for silence in silences]
    said: dict[Heading, SilenceState] = {
        one.heading: SilenceState.NOTHING_RECORDED
        for one in common
        if one.state is not SilenceState.WITHHELD
    }
    for one in shown:
        heading = one.item.heading
        if not says_none(one.item):
            said[heading] = SilenceState.PRESENT
        elif said.get(heading) is not SilenceState.PRESENT:
            said[heading] = SilenceState.RECORDED_AS_NONE
    for _, heading in present:
        if headings is None or heading in headings:
            said[heading] = SilenceState.PRESENT
    rest = [one for one in common if one.state is not SilenceState.NOTHING_RECORDED]
    return (*(Silence(heading, None, state) for heading, state in sorted(said.items())), *rest)
