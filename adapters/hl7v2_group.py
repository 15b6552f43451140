"""One person of a message while its segments are read: where items, notes and kept segments go.

Rules:
- An item carries the sender's own id where the segment has one. Else its id is derived from what
  makes it that item and no other, so that the same content sent again is the same item:

  | segment | own id | else derived from the local id and |
  |---|---|---|
  | PV1 | PV1-19 visit number | class and PV1-44 admit time, else MSH-10 |
  | NK1 | | NK1-33, else name; and relationship (one contact can be many people's) |
  | AL1, IAM | IAM-7 | code, else text |
  | DG1 | DG1-20 | code, else text, and DG1-5 |
  | PR1 | PR1-19 | code, else text, and PR1-5 |
  | OBX | OBX-21 | order (OBR-3, OBR-2), code, OBX-4; without order: visit, code, OBX-4, time |
  | OBR without OBX | OBR-3, OBR-2 | code and OBR-7 |
  | TXA | TXA-12, TXA-16 | type and TXA-4, else TXA-6 |
  | SCH | SCH-2, SCH-1 | type or reason, and start |
  | RF1 | RF1-6, RF1-11 | reason and RF1-7 |

  A derived id is a digest: it shows nothing of the person. Two alike in one message are numbered.
- Items are drafts until the message ends, because later segments add to them.
- A segment without a reader (Z-segments among them) is kept as sent in the details of what it
  follows: the last item, or the person. So are notes. `LEFT_OUT` (hl7v2_tables) is not kept.
- An order segment (ORC, and OBR in a document message) goes to the item that follows it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any

from adapters.hl7v2_message import Segment
from adapters.hl7v2_person import PersonSegments, SourceRules
from adapters.hl7v2_tables import Event
from adapters.hl7v2_types import Issues
from schemas.items import CareItem, Heading

Draft = dict[str, Any]
"""The fields of a care item while later segments may still add to it."""


class Group:
    """One person of a message, and what its segments have said so far."""

    def __init__(
        self,
        kind: str,
        event: Event,
        rules: SourceRules,
        person: PersonSegments,
        control_id: str,
        evn: Segment | None,
    ) -> None:
        self.kind, self.event, self.rules, self.person = kind, event, rules, person
        self.control_id, self.evn = control_id, evn
        self.local_id = person.local_id
        self.issues: Issues = []
        self.notes: dict[str, Any] = person.details
        """Where notes and kept segments go now: the details of the last item, or the person."""
        self.mrg: Segment | None = None
        self.merged: list[Segment] = []
        self.renewed: list[Segment] = []
        """Segments that declare a protected change of identity."""
        self.visit: Draft | None = None
        self.visit_id: str | None = None
        """Of the visit the message is about, also where it only points at it."""
        self.order: Segment | None = None
        self.order_item: Draft | None = None
        self.order_notes: dict[str, Any] = {}
        self.document: Draft | None = None
        self.appointment: Draft | None = None
        self.ahead: list[str] = []
        """Order segments that belong to the next item."""
        self._drafts: list[Draft] = []
        self._seen: dict[tuple[Heading, str], int] = {}

    def add(self, heading: Heading, item_id: str, details: dict[str, Any], **fields: Any) -> Draft:
        """Begins an item; notes that follow are its notes."""
        key = (heading, item_id)
        count = self._seen[key] = self._seen.get(key, 0) + 1
        draft = {
            "heading": heading,
            "item_id": item_id if count == 1 else f"{item_id}-{count}",
            "subject": self.local_id,
            "organisation": self.person.organisation,
            "details": details,
            **fields,
        }
        self._drafts.append(draft)
        if self.ahead:
            details["order_segments"] = self.ahead
            self.ahead = []
        self.notes = details
        return draft

    def derived(self, *parts: str | None) -> str:
        """An id made of what tells the item from the person's other ones."""
        text: str = self.local_id
        for part in parts:
            text = f"{text}\x1f{part or ''}"
        return hashlib.blake2b(text.encode(), digest_size=12).hexdigest()

    def keep(self, name: str, line: str) -> None:
        """Keeps a segment as sent."""
        self.notes.setdefault(name, []).append(line[4:])

    def items(self) -> list[CareItem]:
        """The finished items; order segments that no item followed stay with the person."""
        if self.ahead:
            self.person.details["order_segments"] = self.ahead
        return [CareItem(**draft) for draft in self._drafts]


Handler = Callable[[Group, Segment], None]
"""Reads one segment into the group."""
