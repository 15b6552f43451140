"""From the match columns of records to features: integer codes and their distinct values.

Rules:
- Columnar throughout: one array per feature, one row per record; -1 (or 0 for dates) is "missing".
- All parts of names share one dictionary, so that a transposed name is an integer comparison.
- Rows are put in founder order (a keyed hash of source and local id): nothing downstream depends
  on the order in which records arrived.
- A telephone, e-mail address or identifier borne by very many records (a care home, a hostel, a
  placeholder) carries no evidence.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from linkage import nicknames
from linkage import standardise as std

Codes = npt.NDArray[np.int32]
IDENTIFIERS = 6
"""How many further identifiers of a record are compared."""
CROWD = 24
"""A contact point borne by more records than this is a crowd's, not a person's."""


@dataclass(frozen=True)
class Features:
    """Standardised records as columns; n rows, in founder order.

    Attributes:
        row: (n,) position of each record in the table it came from.
        source: (n,) code of the source; `apart` says whether that source keeps people apart.
        nhs: (n,) int64 NHS number, -1 for none; `verified` where it was traced.
        given, middle: (n,) name codes of the first two forenames.
        given_other: (n, 1) first forename of another name (known as, previous).
        family: (n,) name code; `family_other`: (n, 3) previous family names and hyphen parts.
        birth: (n,) int32 yyyymmdd; month and day 0 where unknown; 0 for none.
        sex: (n,) 1 male, 2 female, 0 not known.
        postcode: (n, 2), `address`: (n, 2), `phone`: (n, 2), `email`: (n, 1), `identifier`: (n, 6).
        practice: (n,).
        death: (n,) int32 yyyymmdd, 0 for none.
        names, addresses: the distinct values behind the codes.
        name_length, name_first, name_nickname: per distinct name its length, its first letter and
            its number in the nickname table.
        sector, district: per distinct postcode, a code of its sector and of its district.
        identifier_system: per distinct identifier, a code of the system that gave it.
    """

    row: npt.NDArray[np.int64]
    source: Codes
    apart: npt.NDArray[np.bool_]
    nhs: npt.NDArray[np.int64]
    verified: npt.NDArray[np.bool_]
    given: Codes
    middle: Codes
    given_other: Codes
    family: Codes
    family_other: Codes
    birth: Codes
    sex: npt.NDArray[np.int8]
    postcode: Codes
    address: Codes
    phone: Codes
    email: Codes
    identifier: Codes
    practice: Codes
    death: Codes
    names: tuple[str, ...]
    addresses: tuple[str, ...]
    name_length: Codes
    name_first: Codes
    name_nickname: npt.NDArray[np.int64]
    sector: Codes
    district: Codes
    identifier_system: Codes

    def __len__(self) -> int:
        return len(self.row)


def build_features(
    table: pa.Table, *, keeps_apart: Collection[str] = (), accept_test_numbers: bool = False
) -> Features:
    """Features of every record of a table.

    Args:
        table: columns `source` string, `founder` binary, and `schemas.columns.MATCH_SCHEMA`.
        keeps_apart: sources that hold their own records to be different people.
        accept_test_numbers: NHS numbers of the reserved 999 range count as evidence.
    """
    row = pc.sort_indices(table["founder"]).to_numpy().astype(np.int64)
    table = table.take(pa.array(row))
    table = table.combine_chunks()
    source, sources = _encode(_column(table, "source"))
    apart = np.array([s in keeps_apart for s in sources.to_pylist()] or [False])[source]
    nhs = _nhs_numbers(_column(table, "nhs_number"), accept_test_numbers)
    verified = pc.fill_null(pc.equal(_column(table, "nhs_status"), "01"), False)
    name_codes, names = _names(table)
    addresses, address_values = _slots(table, "address", 2, std.address, std.street)
    postcodes, postcode_values = _slots(table, "postcode", 2, std.postcode)
    phones, _ = _slots(table, "phone", 2, std.telephone)
    emails, _ = _slots(table, "email", 1, std.email)
    identifiers, numbers = _slots(table, "identifier", IDENTIFIERS)
    practice, _ = _encode(_column(table, "gp_practice"))
    return Features(
        row=row,
        source=source,
        apart=apart if len(source) else np.zeros(0, bool),
        nhs=nhs,
        verified=verified.to_numpy(zero_copy_only=False) & (nhs >= 0),
        **name_codes,
        birth=_birth_dates(_column(table, "birth_date")),
        sex=_sexes(_column(table, "gender")),
        postcode=postcodes,
        address=addresses,
        phone=_without_crowds(phones),
        email=_without_crowds(emails),
        identifier=_without_crowds(identifiers),
        identifier_system=_first_of_kind([number.split("|")[0] for number in numbers]),
        practice=practice,
        death=_birth_dates(_column(table, "death")),
        names=tuple(names),
        addresses=tuple(address_values),
        name_length=np.array([len(n) for n in names] or [0], np.int32),
        name_first=np.array([ord(n[0]) for n in names] or [0], np.int32),
        name_nickname=nicknames.numbers_of(names or [""]),
        sector=_first_of_kind([p[:-2] for p in postcode_values]),
        district=_first_of_kind([p.split(" ")[0] for p in postcode_values]),
    )


def _first_of_kind(texts: list[str]) -> Codes:
    """For each text a code that equal texts share."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(t, n) for n, t in enumerate(texts)] or [0], np.int32)


def _column(table: pa.Table, name: str) -> pa.Array:
    chunked = table[name]
    return chunked.chunk(0) if chunked.num_chunks else pa.array([], chunked.type)


def _encode(array: pa.Array) -> tuple[Codes, pa.Array]:
    """Integer codes (-1 for null) and the distinct values."""
    encoded = pc.dictionary_encode(array)
    codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
    return codes.astype(np.int32), encoded.dictionary


def _recode(array: pa.Array, codes: Codes) -> tuple[Codes, pa.Array]:
    """Codes of `array[codes]`, where `array` holds one value per old code and equal ones merge."""
    new, values = _encode(array)
    if not len(new):
        return np.full_like(codes, -1), values
    return np.where(codes >= 0, new[np.maximum(codes, 0)], -1).astype(np.int32), values


def _slot(lists: pa.Array, index: int) -> pa.Array:
    """The value at `index` of each list, null where the list is shorter."""
    offsets = lists.offsets.to_numpy()
    starts, lengths = offsets[:-1], np.diff(offsets)
    has = lengths > index
    places = pa.array(np.where(has, starts + index, 0), mask=~has)
    return lists.values.take(places)


def _slots(
    table: pa.Table, name: str, count: int, *steps: Callable[[pa.Array], pa.Array]
) -> tuple[Codes, list[str]]:
    """Codes of the first `count` values of a list column, standardised; repeats become missing."""
    lists = _column(table, name)
    if not len(lists):
        return np.zeros((0, count), np.int32), []
    flat = pa.concat_arrays([_slot(lists, i) for i in range(count)])
    codes, values = _encode(flat)
    for step in steps:
        codes, values = _recode(step(values), codes)
    matrix = codes.reshape(count, -1).T.copy()
    for later in range(1, count):
        for earlier in range(later):
            matrix[matrix[:, later] == matrix[:, earlier], later] = -1
    return matrix, values.to_pylist()


def _names(table: pa.Table) -> tuple[dict[str, Codes], list[str]]:
    """Name codes over one dictionary, from the parallel lists of given and family names."""
    n = len(table)
    given, family, text = (_column(table, name) for name in ("given", "family", "name_text"))
    if not n:
        empty = np.zeros(0, np.int32)
        columns = dict.fromkeys(("given", "middle", "family"), empty)
        return columns | {
            "given_other": empty.reshape(0, 1),
            "family_other": empty.reshape(0, 3),
        }, []
    given_slots = [_words(_slot(given, i)) for i in range(3)]
    family_slots = [_words(_slot(family, i)) for i in range(3)]
    undivided = _undivided(given_slots[0], family_slots[0], _slot(text, 0))
    parts: dict[str, tuple[Codes, pa.Array]] = {
        "text_first": (undivided[0], std.word(undivided[1], 0, std.GIVEN_PLACEHOLDERS)),
        "text_last": (undivided[0], std.no_particle(std.last_word(undivided[1]))),
        "text_middle": (undivided[0], std.middle_word(undivided[1])),
    }
    for i, (codes, words) in enumerate(given_slots):
        parts[f"given{i}"] = codes, std.word(words, 0, std.GIVEN_PLACEHOLDERS)
    parts["middle"] = given_slots[0][0], std.word(given_slots[0][1], 1, std.GIVEN_PLACEHOLDERS)
    for i, (codes, words) in enumerate(family_slots):
        parts[f"family{i}"] = codes, std.joined(words, std.FAMILY_PLACEHOLDERS)
    codes, words = family_slots[0]
    several = pc.match_substring(words, pattern=" ")
    first = pc.if_else(several, std.word(words, 0, std.FAMILY_PLACEHOLDERS), None)
    parts["first"] = codes, std.no_particle(first)
    parts["last"] = codes, std.no_particle(std.last_word(words))
    shared, values = _encode(pa.concat_arrays([v for _, v in parts.values()]))
    out: dict[str, Codes] = {}
    start = 0
    for key, (codes, part) in parts.items():
        block = shared[start : start + len(part)]
        start += len(part)
        out[key] = np.where(codes >= 0, block[np.maximum(codes, 0)], -1).astype(np.int32)
    for key, part in (("given0", "first"), ("family0", "last"), ("middle", "middle")):
        out[key] = np.where(undivided[0] >= 0, out[f"text_{part}"], out[key]).astype(np.int32)
    test_patient = _is_test(family_slots[0])
    out = {key: np.where(test_patient, -1, part).astype(np.int32) for key, part in out.items()}
    return {
        "given": out["given0"],
        "middle": out["middle"],
        "given_other": _others(out["given0"], [out["given1"], out["given2"]])[:, :1],
        "family": out["family0"],
        "family_other": _others(
            out["family0"], [out["family1"], out["family2"], out["last"], out["first"]]
        )[:, :3],
    }, values.to_pylist()


def _undivided(
    given: tuple[Codes, pa.Array], family: tuple[Codes, pa.Array], text: pa.Array
) -> tuple[Codes, pa.Array]:
    """Names that a source sends as one text only, as words: taken as `Given ... Family`.

    The other order is met by the levels and the blocking rule for transposed names.
    """
    codes, words = _words(text)
    divided = np.zeros(len(codes), bool)
    for part_codes, part_words in (given, family):
        present = part_words.is_valid().to_numpy(zero_copy_only=False)
        divided |= (part_codes >= 0) & present[np.maximum(part_codes, 0)]
    return np.where(divided, -1, codes).astype(np.int32), words


def _is_test(slot: tuple[Codes, pa.Array]) -> npt.NDArray[np.bool_]:
    codes, words = slot
    flags = pc.fill_null(pc.match_substring_regex(words, r"^(?:ZZ|XX|TEST\b)"), False)
    return np.asarray(flags.to_numpy(zero_copy_only=False)[np.maximum(codes, 0)] & (codes >= 0))


def _words(array: pa.Array) -> tuple[Codes, pa.Array]:
    codes, values = _encode(array)
    return codes, std.name_words(values if len(values) else pa.array([None], pa.string()))


def _others(main: Codes, others: list[Codes]) -> Codes:
    """Other values than the main one, each once, moved to the front; (n, len(others))."""
    matrix = np.stack(others, axis=1)
    matrix[matrix == main[:, None]] = -1
    for later in range(1, matrix.shape[1]):
        for earlier in range(later):
            matrix[matrix[:, later] == matrix[:, earlier], later] = -1
    order = np.argsort(matrix < 0, axis=1, kind="stable")
    return np.take_along_axis(matrix, order, axis=1)


def _nhs_numbers(array: pa.Array, accept_test: bool) -> npt.NDArray[np.int64]:
    """NHS numbers as integers; -1 for none, placeholders and (unless accepted) the test range."""
    sound = pc.fill_null(pc.match_substring_regex(array, r"^\d{10}$"), False)
    numbers = pc.cast(pc.if_else(sound, array, pa.scalar(None, pa.string())), pa.int64())
    values = pc.fill_null(numbers, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    repeated = (values % 1_111_111_111 == 0) & (values >= 0)
    sequential = np.isin(values, (123456789, 1234567890, 9876543210, 1234567881, 987654321))
    test = (values // 10_000_000 == 999) & (not accept_test)
    return np.where(repeated | sequential | test, -1, values)


def _birth_dates(array: pa.Array) -> Codes:
    """Partial dates as yyyymmdd with zeros for unknown parts; 0 for none and for 1 January 1900."""
    text = pc.replace_substring(array, pattern="-", replacement="")
    text = pc.if_else(pc.match_substring_regex(text, r"^\d{4}(?:\d{2}){0,2}$"), text, None)
    padded = pc.utf8_rpad(text, width=8, padding="0")
    values = pc.fill_null(pc.cast(padded, pa.int32()), 0).to_numpy(zero_copy_only=False)
    return np.where(np.isin(values, (19000101, 18000101)), 0, values).astype(np.int32)


def _sexes(array: pa.Array) -> npt.NDArray[np.int8]:
    male = pc.fill_null(pc.equal(array, "male"), False).to_numpy(zero_copy_only=False)
    female = pc.fill_null(pc.equal(array, "female"), False).to_numpy(zero_copy_only=False)
    return np.asarray(male * 1 + female * 2, np.int8)


def _without_crowds(codes: Codes) -> Codes:
    """The codes with those borne by more than `CROWD` records made missing."""
    known = codes[codes >= 0]
    if not len(known):
        return codes
    counts = np.bincount(known)
    crowd = counts > CROWD
    return np.where((codes >= 0) & crowd[np.maximum(codes, 0)], -1, codes).astype(np.int32)
