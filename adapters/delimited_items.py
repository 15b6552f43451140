"""Care items and staff entries from the rows of a delimited file.

Rules:
- A care item without its client's local id, its own id or a heading is none; nor is one that holds
  nothing of what its heading needs.
- Where a row does not say who answers for it, the source's first organisation does.
- What cannot be read of an item is kept under `unread` among its details, and counted.
- A staff entry needs a staff id and a role. One whose dates, role or organisation cannot be read is
  quarantined: they give and end access, so that a person must look.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from adapters.delimited_fields import RowFields, Unfit, needed
from adapters.mapping import Unread, Values
from schemas.errors import InvalidValue
from schemas.identifiers import LocalId
from schemas.items import CareItem, Coding
from schemas.records import StaffEntry
from schemas.settings import Mapped, SourceSettings


class ItemFields(RowFields):
    """Reads rows of kind `care_item`."""

    vital: ClassVar[frozenset[str]] = frozenset({"heading"})

    def __init__(self, header: Sequence[str], settings: Mapped, source: SourceSettings) -> None:
        super().__init__(header, settings, source)
        slot = self.plan.slot
        self._custodian = source.organisations[0]
        self._ids = slot("local_id"), slot("item_id"), slot("heading")
        self._code = slot("code"), slot("code_system"), slot("display")
        self._texts = slot("text"), slot("status"), slot("author"), slot("organisation")
        self._times = slot("start"), slot("end"), slot("recorded_at")
        self._labels = self.plan.slots("sensitivity")

    def unit(self, values: Values, unread: Unread) -> CareItem:
        """The care item of a row. Raises: Unfit."""
        local_id, item_id, heading = [values[at] for at in self._ids]
        code, system, display = [values[at] for at in self._code]
        text, status, author, organisation = [values[at] for at in self._texts]
        start, end, recorded_at = [values[at] for at in self._times]
        if heading is None:
            raise Unfit("heading", "missing_value", "every row needs 'heading'; here it is empty")
        if display and not code:
            text = f"{display}: {text}" if text else display
        details = self.details(values)
        if unread:
            details["unread"] = unread
        subject, own_id = needed("local_id", local_id), needed("item_id", item_id)
        try:
            return CareItem(
                heading=heading,
                item_id=own_id,
                subject=LocalId(subject),
                codes=(Coding(code, system, display),) if code else (),
                text=text,
                status=status,
                start=start,
                end=end,
                recorded_at=recorded_at,
                author=author,
                organisation=organisation or self._custodian,
                sensitivity=tuple([label for at in self._labels if (label := values[at])]),
                details=details,
            )
        except InvalidValue as error:
            raise Unfit("", "missing_value", error.reason) from None


class StaffFields(RowFields):
    """Reads rows of kind `staff`."""

    vital: ClassVar[frozenset[str]] = frozenset({"organisation", "role", "start", "end"})

    def __init__(self, header: Sequence[str], settings: Mapped, source: SourceSettings) -> None:
        super().__init__(header, settings, source)
        slot = self.plan.slot
        self._employer = source.organisations[0]
        self._ids = slot("staff_id"), slot("organisation"), slot("role")
        self._texts = slot("name"), slot("team"), slot("rota")
        self._dates = slot("start"), slot("end")

    def unit(self, values: Values, unread: Unread) -> StaffEntry:
        """The staff entry of a row. Raises: Unfit."""
        staff_id, organisation, role = [values[at] for at in self._ids]
        name, team, rota = [values[at] for at in self._texts]
        start, end = [values[at] for at in self._dates]
        details = self.details(values)
        if unread:
            details["unread"] = unread
        return StaffEntry(
            staff_id=needed("staff_id", staff_id),
            organisation=organisation or self._employer,
            role=needed("role", role),
            name=name,
            team=team,
            start=start,
            end=end,
            rota=rota,
            details=details,
        )
