"""The declared mapping of a file's columns to fields, worked out once per file and applied to a
block of rows at a time, column by column.

Rules:
- Columns are found by name, in whatever order the header has them. A mapped column that the header
  lacks refuses the file, unless it is declared optional. Fields that tell one row from another are
  never optional.
- A value is trimmed; one of `missing_values` is none. Several columns of a field are joined by a
  space, except for the fields that list their columns (`LISTED_FIELDS`).
- A field with a code table (declared, or that of `CODE_LISTS`) holds what the table gives; a field
  with a parser holds what the parser makes of it. What neither can read counts as none, and is
  given as sent beside the values.
- A constant stands where the field has no column, or no value in its columns.
- A field that is not mapped has no value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from schemas.codes import Gender, NumberStatus
from schemas.errors import FeedRefused, InvalidValue
from schemas.items import Heading
from schemas.settings import (
    CODE_LISTS,
    FLAG_VALUES,
    IDENTITY_FIELDS,
    LISTED_FIELDS,
    Mapped,
)

Values = tuple[Any, ...]
"""One row's values by slot: None, text, or what the field's table or parser gives."""
Unread = dict[str, str]
"""Field → text as sent, of one row: what could not be read as the field's type."""
Parse = Callable[[str], Any]
"""Reads a field's text. Raises: InvalidValue."""
_NOTHING = 0
"""The slot that is always None."""
_MEANING: Mapping[str, Callable[[str], Any]] = {
    "gender": Gender,
    "birth_sex": Gender,
    "nhs_number_status": NumberStatus,
    "ethnicity": str,
    "deceased": FLAG_VALUES.__getitem__,
    "restricted": FLAG_VALUES.__getitem__,
    "heading": Heading,
    "action": str,
}
"""What a code of `CODE_LISTS` stands for."""


class RowPlan:
    """Where each field of a row stands. `values` takes rows apart; `slot` and `slots` say where in
    them a field is.

    Attributes:
        width: number of columns.
        unmapped: names of columns that no field is mapped to.
    """

    def __init__(
        self, header: Sequence[str], settings: Mapped, parsers: Mapping[str, Parse]
    ) -> None:
        """Raises: FeedRefused (`missing_column`)."""
        self.width = len(header)
        self._settings, self._parsers = settings, parsers
        places = _column_places(header, settings)
        self._used = sorted({n for columns in places.values() for n in columns})
        self._tail: list[Any] = []
        self._joins: list[tuple[int, tuple[int, ...]]] = []
        self._parsed: list[tuple[int, int, str, Parse]] = []
        self._instead: list[tuple[int, Any]] = []
        self._slots: dict[str, tuple[int, ...]] = {}
        slot_of = {place: slot for slot, place in enumerate(self._used, 1)}
        for name in {**settings.columns, **settings.constants}:
            self._slots[name] = self._place(name, tuple(slot_of[n] for n in places.get(name, ())))
        mapped = {column for columns in settings.columns.values() for column in columns}
        self.unmapped = tuple(name for name in header if name not in mapped)

    def _place(self, name: str, slots: tuple[int, ...]) -> tuple[int, ...]:
        """The slots of a field whose columns have `slots`."""
        parse, constant = self._reading(name), self._constant(name)
        if not slots:
            return (self._own(constant),)
        alone = constant is not None and parse is None
        if name not in LISTED_FIELDS and (len(slots) > 1 or alone):
            joined = self._own()
            self._joins.append((joined, slots))
            slots = (joined,)
        if parse is not None:
            sent, slots = slots, tuple(self._own() for _ in slots)
            self._parsed += [(to, at, name, parse) for to, at in zip(slots, sent, strict=True)]
        if constant is not None:
            self._instead.append((slots[0], constant))
        return slots

    def _own(self, value: Any = None) -> int:
        self._tail.append(value)
        return len(self._used) + len(self._tail)

    def _reading(self, name: str) -> Parse | None:
        """How the field's text is read: by its code table, its parser, or one after the other."""
        table, parse = _code_table(name, self._settings), self._parsers.get(name)
        if table is None:
            return parse

        def look_up(text: str) -> Any:
            meaning = table.get(text)
            if meaning is None:
                raise InvalidValue("not in the field's code table")
            return parse(meaning) if parse else meaning

        return look_up

    def _constant(self, name: str) -> Any:
        text = self._settings.constants.get(name)
        if text is None:
            return None
        try:
            return self._parsers.get(name, _MEANING.get(name, str))(text)
        except InvalidValue as error:
            raise FeedRefused("bad_value", f"constant {name!r} in the settings: {error}") from None

    def values(self, rows: Sequence[Sequence[str]]) -> Iterator[tuple[Values, Unread]]:
        """The values of each row by slot, and what of it could not be read.

        Requires: each row has the header's number of fields.
        """
        missing, fields = self._settings.missing_values, list(zip(*rows, strict=True))
        if not fields:
            return
        columns: list[Sequence[Any]] = [[None] * len(rows)]
        columns += [
            [None if (text := field.strip()) in missing else text for field in fields[place]]
            for place in self._used
        ]
        columns += [[value] * len(rows) for value in self._tail]
        for to, slots in self._joins:
            parts = zip(*[columns[at] for at in slots], strict=True)
            columns[to] = [" ".join(filter(None, texts)) or None for texts in parts]
        unread: dict[int, Unread] = {}
        for to, at, name, parse in self._parsed:
            columns[to] = _parse_column(columns[at], name, parse, unread)
        for to, constant in self._instead:
            columns[to] = [constant if value is None else value for value in columns[to]]
        for number, values in enumerate(zip(*columns, strict=True)):
            yield values, unread.get(number) or {}

    def why(self, name: str, text: str) -> str:
        """Why a text of the field could not be read; it shows no value."""
        parse = self._reading(name)
        try:
            read = parse(text) if parse else text
        except InvalidValue as error:
            return error.reason
        raise ValueError(f"{name!r} can be read, as {type(read).__name__}")

    def slot(self, name: str) -> int:
        """The slot of a field."""
        return self._slots.get(name, (_NOTHING,))[0]

    def slots(self, name: str) -> tuple[int, ...]:
        """The slots of a field that lists its columns."""
        return self._slots.get(name, ())

    def open_slots(self, prefix: str) -> tuple[tuple[str, int], ...]:
        """Name after the prefix, and slot, of each field that begins with the prefix."""
        return tuple(
            (name.removeprefix(prefix), slots[0])
            for name, slots in self._slots.items()
            if name.startswith(prefix)
        )


def _parse_column(
    column: Sequence[str | None], name: str, parse: Parse, unread: dict[int, Unread]
) -> list[Any]:
    """What each text says; where one cannot be read, None, and the text in `unread` by row."""
    try:
        return [None if text is None else parse(text) for text in column]
    except InvalidValue:
        pass  # below, one by one
    values: list[Any] = []
    for number, text in enumerate(column):
        try:
            values.append(None if text is None else parse(text))
        except InvalidValue:
            values.append(None)
            unread.setdefault(number, {})[name] = text or ""
    return values


def _column_places(header: Sequence[str], settings: Mapped) -> Mapping[str, tuple[int, ...]]:
    """Field → the places of its columns in the header."""
    place = {name: n for n, name in enumerate(header) if name}
    for name, columns in settings.columns.items():
        for column in columns:
            may_lack = column in settings.optional and name not in IDENTITY_FIELDS
            if column not in place and not may_lack:
                raise FeedRefused(
                    "missing_column",
                    f"column {column!r}, to which {name!r} is mapped, is not among the "
                    f"{len(header)} columns of the header",
                )
    return {
        name: tuple(place[column] for column in columns if column in place)
        for name, columns in settings.columns.items()
    }


def _code_table(name: str, settings: Mapped) -> Mapping[str, Any] | None:
    """What a sent value means in a field that holds a code; None for other fields."""
    meaning = _MEANING.get(name, str)
    if name in settings.codes:
        return {sent: meaning(ours) for sent, ours in settings.codes[name].items()}
    if name not in CODE_LISTS:
        return None
    return {
        form: meaning(code)
        for code in CODE_LISTS[name]
        for form in (code, code.lower(), code.upper(), code.title())
    }
