"""`python -m bench.consent`: how long a decision about a record takes.

Rules:
- One decision is everything of a read: relationships, agreements, wishes, every distinct access
  class by a full evaluation of the policies, and what the silence of every source means.
- Records of 50 items: `usual` has the classes of a person known to eight sources; `varied` gives
  almost every item a class of its own, by heading, custodian and label.
- `nothing remembered`: every policy is evaluated for every class, as after a start.
- Milliseconds, the median and the 99th of `ROUNDS` rounds; of the processor and on the clock,
  because the machine may be shared.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable
from itertools import cycle, islice, product
from pathlib import Path
from time import perf_counter, process_time

from consent.decide import Decider
from consent.redact import redact_read
from consent.shared import Locator
from schemas.dates import Instant, PartialDate
from schemas.held import FeedState, HeldItem, PersonFacts, SourceView
from schemas.identifiers import OdsCode, PersonId, SourceId
from schemas.items import CareItem, Heading
from schemas.sharing import (
    AccessClass,
    Agreement,
    Category,
    ClassId,
    Label,
    Relationship,
    RelationshipKind,
    Requester,
)

RESULTS = Path(__file__).parent / "results"
ROUNDS = 400
COLD_ROUNDS = 40
AT = Instant("2026-03-01T10:00:00Z")
OURS = OdsCode("ZZR01")
CUSTODIANS = tuple(OdsCode(f"ZZX{n:02d}") for n in range(14))
SOURCES = tuple(
    SourceView(source=SourceId(f"s{n}"), custodians=(custodian,), state=FeedState.CURRENT,
               headings=frozenset(list(Heading)[:12]))
    for n, custodian in enumerate(CUSTODIANS)
)  # fmt: skip
ASKS = Requester(
    staff_id="ST1", organisation=OURS, role="social_worker", purpose="direct-care", active=True
)


def agreements() -> list[Agreement]:
    """With every other custodian, all categories; a few of them over."""
    return [
        Agreement(
            agreement_id=f"a{n}", version=1, provider=custodian, receiver=OURS,
            categories=frozenset(Category), purposes=frozenset({"direct-care"}),
            start=PartialDate("2025-01-01"),
            end=PartialDate("2026-12-31" if n % 5 else "2025-12-31"),
            article_6="6(1)(e)", article_9="9(2)(h)", schedule_1="2", confidentiality="implied",
            gateway="none", signed_by=frozenset({custodian, OURS}),
        )
        for n, custodian in enumerate(CUSTODIANS)
    ]  # fmt: skip


def classes(*, varied: bool) -> dict[ClassId, AccessClass]:
    """Classes of 50 items, and of demographics and whereabouts of eight sources."""
    labels = (None, *Label) if varied else (None,)
    headings = [h for h in Heading if h is not Heading.UNCLASSIFIED]
    places = list(enumerate(CUSTODIANS[:8]))
    combined = product(places, headings[: 20 if varied else 6])
    found = [
        AccessClass(Category(heading.value), SourceId(f"s{n}"), custodian,
                    frozenset({label}) if label else frozenset())
        for ((n, custodian), heading), label in zip(combined, cycle(labels), strict=False)
    ]  # fmt: skip
    personal = [
        AccessClass(category, SourceId(f"s{n}"), custodian)
        for n, custodian in places
        for category in (Category.DEMOGRAPHICS, Category.WHEREABOUTS)
    ]
    chosen = list(islice(found[:: 3 if varied else 1], 50)) + personal
    return {ClassId(n): one for n, one in enumerate(chosen)}


def cold(what: Callable[[Decider], object]) -> dict[str, float]:
    """The same of a decider that has never been asked anything."""
    fresh = (Decider() for _ in range(COLD_ROUNDS))
    return timed(what, fresh)


def timed(what: Callable[..., object], given: Iterable[Decider] = ()) -> dict[str, float]:
    """Median and 99th, in milliseconds; of one call for each decider given, if any are."""
    clock, processor = [], []
    arguments: Iterable[tuple[Decider, ...]] = ((one,) for one in given) if given else [()] * ROUNDS
    for argument in arguments:
        began, worked = perf_counter(), process_time()
        what(*argument)
        clock.append((perf_counter() - began) * 1e3)
        processor.append((process_time() - worked) * 1e3)
    return {
        "clock_p50": round(statistics.median(clock), 2),
        "clock_p99": round(statistics.quantiles(clock, n=100)[98], 2),
        "processor_p50": round(statistics.median(processor), 2),
    }


def main() -> None:
    """Measures, prints, and keeps the figures in bench/results/consent.json."""
    began = perf_counter()
    decider = Decider()
    figures: dict[str, object] = {"start_ms": round((perf_counter() - began) * 1e3, 1)}
    facts = PersonFacts(person=PersonId("p"), birth_dates=frozenset({PartialDate("1970-01-01")}))
    tie = [Relationship(kind=RelationshipKind.CASELOAD, organisation=OURS,
                        start=PartialDate("2026-01-01"))]  # fmt: skip
    register = agreements()
    for name in ("usual", "varied"):
        held = classes(varied=name == "varied")
        items = [
            HeldItem(
                item_key=f"k{n}", source=one.source, custodian=one.custodian, class_id=key,
                item=CareItem(heading=Heading(one.category.value), item_id=f"{n}", subject=None,
                              text="x", start=PartialDate("2026-01-01")),
                received_at=AT,
            )
            for n, (key, one) in enumerate(list(held.items())[:48])
            if one.category.value in set(Heading)
        ]  # fmt: skip
        decision = decider.may_read(ASKS, facts, tie, register, (), held, AT, sources=SOURCES)
        figures[name] = {
            "classes": len(held),
            "permitted": len(decision.permitted),
            "decide": timed(
                lambda held=held: decider.may_read(
                    ASKS, facts, tie, register, (), held, AT, sources=SOURCES
                )
            ),
            "decide, nothing remembered": cold(
                lambda fresh, held=held: fresh.may_read(
                    ASKS, facts, tie, register, (), held, AT, sources=SOURCES
                )
            ),
            "redact": timed(
                lambda held=held, items=items, decision=decision: redact_read(
                    decision, (), items, SOURCES, held, AT
                )
            ),
        }
    name = frozenset({Locator.NAME})
    figures["trace of 20"] = timed(lambda: decider.may_trace(ASKS, name, [facts] * 20, AT))
    print(json.dumps(figures, indent=1))
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "consent.json").write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
