"""A month of work in the demo partnership, and pictures of the reports that an IG officer makes of
it: `python -m tests.audit.busy_demo FOLDER` for a demo workspace in FOLDER.

The staff of the demo's directory search, open records, are refused, break the glass; the clock is
moved by hand. What they do is drawn with a seed: nothing of it is meant to look suspicious.
"""

from __future__ import annotations

import random
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from schemas.dates import Instant, to_instant
from schemas.errors import CommonthreadError
from schemas.identifiers import OdsCode, PersonId
from schemas.items import Heading
from schemas.sharing import BREAK_GLASS_REASONS, Requester, SignedIn
from service.sharing import PersonQuery, Sharing
from wiring import open_workspace

if TYPE_CHECKING:
    from schemas.records import StaffEntry

FIRST = datetime(2026, 9, 1, 8, 0, tzinfo=UTC)
DAYS = 61
WORDS = "seen in the emergency department, needs care now"
PURPOSES = ("direct-care",) * 18 + ("vital-interests", "safeguarding")


class Clock:
    """The time, as it is set."""

    def __init__(self) -> None:
        self.now = FIRST

    def __call__(self) -> Instant:
        return to_instant(self.now)


def month(root: Path, looks: int, seed: int = 1) -> None:
    """So many rounds of work: search, open, and now and then something rarer."""
    workspace, clock, chance = open_workspace(root), Clock(), random.Random(seed)
    with workspace.store() as store:
        sharing = Sharing(store, workspace.settings, workspace.model_file, clock)
        staff = [one for one in sharing.staff() if one.organisation and one.role]
        persons = sorted({p for chunk in store.export_rows() for _, _, p in chunk})
        held = {p: store.person_records(p) for p in persons}
        family = {p: records[0].record.names[0].family for p, records in held.items()}
        known: dict[str, list[PersonId]] = {}
        for person, records in held.items():
            for code in {str(one.record.organisation) for one in records}:
                known.setdefault(code, []).append(person)
        moments = sorted(_moment(chance) for _ in range(looks))
        for moment in moments:
            clock.now = moment
            who = chance.choice(staff)
            mine = known.get(str(who.organisation), persons)
            person = chance.choice(mine if chance.random() < 0.9 else persons)
            with suppress(CommonthreadError):
                _round(sharing, _asks(sharing, who, chance), person, family[person], chance)


def _moment(chance: random.Random) -> datetime:
    """Mostly by day, mostly on weekdays."""
    while True:
        day = FIRST + timedelta(days=chance.randrange(DAYS))
        hour = chance.choice([*range(7, 19)] * 6 + [*range(24)])
        if day.weekday() < 5 or chance.random() < 0.3:
            seconds = chance.randrange(3_600)
            return day.replace(hour=hour) + timedelta(seconds=seconds)


def _asks(sharing: Sharing, who: StaffEntry, chance: random.Random) -> Requester:
    assert who.organisation
    return sharing.requester(
        SignedIn(
            issuer="demo", subject=who.staff_id, organisation=OdsCode(who.organisation),
            role=who.role, purpose=chance.choice(PURPOSES),
        )
    )  # fmt: skip


def _round(
    sharing: Sharing,
    asks: Requester,
    person: PersonId,
    family: str | None,
    chance: random.Random,
) -> None:
    with suppress(CommonthreadError):
        sharing.search(asks, PersonQuery({"family": family}))
    if chance.random() < 0.04:
        reason = chance.choice([*BREAK_GLASS_REASONS])
        sharing.break_glass(asks, person, reason, WORDS)
    with suppress(CommonthreadError):
        sharing.read(asks, person)
    for _ in range(chance.randrange(3)):
        heading = chance.choice([*Heading])
        sharing.items(asks, person, frozenset({heading}))
    if chance.random() < 0.2:
        sharing.everything(asks, person)


if __name__ == "__main__":
    month(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 600)
