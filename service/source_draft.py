"""Drafts the settings of a source from a sample of its file: which column is which field, and why.

Rules:
- A column is taken for a field if its name says so and its values do not speak against it, or if
  its values can hardly be anything else. What a name says and the values deny is not mapped, and
  told.
- A field is mapped once, to the columns that fit it best, in the order of the file; a field whose
  columns are kept apart (LISTED_FIELDS) to all that fit.
- A draft is to be read by somebody: each mapping bears how it was found, and each column that
  nothing is mapped to what it looks like. It holds codes (texts of a column with few), no others.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum

from schemas.codes import ETHNIC_CATEGORIES
from schemas.dates import read_format
from schemas.errors import InvalidValue
from schemas.identifiers import parse_nhs_number, parse_ods_code, parse_postcode
from schemas.settings import LISTED_FIELDS

DATE_FORMATS = (
    "%Y-%m-%d", "%d/%m/%Y", "%d.%m.%Y", "%d-%m-%Y", "%Y%m%d", "%d %b %Y", "%d-%b-%Y", "%d %B %Y",
    "%Y/%m/%d", "%m/%d/%Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%d/%m/%Y %H:%M:%S",
    "%d/%m/%Y %H:%M",
)  # fmt: skip
"""Forms of dates that are tried, the likeliest first."""
MISSING = ("", "NULL", "null", "N/A", "n/a", "-", "Not known", "not known", "Unknown", "unknown")
_FITS, _MOSTLY, _FEW_CODES = 0.9, 0.5, 12
"""From which share of values on a column is what they look like; most kinds of codes in one."""
_GENDERS = {
    "male": ("m", "male", "man", "1"), "female": ("f", "female", "woman", "2"),
    "other": ("o", "other", "i", "indeterminate", "x", "9", "non-binary"),
    "unknown": ("u", "unknown", "not known", "0", "?", "z"),
}  # fmt: skip
_NAMED: dict[str, str] = {
    "local_id": r"(client|patient|person|tenant|case|customer|record|system|user|service user)?"
                r" ?(id|ref|reference|number|no|num|key|identifier)",
    "nhs_number": r"nhs( ?(no|number|num|id))?|new nhs.*",
    "nhs_number_status": r"nhs( ?number)? (status|trace|checked|verified|verification).*|nhs trace",
    "nhs_number_traced_on": r"(nhs )?traced?( ?(date|on))",
    "name.prefix": r"title|prefix|salutation|name prefix",
    "name.given": r"(first|given|fore) ?names?( ?[0-9])?|christian name|middle ?names?|"
                  r"second (forename|name)|other names?|given",
    "name.family": r"(last|family|sur) ?names?|surname|family",
    "name.previous_family": r"(previous|former|maiden|birth|alias) (last |family |sur)?name|alias",
    "name.known_as": r"known as|preferred( first)? name|likes to be called|nickname",
    "name.full": r"(full|patient|client|person|tenant|service user)? ?name",
    "birth_date": r"(date of )?birth( date)?|dob|born( on)?|d o b",
    "gender": r"gender( code)?|sex|m f",
    "ethnicity": r"ethnic.*",
    "address.line": r"(home |current )?(addr|address)( ?line)?( ?[1-9])?|street|house|town|city|"
                    r"village( or area)?|district|county|locality|property|flat",
    "address.postcode": r"(home |current )?post ?code|zip",
    "address.uprn": r"uprn",
    "previous_address.postcode": r"(previous|prev|old|former) post ?code",
    "previous_address.line": r"(previous|prev|old|former) (addr|address)( ?line)?( ?[1-9])?",
    "phone": r"(home |land)?(tele)?phone( ?(no|number))?( ?[1-9])?|landline|tel( no)?|"
             r"contact (no|number)",
    "mobile": r"mobile( ?(phone|no|number|[1-9]))*|cell",
    "email": r"e ?mail( address)?",
    "gp_practice": r"gp( ?(practice|surgery|code|practice code))?|practice( code)?|surgery",
    "organisation": r"(organisation|org|provider|trust|site|service)( code)?",
    "death_date": r"(date of )?death( date)?|dod|died( on)?|deceased (on|date)",
    "deceased": r"deceased|dead|is deceased",
    "restricted": r"restricted|sensitive|confidential( address)?|address restricted",
    "as_at": r"(last )?(updated|modified|changed|amended)( ?(on|at|date))?|as at|timestamp",
}  # fmt: skip
"""What names of columns say of which field they hold, spaced, in lower case."""
_NAMES = {name: re.compile(pattern) for name, pattern in _NAMED.items()}
_PHONE = re.compile(r"[+(]?[0-9][0-9 ()+-]{8,16}")


class Found(IntEnum):
    """How a mapping was found."""

    BY_VALUES = 1
    BY_NAME = 2
    BY_BOTH = 3


_SAID = {
    Found.BY_BOTH: "its name says so, and its values fit",
    Found.BY_NAME: "its name says so",
    Found.BY_VALUES: "its values look like it",
}


@dataclass(frozen=True)
class Column:
    """One column of a sample: its name, and its values as they stand."""

    name: str
    values: tuple[str, ...]

    @property
    def filled(self) -> list[str]:
        """The values that say something, trimmed."""
        return [text for value in self.values if (text := value.strip()) not in MISSING]


@dataclass(frozen=True)
class TableSample:
    """The first rows of a table. `name`: a sheet's, else empty."""

    name: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def columns(self) -> list[Column]:
        """The same, column by column."""
        values = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.header)
        return [Column(name, tuple(one)) for name, one in zip(self.header, values, strict=True)]


@dataclass(frozen=True)
class Sample:
    """What a file begins with. `said`: settings of its form that are not the default."""

    format: str
    tables: tuple[TableSample, ...]
    said: dict[str, str | list[str]]


@dataclass
class Draft:
    """What is proposed for one table of rows.

    Attributes:
        mapped: field → columns, how they were found.
        dates: formats of its dates; `unsure`: days and months could be either way round.
        codes: field → value as sent → our code.
        left: column → what it looks like.
        denied: column → the field that its name says and its values deny.
    """

    mapped: dict[str, tuple[list[str], Found]] = field(default_factory=dict)
    dates: list[str] = field(default_factory=list)
    unsure: bool = False
    codes: dict[str, dict[str, str]] = field(default_factory=dict)
    left: dict[str, str] = field(default_factory=dict)
    denied: dict[str, str] = field(default_factory=dict)


def drafted(columns: Sequence[Column]) -> Draft:
    """A mapping of the columns of clients' rows."""
    draft = Draft()
    for column in columns:
        name, found = _field_of(column)
        if name is None:
            draft.left[column.name] = _looks_like(column)
        elif found is None:
            draft.denied[column.name] = name
        else:
            _propose(draft, name, column, found)
    _choose_local_id(draft, columns)
    by_name = {column.name: column for column in columns}
    lines, _ = draft.mapped.get("address.line", ([], Found.BY_NAME))
    if len(lines) == 1 and _share(by_name[lines[0]].filled or [""], _has_lines) >= _MOSTLY:
        draft.mapped["address.full"] = draft.mapped.pop("address.line")
    for name in ("birth_date", "death_date", "nhs_number_traced_on", "as_at"):
        for column_name in draft.mapped.get(name, ([], Found.BY_NAME))[0]:
            _add_formats(draft, by_name[column_name])
    for name, codes_of in (("gender", _gender_codes), ("ethnicity", _ethnic_codes)):
        for column_name in draft.mapped.get(name, ([], Found.BY_NAME))[0]:
            codes = codes_of(by_name[column_name])
            if codes:
                draft.codes[name] = codes
    return draft


def spaced(name: str) -> str:
    """A column's name in lower case, its words apart: `FamilyName` is `family name`."""
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[a-z])(?=[0-9])", " ", name)
    return re.sub(r"[^a-z0-9]+", " ", words.lower()).strip()


def _field_of(column: Column) -> tuple[str | None, Found | None]:
    """The field that a column holds, and how that was found; with None for that: only its name
    says so, and its values deny it."""
    said = spaced(column.name)
    named = next((name for name, pattern in _NAMES.items() if pattern.fullmatch(said)), None)
    filled = column.filled
    if named == "phone" and filled and _share(filled, _is_mobile) >= _FITS:
        named = "mobile"
    if named is not None:
        fits = _FITTING.get(named)
        if fits is None or not filled:
            return named, Found.BY_NAME
        return named, Found.BY_BOTH if _share(filled, fits) >= _FITS else None
    for name in ("nhs_number", "email", "address.postcode"):
        if filled and _share(filled, _FITTING[name]) >= _FITS:
            return name, Found.BY_VALUES
    return None, None


def _propose(draft: Draft, name: str, column: Column, found: Found) -> None:
    held, before = draft.mapped.get(name, ([], found))
    several = name in LISTED_FIELDS or name == "name.given"
    if not held or several:
        draft.mapped[name] = [*held, column.name], min(before, found)
    elif found > before:
        draft.left[held[0]] = f"could be {name}, too"
        draft.mapped[name] = [column.name], found
    else:
        draft.left[column.name] = f"could be {name}, too"


def _choose_local_id(draft: Draft, columns: Sequence[Column]) -> None:
    """The column that tells rows apart: one whose name says so, else the first that does."""
    apart = [c.name for c in columns if c.filled and len(set(c.filled)) == len(c.values)]
    held, _ = draft.mapped.pop("local_id", ([], Found.BY_NAME))
    could = [name for name, what in draft.left.items() if what == "could be local_id, too"]
    named = [name for name in (*held, *could) if name in apart]
    free = {*draft.left, *held}
    chosen = next(iter(named or [name for name in apart if name in free]), None)
    for name in held:
        if name != chosen:
            draft.left[name] = "its name could be that of a local id; its values are not all unlike"
    if chosen is not None:
        draft.left.pop(chosen, None)
        found = Found.BY_BOTH if chosen in named else Found.BY_VALUES
        draft.mapped = {"local_id": ([chosen], found), **draft.mapped}


def _add_formats(draft: Draft, column: Column) -> None:
    """The format that reads most of a column's dates; both ways round are unsure."""
    filled = column.filled
    counted = [(sum(read_format(v, f) is not None for v in filled), f) for f in DATE_FORMATS]
    most = max((count for count, _ in counted), default=0)
    fitting = [f for count, f in counted if count == most and count]
    if not fitting:
        return
    if fitting[0] not in draft.dates:
        draft.dates.append(fitting[0])
    draft.unsure |= {"%d/%m/%Y", "%m/%d/%Y"} <= set(fitting)


def _gender_codes(column: Column) -> dict[str, str]:
    meanings = {word: ours for ours, words in _GENDERS.items() for word in words}
    return {
        value: meanings[value.lower()]
        for value in sorted(set(column.filled))
        if value.lower() in meanings
    }


def _ethnic_codes(column: Column) -> dict[str, str]:
    """Where categories are sent in words, their letters."""
    letters = {_bare(words): letter for letter, words in ETHNIC_CATEGORIES.items()}
    return {
        value: letters[_bare(value)]
        for value in sorted(set(column.filled))
        if value not in ETHNIC_CATEGORIES and _bare(value) in letters
    }


def _bare(words: str) -> str:
    return re.sub(r"[^a-z]", "", words.lower())


def _looks_like(column: Column) -> str:
    """What a column that nothing is mapped to looks like, without its values."""
    filled = column.filled
    if not filled:
        return "empty"
    kinds = len(set(filled))
    share = f"{len(filled) / len(column.values):.0%} filled"
    for what, fits in (("dates", _is_date), ("telephone numbers", _is_phone)):
        if _share(filled, fits) >= _FITS:
            return f"{what}, {share}"
    if all(value.isdigit() for value in filled):
        return f"numbers, {kinds} of them, {share}"
    return f"{'codes' if kinds <= _FEW_CODES else 'text'}, {kinds} of them, {share}"


def _share(values: Sequence[str], fits: Callable[[str], bool]) -> float:
    return sum(map(fits, values)) / len(values)


def _reads(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def fits(text: str) -> bool:
        try:
            parse(text)
        except InvalidValue:
            return False
        return True

    return fits


def _is_date(text: str) -> bool:
    return any(read_format(text, fmt) is not None for fmt in DATE_FORMATS)


def _is_phone(text: str) -> bool:
    return _PHONE.fullmatch(text) is not None and sum(c.isdigit() for c in text) >= 10


def _is_mobile(text: str) -> bool:
    return re.sub(r"\D", "", text).removeprefix("44").removeprefix("0").startswith("7")


def _has_lines(text: str) -> bool:
    return "," in text


def _is_gender(text: str) -> bool:
    return any(text.lower() in words for words in _GENDERS.values())


_FITTING: dict[str, Callable[[str], bool]] = {
    "nhs_number": _reads(parse_nhs_number),
    "nhs_number_traced_on": _is_date,
    "birth_date": _is_date,
    "death_date": _is_date,
    "as_at": _is_date,
    "gender": _is_gender,
    "address.postcode": _reads(parse_postcode),
    "previous_address.postcode": _reads(parse_postcode),
    "address.uprn": lambda text: text.isdigit() and len(text) <= 12,
    "phone": _is_phone,
    "mobile": _is_phone,
    "email": lambda text: re.fullmatch(r"[^@\s]+@[^@\s]+\.[^@\s]+", text) is not None,
    "gp_practice": _reads(parse_ods_code),
    "organisation": _reads(parse_ods_code),
}
"""Fields whose values tell whether they are theirs."""


def source_lines(
    source: str, title: str, organisations: Sequence[str], file_name: str, sample: Sample
) -> list[str]:
    """A whole [[source]] block as TOML."""
    lines = [
        "[[source]]",
        f"id = {_text(source)}",
        f"name = {_text(title)}",
        f"format = {_text(sample.format)}",
        f"organisations = {_text(list(organisations))}",
        "# Set this to false where the system registers people twice.",
        "keeps_people_apart = true",
        "",
        "[[source.file]]",
        f"pattern = {_text(re.sub('[0-9]+', '*', file_name))}",
    ]
    lines += [f"{key} = {_text(value)}" for key, value in sample.said.items()]
    for table in sample.tables:
        where = "source.file"
        if table.name:
            where = "source.file.sheet"
            lines += ["", f"[[{where}]]", f"name = {_text(table.name)}"]
        lines += _draft_lines(drafted(table.columns()), where)
    return lines


def _draft_lines(draft: Draft, where: str) -> list[str]:
    """The settings of a table of rows as TOML: `where` is `source.file` or `source.file.sheet`."""
    lines = []
    if draft.unsure:
        lines.append("# CHECK: no day is after the 12th; the dates could be month first")
    if draft.dates:
        lines.append(f"date_formats = {_text(draft.dates)}")
    lines.append(f"[{where}.columns]")
    if "local_id" not in draft.mapped:
        lines.append('# CHECK: no column tells the rows apart; map "local_id" to one')
    for name, (columns, found) in draft.mapped.items():
        value = _text(columns[0] if len(columns) == 1 else columns)
        lines.append(f"{_key(name)} = {value}  # {_SAID[found]}")
    for column, name in draft.denied.items():
        lines.append(f"# CHECK: {_text(column)} is called like {name}, but its values are not")
    for column, what in draft.left.items():
        lines.append(f"# not mapped: {_text(column)} ({what})")
    for name, codes in draft.codes.items():
        lines.append(f"[{where}.codes.{_key(name)}]")
        lines += [f"{_text(sent)} = {_text(ours)}" for sent, ours in codes.items()]
    return lines


def _key(name: str) -> str:
    return _text(name) if "." in name else name


def _text(value: str | list[str]) -> str:
    """A TOML string, or a list of them: JSON's escapes are TOML's."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
