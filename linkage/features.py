"""From the match columns of records to features: integer codes and their distinct values.

Rules:
- Columnar throughout: each text is standardised once per distinct value.
- All parts of names share one dictionary, so that a transposed name is an integer comparison.
- Rows are put in founder order (a stable key, unique per record): nothing downstream depends on the
  order in which records arrived.
- A telephone, e-mail address or identifier borne by very many records (a care home, a hostel, a
  placeholder) carries no evidence. Where a table holds records as they are and as they were, each
  is read in its own crowd: a row whose values became a crowd's, or ceased to be, stands twice
  (linkage/prepared.py).
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage import standardise as std
from linkage.columns import Codes, Column, Features, Values, by_code, encode, in_pieces
from linkage.founders import founder_order
from linkage.model import ColumnSpec
from linkage.telephones import telephone
from schemas.errors import InvalidValue

IDENTIFIERS = 6
"""How many further identifiers of a record are compared."""
CROWD = 24
"""A contact point borne by more records than this is a crowd's, not a person's."""
CROWDED = ("phone", "email", "identifier")
"""Columns in which a crowd's value carries no evidence."""
NAMES = ("family", "given", "middle")
"""Columns of names, which share their values."""
NO_DATES = (19000101, 18000101)
"""Dates, as yyyymmdd, that stand for none."""
SETS = 8
"""How many values of a declared set column are compared."""


def _folded(array: pa.Array) -> pa.Array:
    """Words in upper case without accents or punctuation; null where nothing is left."""
    text = pc.replace_substring_regex(std.plain_upper(array), r"[^\p{L}\p{N}]+", " ")
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)


def _compact(array: pa.Array) -> pa.Array:
    """Letters and digits only, in upper case; null where none are left or all are nought."""
    text = pc.replace_substring_regex(std.plain_upper(array), r"[^\p{L}\p{N}]+", "")
    nothing = pc.match_substring_regex(text, "^0*$")
    return pc.if_else(pc.fill_null(nothing, True), pa.scalar(None, pa.string()), text)


KINDS_OF_COLUMN: dict[str, tuple[int, tuple[Callable[[pa.Array], pa.Array], ...]]] = {
    "category": (1, (_folded,)),
    "text": (1, (std.address,)),
    "identifier": (1, (_compact,)),
    "number": (1, (pc.utf8_trim_whitespace,)),
    "date": (1, ()),
    "set": (SETS, (_folded,)),
}
"""Kind of a declared column → how many values it holds, and how they are standardised."""


def build_features(
    table: pa.Table,
    *,
    keeps_apart: Collection[str] = (),
    accept_test_numbers: bool = False,
    extra: Sequence[ColumnSpec] = (),
) -> Features:
    """Features of every record of a table.

    Args:
        table: columns `source` string, `founder` binary or integer, and of
            `schemas.columns.MATCH_SCHEMA` those that it has.
        keeps_apart: sources that hold their own records to be different people.
        accept_test_numbers: NHS numbers of the reserved 999 range count as evidence.
        extra: further columns of the table and how to read them.
    """
    row, table = in_founder_order(table)
    found, verified = standardised(table, accept_test_numbers=accept_test_numbers, extra=extra)
    columns = dict(found)
    for name in CROWDED:
        if name in columns:
            columns[name] = without_crowds(columns[name])
    return features_of(row, columns, verified, keeps_apart)


def standardised(
    table: pa.Table, *, accept_test_numbers: bool, extra: Sequence[ColumnSpec]
) -> tuple[Mapping[str, Column], npt.NDArray[np.bool_]]:
    """The columns of every row of a table, in its order, crowds and all, and which rows' NHS
    numbers were traced, if they have one. Args: see `build_features`."""
    jobs = column_jobs(table, accept_test_numbers, extra)
    # Arrow's kernels let other threads run: two columns are read side by side.
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        names = pool.submit(name_columns, table)
        found = {name: pool.submit(job) for name, job in jobs.items()}
        columns = {**names.result(), **{name: job.result() for name, job in found.items()}}
    sources, source_names = encode(_column(table, "source"))
    columns["source"] = Column(sources[None, :], Values(source_names))
    traced = pc.fill_null(pc.equal(_column(table, "nhs_status"), "01"), False)
    kept = {name: column for name, column in columns.items() if not column.empty}
    return kept, traced.to_numpy(zero_copy_only=False)


def features_of(
    row: npt.NDArray[np.int64],
    columns: Mapping[str, Column],
    traced: npt.NDArray[np.bool_],
    keeps_apart: Collection[str],
) -> Features:
    """Features from their columns.

    Args:
        row: (n,) where each stood in its table.
        traced: (n,) whether the NHS number was traced, if there is one.
    """
    apart = verified = np.zeros(len(row), bool)
    if "source" in columns:
        source = columns["source"]
        flags = np.array([name in keeps_apart for name in source.values.array.to_pylist()])
        source.values.set_part("apart", flags.astype(np.int64))
        apart = flags[source.codes[0]]
    if "nhs_number" in columns:
        verified = traced & (columns["nhs_number"].codes[0] >= 0)
    held = {name: column for name, column in columns.items() if not column.empty}
    return Features(row=row, columns=held, apart=apart, verified=verified)


def column_jobs(
    table: pa.Table, accept_test_numbers: bool, extra: Sequence[ColumnSpec]
) -> dict[str, Callable[[], Column]]:
    """How each column of features but the names' and the source is read from a table, crowds and
    all."""
    return {
        "nhs_number": lambda: _plain(
            table, "nhs_number", partial(_nhs_numbers, accept_test_numbers)
        ),
        "birth_date": lambda: _dates(_column(table, "birth_date")),
        "death": lambda: _dates(_column(table, "death")),
        "sex": lambda: _plain(table, "gender", _sexes),
        "practice": lambda: _plain(table, "gp_practice", _practices),
        "address": lambda: _slots(table, "address", 2, std.address, std.street),
        "postcode": lambda: _slots(table, "postcode", 2, std.postcode),
        "phone": lambda: _slots(table, "phone", 2, telephone),
        "uprn": lambda: _slots(table, "uprn", 2, std.uprn),
        "email": lambda: _slots(table, "email", 1, std.email),
        "identifier": lambda: _slots(table, "identifier", IDENTIFIERS),
        **{spec.name: partial(_declared, table, spec) for spec in extra},
    }


def in_founder_order(table: pa.Table) -> tuple[npt.NDArray[np.int64], pa.Table]:
    """A table's rows in the order of its column `founder`: their positions, and the table."""
    founders = table["founder"].combine_chunks()
    ascending = pc.all(pc.less_equal(founders[:-1], founders[1:])).as_py() is not False
    if ascending:
        return np.arange(len(table)), table.combine_chunks()
    row = founder_order(founders)
    return row, table.take(pa.array(row)).combine_chunks()


def _column(table: pa.Table, name: str) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(len(table), pa.list_(pa.string()) if name in _LISTS else pa.string())
    chunked = table[name]
    return chunked.chunk(0) if chunked.num_chunks else pa.array([], chunked.type)


_LISTS = frozenset(
    (
        "given", "family", "name_text", "postcode", "address", "uprn", "phone", "email",
        "identifier",
    )
)  # fmt: skip


def _plain(table: pa.Table, name: str, step: Callable[[pa.Array], pa.Array]) -> Column:
    """A column of one value per record, standardised."""
    codes, values = encode(_column(table, name))
    codes, values = _recode(step(values), codes)
    return Column(codes[None, :], Values(values))


def _dates(array: pa.Array) -> Column:
    """Partial ISO dates (or numbers that are so already) as yyyymmdd with zeros for unknown parts;
    1 January 1900 is none."""
    codes, texts = encode(array)
    if pa.types.is_integer(texts.type):
        return Column(codes[None, :], Values(pc.cast(texts, pa.int32())))
    text = pc.replace_substring(texts, pattern="-", replacement="")
    text = pc.if_else(pc.match_substring_regex(text, r"^\d{4}(?:\d{2}){0,2}$"), text, None)
    numbers = pc.cast(pc.utf8_rpad(text, width=8, padding="0"), pa.int32())
    placeholder = pc.is_in(numbers, value_set=pa.array(NO_DATES, pa.int32()))
    codes, values = _recode(pc.if_else(placeholder, None, numbers), codes)
    return Column(codes[None, :], Values(values))


def _declared(table: pa.Table, spec: ColumnSpec) -> Column:
    if spec.kind not in KINDS_OF_COLUMN:
        raise InvalidValue(f"no column kind '{spec.kind}'; there are {', '.join(KINDS_OF_COLUMN)}")
    slots, steps = KINDS_OF_COLUMN[spec.kind]
    if spec.kind == "date":
        return _dates(_column(table, spec.name))
    return _slots(table, spec.name, slots, *steps)


def _recode(array: pa.Array, codes: Codes) -> tuple[Codes, pa.Array]:
    """Codes of `array[codes]`, where `array` holds one value per old code and equal ones merge."""
    new, values = encode(array)
    # As many values as before: each is its old self.
    return (codes if len(new) == len(values) else by_code(new, codes)), values


def _slot(lists: pa.Array, index: int) -> pa.Array:
    """The value at `index` of each list, null where the list is shorter."""
    offsets = lists.offsets.to_numpy()
    starts, lengths = offsets[:-1], np.diff(offsets)
    has = lengths > index
    places = pa.array(np.where(has, starts + index, 0), mask=~has)
    return lists.values.take(places)


def _slots(
    table: pa.Table, name: str, count: int, *steps: Callable[[pa.Array], pa.Array]
) -> Column:
    """The first `count` values of a list column, standardised; each once, the first in front."""
    arrays = _values_by_slot(table, name, count)
    if not arrays:
        return Column(np.full((1, len(table)), -1, np.int32), Values(pa.array([], pa.string())))
    codes, values = encode(pa.concat_arrays(arrays) if len(arrays) > 1 else arrays[0])
    for step in steps:
        codes, values = _recode(in_pieces(step, values), codes)
    return Column(compacted(codes.reshape(len(arrays), -1)), Values(values))


def _values_by_slot(table: pa.Table, name: str, count: int) -> list[pa.Array]:
    """The first `count` values of each record, one array per slot; none where no record has any."""
    array = _column(table, name)
    if not len(array) or array.null_count == len(array):
        return []
    if not pa.types.is_list(array.type):
        return [array]
    count = min(count, int(pc.max(pc.list_value_length(array)).as_py() or 0))
    return [_slot(array, i) for i in range(count)]


def compacted(matrix: Codes) -> Codes:
    """(slots, n) codes with repeats made missing and what is left moved to the front."""
    several = np.flatnonzero((matrix[1:] >= 0).any(axis=0))
    if not len(several):
        return matrix
    rows = matrix[:, several]
    for later in range(1, len(rows)):
        for earlier in range(later):
            rows[later][rows[later] == rows[earlier]] = -1
    for _ in range(len(rows) - 1):
        for slot in range(len(rows) - 1):
            gap = (rows[slot] < 0) & (rows[slot + 1] >= 0)
            rows[slot][gap] = rows[slot + 1][gap]
            rows[slot + 1][gap] = -1
    matrix = matrix.copy()
    matrix[:, several] = rows
    return matrix


def name_columns(table: pa.Table) -> dict[str, Column]:
    """`given` (current, other), `middle`, `family` (current, previous, parts of hyphenated ones),
    over one dictionary, from the parallel lists of given and family names."""
    given = _name_slots(table, "given", 2)
    sent = [encode(array) for array in _values_by_slot(table, "family", 3)]
    family = [*map(_words, sent), *_name_slots(table, "family_previous", 1)]
    parts: dict[str, tuple[Codes, pa.Array]] = {}
    for i, (codes, words) in enumerate(given):
        parts[f"given{i}"] = codes, std.word(words, 0, std.GIVEN_PLACEHOLDERS)
    for codes, words in given[:1]:
        parts["middle"] = codes, std.word(words, 1, std.GIVEN_PLACEHOLDERS)
    for i, (codes, words) in enumerate(family):
        parts[f"family{i}"] = codes, std.joined(words, std.FAMILY_PLACEHOLDERS)
    for codes, words in family[:1]:
        several = pc.match_substring(words, pattern=" ")
        first = pc.if_else(several, std.word(words, 0, std.FAMILY_PLACEHOLDERS), None)
        parts["last"] = codes, std.no_particle(std.last_word(words))
        parts["first"] = codes, std.no_particle(first)
    for codes, values in sent[:1]:
        if len(values):
            former = std.name_words(std.former_name(values))
            parts["former"] = codes, std.joined(former, std.FAMILY_PLACEHOLDERS)
    for undivided in _values_by_slot(table, "name_text", 1):
        parts |= _undivided(given, family, undivided)
    if not parts:
        return {}
    out, values = _one_dictionary(parts)
    test_patient = _is_test(family[0]) if family else np.zeros(len(table), bool)
    columns = {}
    for name, slots in _NAME_SLOTS.items():
        stacked = [out[slot] for slot in slots if slot in out]
        if stacked:
            codes = compacted(np.stack(stacked))
            codes[:, test_patient] = -1
            used = int(np.flatnonzero((codes >= 0).any(axis=1)).max(initial=0)) + 1
            columns[name] = Column(codes[:used], values)
    return columns


_NAME_SLOTS = {
    "given": ("given0", "text_given", "given1"),
    "middle": ("middle", "text_middle"),
    "family": (
        "family0", "text_family", "family1", "family2", "family3", "former", "last", "first",
    ),
}  # fmt: skip


def _name_slots(table: pa.Table, name: str, count: int) -> list[tuple[Codes, pa.Array]]:
    """The first names of a column as words: codes and distinct values, slot by slot."""
    return [_words(encode(array)) for array in _values_by_slot(table, name, count)]


def _one_dictionary(
    parts: dict[str, tuple[Codes, pa.Array]],
) -> tuple[dict[str, Codes], Values]:
    """Codes of every part over the values of all of them."""
    shared, values = encode(pa.concat_arrays([v for _, v in parts.values()]))
    out: dict[str, Codes] = {}
    start = 0
    for key, (codes, part) in parts.items():
        out[key] = by_code(shared[start : start + len(part)], codes)
        start += len(part)
    return out, Values(values)


def _undivided(
    given: list[tuple[Codes, pa.Array]], family: list[tuple[Codes, pa.Array]], sent: pa.Array
) -> dict[str, tuple[Codes, pa.Array]]:
    """Parts of names that a source sends as one text only, in either order (`SMITH, John`)."""
    codes, values = encode(sent)
    if not len(values):
        return {}
    divided = np.zeros(len(codes), bool)
    for part_codes, part_words in (*given[:1], *family[:1]):
        present = part_words.is_valid().to_numpy(zero_copy_only=False)
        divided |= (part_codes >= 0) & present[np.maximum(part_codes, 0)]
    codes = np.where(divided, -1, codes).astype(np.int32)
    first, middle, last = std.full_name(values)
    return {
        "text_given": (codes, std.word(first, 0, std.GIVEN_PLACEHOLDERS)),
        "text_middle": (codes, std.word(middle, 0, std.GIVEN_PLACEHOLDERS)),
        "text_family": (codes, std.joined(last, std.FAMILY_PLACEHOLDERS)),
    }


def _is_test(slot: tuple[Codes, pa.Array]) -> npt.NDArray[np.bool_]:
    codes, words = slot
    flags = pc.fill_null(pc.match_substring_regex(words, r"^(?:ZZ|XX|TEST\b)"), False)
    return np.asarray(flags.to_numpy(zero_copy_only=False)[np.maximum(codes, 0)] & (codes >= 0))


def _words(sent: tuple[Codes, pa.Array]) -> tuple[Codes, pa.Array]:
    codes, values = sent
    return codes, std.name_words(values if len(values) else pa.array([None], pa.string()))


def _nhs_numbers(accept_test: bool, array: pa.Array) -> pa.Array:
    """NHS numbers; null for none, placeholders and (unless accepted) the reserved test range."""
    sound = pc.fill_null(pc.match_substring_regex(array, r"^\d{10}$"), False)
    repeated = pc.match_substring_regex(array, _REPEATED)
    sequential = pc.is_in(array, value_set=pa.array(_SEQUENTIAL, pa.string()))
    keep = pc.and_(sound, pc.invert(pc.or_(repeated, sequential)))
    if not accept_test:
        keep = pc.and_(keep, pc.invert(pc.starts_with(array, "999")))
    return pc.if_else(pc.fill_null(keep, False), array, pa.scalar(None, pa.string()))


_REPEATED = f"^(?:{'|'.join(str(digit) * 10 for digit in range(10))})$"
_SEQUENTIAL = ("0123456789", "1234567890", "9876543210", "1234567881", "0987654321")


def _practices(array: pa.Array) -> pa.Array:
    """Codes of practices; null for those that stand for "none" or "not known"."""
    none = std.no_evidence(array, "practice")
    return pc.if_else(none, pa.scalar(None, pa.string()), pc.utf8_trim_whitespace(array))


def _sexes(array: pa.Array) -> pa.Array:
    known = pc.is_in(array, value_set=pa.array(["male", "female"]))
    return pc.if_else(known, array, pa.scalar(None, pa.string()))


def bearers(codes: Codes, values: int) -> npt.NDArray[np.int64]:
    """(values + 1,) how often each value is borne; at the end, where a missing one looks, 0."""
    return np.append(np.bincount(codes.reshape(-1) + 1, minlength=values + 1)[1:], 0)


def is_crowd(borne: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    """Whether a value is a crowd's, by how often it is borne."""
    return np.asarray(borne > CROWD)


def without_crowds(column: Column) -> Column:
    """The column with values borne by more than `CROWD` of the rows made missing."""
    codes = column.codes
    crowds = is_crowd(bearers(codes, len(column.values)))
    if not crowds.any():
        return column
    crowd = crowds.take(codes)
    return Column(compacted(np.where(crowd, -1, codes)), column.values)
