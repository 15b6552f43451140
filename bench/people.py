"""Synthetic UK client records at any size, for measuring linkage: `python -m bench.people`.

    python -m bench.people --records 1000000 --seed 1 --out people.parquet

writes `people.parquet` (the records) and `people.truth.parquet` (`record_id, person_id`).

Rules:
- People are made in batches of a fixed size, each from its own seed: memory follows the columns
  written, and the population of a small file is the beginning of that of a larger one.
- Households share address, landline and mostly family name; they hold couples, children, twins and
  sons who bear their father's name. A few houses are homes of thirty unrelated people.
- Names come from the packaged tables of `demo`: the pool does not grow with the population, so
  namesakes grow with its square, as in life.
- A tenth of the people have moved, some have changed name or telephone; a record holds the old
  value or the new. `linkage` sees values only: what was done to a record is not written down.
- Errors are drawn per record and field, with a factor per source (`CARE`).
- Streets and numbers are nobody's: mobiles begin 072, landlines have a 0 after the area code, and
  NHS numbers lie in ranges that are not issued.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from bench.slips import change_date, pick, short_forms, sound_slip, typo
from demo.names import CUSTOM, CUSTOMS, ETHNIC_SHARES, draw_forenames, draw_surnames

Ints = npt.NDArray[np.int64]
Texts = npt.NDArray[np.str_]
Flags = npt.NDArray[np.bool_]

BATCH = 50_000
"""People in a batch."""
HOME_SHARE = 0.56
"""Share of the non-British customs of `demo.names` that is kept here. Their pools there are short;
with this share, two people drawn at random bear one forename and family name in about 9 of a
million cases."""
RECORDS_PER_PERSON = (0.31, 0.28, 0.19, 0.11, 0.06, 0.03, 0.01, 0.01)
"""Share of people with 1, 2, ... records; 2.5 on average."""
CARE = (0.4, 0.5, 0.6, 0.6, 0.8, 0.8, 1.0, 1.0, 1.0, 1.2, 1.4, 1.6, 2.0, 2.5)
"""How often each of the 14 sources errs, against the rates below."""
SHARE_OF_SOURCE = (12, 12, 10, 9, 8, 7, 6, 6, 5, 5, 4, 3, 3, 2)
"""How likely a person is in each source."""
HOUSEHOLD_SIZES = (0.28, 0.34, 0.17, 0.14, 0.05, 0.02)
SHARED_HOMES = 0.0006
"""Share of households that are homes of `SHARED_SIZE` unrelated people."""
SHARED_SIZE = 30
LANDLINES = 0.1
"""Share of telephones that are the household's; the others are the person's own."""
LAST_DAY = np.datetime64("2026-03-01")
"""Nobody is born after this day."""
DWELLINGS_PER_POSTCODE = 15

ERRORS = {
    "given_slip": 0.022, "given_short": 0.022, "given_initial": 0.006, "given_missing": 0.008,
    "family_slip": 0.022, "family_missing": 0.004, "names_swapped": 0.004,
    "birth_wrong": 0.013, "birth_missing": 0.025, "gender_wrong": 0.004, "gender_missing": 0.03,
    "postcode_slip": 0.015, "postcode_missing": 0.035, "address_slip": 0.03,
    "address_short": 0.12, "address_missing": 0.05, "phone_slip": 0.01, "phone_missing": 0.30,
    "nhs_missing": 0.45, "nhs_slip": 0.002,
}  # fmt: skip
"""Error → share of records, before the factor of the source. Assumed; missing numbers, addresses
and telephones do not depend on the source."""


def _words(text: str) -> Texts:
    return np.array(text.split())


_STREETS = _words(
    "Abbey Albion Alma Ashley Avon Badminton Bath Beaufort Belmont Berkeley Birch Bishop Bridge"
    " Brook Camden Canal Castle Cedar Chapel Chestnut Church Clarence Clifton College Cotham"
    " Cromwell Devon Dover Duke Elm Fairfield Ferry Forest Garden George Grange Green Grosvenor"
    " Hampton Hanover Harbour Hawthorn High Highfield Hill Holly Jubilee King Lancaster Laurel Lime"
    " London Manor Maple Market Meadow Mill Milton Nelson New North Oak Oxford Palmer Park"
    " Portland Priory Queen Raglan Railway Redland Regent Richmond River Rose Russell School"
    " Somerset South Spring Stafford Station Temple Tower Trafalgar Tudor Upper Vale Victoria"
    " Walton Warwick Waterloo Wellington Wells West Wharf Willow Windsor Wood York"
)
_KINDS = _words(
    "Road Street Avenue Close Lane Drive Terrace Gardens Crescent Way Place Hill Grove Court"
)
_SHORT_KINDS = (("Road", "Rd"), ("Street", "St"), ("Avenue", "Ave"), ("Close", "Cl"),
                ("Drive", "Dr"), ("Terrace", "Terr"), ("Gardens", "Gdns"),
                ("Flat", "Apt"))  # fmt: skip
_INWARD = np.array(list("ABDEFGHJLNPQRSTUWXYZ"))
_DIAL_CODES = _words("0113 0114 0115 0116 0117 0118 0121 0131 0141 0151 0161 0191")


@dataclass(frozen=True, eq=False)
class People:
    """One batch of people, as columns of one length. `former` names are empty and `old` homes -1
    where there is none; `home` is the number of a dwelling, whose address follows from it."""

    given: Texts
    family: Texts
    former: Texts
    female: Flags
    birth: npt.NDArray[np.datetime64]
    home: Ints
    old_home: Ints
    number: Ints
    new_mobile: Flags

    def __len__(self) -> int:
        return len(self.home)


def main() -> None:
    """Writes the two files; see the module's description."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, required=True)
    options = parser.parse_args()
    write(options.records, options.seed, options.out)


def write(records: int, seed: int, out: Path) -> None:
    """Writes `records` records to `out` in random order, and their truth beside it."""
    tables, made, people, homes = [], 0, 0, 0
    while made < records:
        rng = np.random.default_rng([seed, len(tables)])
        batch = make_people(rng, people, homes)
        table = make_records(rng, batch).slice(0, records - made)
        tables.append(table)
        made, people = made + table.num_rows, people + len(batch)
        homes = int(batch.home.max()) + 1
    order = np.random.default_rng([seed, len(tables), 1]).permutation(records)
    whole = pa.concat_tables(tables)
    del tables
    ids = pa.array(np.arange(records, dtype=np.int64))
    whole = whole.combine_chunks().take(pa.array(order))
    truth = pa.table({"record_id": ids, "person_id": whole["person_id"]})
    pq.write_table(truth, out.with_suffix(".truth.parquet"))
    whole = whole.drop_columns("person_id").add_column(0, "record_id", ids)
    pq.write_table(whole, out)


def make_people(rng: np.random.Generator, first: int, first_home: int) -> People:
    """A batch of whole households; numbers of people and homes count on from those given."""
    sizes = _household_sizes(rng)
    home = np.repeat(np.arange(len(sizes)), sizes)
    place = np.arange(len(home)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    shared = (sizes == SHARED_SIZE)[home]
    head = (np.cumsum(sizes) - sizes)[home]
    custom = _customs(rng, len(home))
    custom = np.where(shared, custom, custom[head]).astype(np.int32)
    female = rng.random(len(home)) < 0.51
    couple = ~shared & (place == 1) & (rng.random(len(home)) < 0.85)
    opposite = couple & (rng.random(len(home)) < 0.97)
    female = np.where(opposite, ~female[head], female)
    birth = _births(rng, place, head, shared)
    years = birth.astype("datetime64[Y]").astype(int).astype(np.int32) + 1970
    given = draw_forenames(rng, custom, female, years).astype(str)
    again = _repeated(home, given)
    renamed = draw_forenames(rng, custom[again], female[again], years[again]).astype(str)
    given = given.astype(np.promote_types(given.dtype, renamed.dtype))
    given[again] = renamed
    own = draw_surnames(rng, custom, female).astype(str)
    joins = couple & (rng.random(len(home)) < 0.7)
    child = ~shared & (place > 1)
    family = np.where(joins | child, own[head], own)
    changed = (joins | (female & (rng.random(len(home)) < 0.05))) & (rng.random(len(home)) < 0.5)
    junior = child & ~female & ~female[head] & (rng.random(len(home)) < 0.02)
    given = np.where(junior, given[head], given)
    moved = rng.random(len(home)) < 0.12
    elsewhere = first_home + rng.integers(0, len(sizes), len(home))
    return People(
        given, family, np.where(changed & (own != family), own, ""), female, birth,
        first_home + home, np.where(moved, elsewhere, -1),
        first + np.arange(len(home)), rng.random(len(home)) < 0.1,
    )  # fmt: skip


def _repeated(home: Ints, given: Texts) -> Ints:
    """People whose forename somebody before them in the household bears: parents avoid that."""
    names = np.unique(given, return_inverse=True)[1]
    order = np.lexsort((names, home))
    same = (home[order[1:]] == home[order[:-1]]) & (names[order[1:]] == names[order[:-1]])
    return order[1:][same]


def _household_sizes(rng: np.random.Generator) -> Ints:
    """Sizes of households that together hold about `BATCH` people."""
    drawn = 1 + pick(rng, HOUSEHOLD_SIZES, BATCH)
    drawn[rng.random(BATCH) < SHARED_HOMES] = SHARED_SIZE
    return drawn[: int(np.searchsorted(np.cumsum(drawn), BATCH)) + 1]


@lru_cache(maxsize=1)
def _custom_shares() -> tuple[float, ...]:
    shares = np.zeros(len(CUSTOMS))
    for share, customs in ETHNIC_SHARES.values():
        for name, part in customs.items():
            shares[CUSTOM[name]] += share * part
    shares[CUSTOM["british"] + 1 :] *= HOME_SHARE
    return tuple((shares / shares.sum()).tolist())


def _customs(rng: np.random.Generator, count: int) -> npt.NDArray[np.int32]:
    return pick(rng, _custom_shares(), count).astype(np.int32)


def _births(
    rng: np.random.Generator, place: Ints, head: Ints, shared: Flags
) -> npt.NDArray[np.datetime64]:
    """Birth dates: partners within some years, children a generation later, one younger child in
    forty the twin of the one before."""
    n = len(place)
    days = rng.integers(18 * 365, 96 * 365, n)
    age = days[head].astype(np.float64)
    age = np.where(place == 1, age + rng.normal(0, 4 * 365, n), age)
    child = age - rng.uniform(18 * 365, 40 * 365, n)
    late = rng.random(n) * np.maximum(age - 17 * 365, 365)
    age = np.where(place > 1, np.where(child < 0, late, child), age)
    days = np.where((place == 0) | shared, days, age).astype(np.int64)
    twin = np.flatnonzero((place > 2) & ~shared & (rng.random(n) < 0.025))
    days[twin] = days[twin - 1]
    return LAST_DAY - days.astype("timedelta64[D]")


def make_records(rng: np.random.Generator, people: People) -> pa.Table:
    """The batch's records in their order of making: a table of the columns of the file, and
    `person_id`."""
    person, source = _presence(rng, len(people))
    n = len(person)
    factor = np.array(CARE)[source]

    def hit(error: str, *, even: bool = False) -> Flags:
        return rng.random(n) < ERRORS[error] * (1.0 if even else factor)

    given, family = people.given[person], _family(rng, people, person)
    given = _where(hit("given_short"), given, lambda v: short_forms(rng, v))
    given = _slip_names(rng, hit("given_slip"), given)
    family = _slip_names(rng, hit("family_slip"), family)
    given = _where(hit("given_initial"), given, lambda v: v.astype("U1"))
    swapped = hit("names_swapped")
    given, family = np.where(swapped, family, given), np.where(swapped, given, family)
    birth = np.datetime_as_string(people.birth[person])
    birth = _where(hit("birth_wrong"), birth, lambda v: change_date(rng, v))
    female = people.female[person] ^ hit("gender_wrong")
    home = _homes(rng, people, person)
    postcode = _where(hit("postcode_slip"), postcodes(home), lambda v: typo(rng, v))
    address = _addresses(rng, home, hit("address_short", even=True), hit("address_slip"))
    phone = _where(hit("phone_slip"), _phones(rng, people, person), lambda v: typo(rng, v))
    number = _where(hit("nhs_slip"), nhs_numbers(people.number[person]), lambda v: typo(rng, v))
    columns = {
        "source": (np.char.add("source_", source.astype(str)), None),
        "given_name": (given, hit("given_missing")),
        "family_name": (family, hit("family_missing")),
        "date_of_birth": (birth, hit("birth_missing")),
        "gender": (np.where(female, "female", "male"), hit("gender_missing")),
        "postcode": (postcode, hit("postcode_missing", even=True)),
        "address": (address, hit("address_missing", even=True)),
        "phone": (phone, hit("phone_missing", even=True)),
        "nhs_number": (number, hit("nhs_missing", even=True)),
    }
    arrays = {name: _text_array(values, gone) for name, (values, gone) in columns.items()}
    return pa.table({**arrays, "person_id": people.number[person]})


def _text_array(values: Texts, gone: Flags | None) -> pa.Array:
    """An Arrow column; empty texts are missing too."""
    empty = values == "" if gone is None else gone | (values == "")
    return pa.array(values, type=pa.string(), mask=empty)


def _presence(rng: np.random.Generator, count: int) -> tuple[Ints, Ints]:
    """(person, source) of each record: distinct sources, drawn by weight (Gumbel's trick), but a
    fortieth of the records are a second one in a source the person is in."""
    records = 1 + pick(rng, RECORDS_PER_PERSON, count)
    luck = rng.gumbel(size=(count, len(CARE))) + np.log(SHARE_OF_SOURCE)
    order = np.argsort(-luck, axis=1)
    person = np.repeat(np.arange(count), records)
    nth = np.arange(len(person)) - np.repeat(np.cumsum(records) - records, records)
    nth = np.where(rng.random(len(person)) < 0.04, 0, nth)
    return person, order[person, nth]


def _where(rows: Flags, values: Texts, change) -> Texts:  # type: ignore[no-untyped-def]
    """`values` with those of `rows` changed, in a width that holds both."""
    if not rows.any():
        return values
    changed = change(values[rows])
    out = values.astype(np.promote_types(values.dtype, changed.dtype))
    out[rows] = changed
    return out


def _slip_names(rng: np.random.Generator, rows: Flags, names: Texts) -> Texts:
    """Half the slips are of the ear, half of the keyboard."""
    ear = rows & (rng.random(len(rows)) < 0.5)
    names = _where(ear, names, lambda v: sound_slip(rng, v))
    return _where(rows & ~ear, names, lambda v: typo(rng, v))


def _family(rng: np.random.Generator, people: People, person: Ints) -> Texts:
    """The family name or the former one; half of a double name now and then."""
    former = people.former[person]
    old = (former != "") & (rng.random(len(person)) < 0.25)
    family = np.where(old, former, people.family[person])
    halved = (np.strings.find(family, "-") > 0) & (rng.random(len(person)) < 0.15)
    return _where(halved, family, lambda v: np.strings.partition(v, "-")[2])


def _homes(rng: np.random.Generator, people: People, person: Ints) -> Ints:
    old = people.old_home[person]
    return np.where((old >= 0) & (rng.random(len(person)) < 0.35), old, people.home[person])


@lru_cache(maxsize=1)
def _sectors() -> Texts:
    """Every postcode sector of the packaged table, in a fixed random order."""
    text = (Path(__file__).parent.parent / "demo/data/outcodes.csv").read_text(encoding="utf-8")
    rows = [line.split(",") for line in text.splitlines()[1:]]
    sectors = np.array([f"{code} {digit}" for code, digits, _ in rows for digit in digits])
    return np.random.default_rng(0).permutation(sectors)


def _places(home: Ints) -> Ints:
    """The postcode of each dwelling, as a number; beyond what the area holds they fill up again."""
    return (home // DWELLINGS_PER_POSTCODE) % (len(_sectors()) * 400)


def postcodes(home: Ints) -> Texts:
    """The postcode of each dwelling."""
    unit, sector = np.divmod(_places(home), len(_sectors()))
    unit = (unit * 137 + sector * 61) % 400
    letters = np.char.add(_INWARD[unit // 20], _INWARD[unit % 20])
    return np.char.add(_sectors()[sector], letters)


def _addresses(rng: np.random.Generator, home: Ints, short: Flags, slip: Flags) -> Texts:
    """`12 Park Road`, or `Flat 3, 12 Park Road`."""
    place = _places(home)
    street = np.char.add(
        np.char.add(_STREETS[place * 7919 % len(_STREETS)], " "),
        _KINDS[place * 104_729 % 1_000_003 % len(_KINDS)],
    )
    nth, start = home % DWELLINGS_PER_POSTCODE, 1 + place * 31 % 97
    flats = place % 9 < 2
    door = np.where(flats, start, start + 2 * nth).astype(str)
    line = np.char.add(np.char.add(door, " "), street)
    flat = np.char.add(np.char.add("Flat ", (nth + 1).astype(str)), ", ")
    line = np.where(flats, np.char.add(flat, line), line)
    for long, abbreviated in _SHORT_KINDS:
        line = _where(short, line, lambda v, a=long, b=abbreviated: np.strings.replace(v, a, b))
    return _where(slip, line, lambda v: typo(rng, v))


def _phones(rng: np.random.Generator, people: People, person: Ints) -> Texts:
    """Own mobile (some have had two), or the landline of the household."""
    luck = rng.random(len(person))
    old = people.new_mobile[person] & (rng.random(len(person)) < 0.4)
    serial = people.number[person] + np.where(old, 50_000_000, 0)
    mobile = np.char.add("072", np.strings.zfill((serial * 61_195_391 % 10**8).astype(str), 8))
    home = people.home[person]
    local = np.strings.zfill((home // len(_DIAL_CODES) * 611_953 % 10**6).astype(str), 6)
    code = np.char.add(_DIAL_CODES[home % len(_DIAL_CODES)], "0")
    return np.where(luck < LANDLINES, np.char.add(code, local), mobile)


def nhs_numbers(number: Ints) -> Texts:
    """Ten digits that pass Modulus 11, one per person, in the ranges from 8 on (not issued).

    Requires: number < 100 million. Where a number has no check digit (remainder 10) its odd
    neighbour has. Source: NHS Data Dictionary, NHS NUMBER.
    """
    base = 800_000_000 + number * 2
    digit = _check_digits(base)
    base = np.where(digit == 10, base + 1, base)
    return np.char.add(base.astype(str), _check_digits(base).astype(str))


def _check_digits(base: Ints) -> Ints:
    powers = 10 ** np.arange(8, -1, -1)
    digits = base[:, None] // powers % 10
    return -(digits @ np.arange(10, 1, -1)) % 11


if __name__ == "__main__":
    main()
