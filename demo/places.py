"""Where people live: postcodes, streets, dwellings, and houses where many unrelated people live.

Rules:
- Postcodes have the real outward codes and sectors of the BS, BA and GL areas; their last two
  letters are drawn, about fifteen dwellings to each. Towns and streets are invented.
- UPRNs lie in a range that is not allocated (twelve digits from 990 on).
- Landlines have a 0 after the area code and mobiles begin 072: neither can be dialled.
- A care home, hall of residence, hostel or prison is one dwelling with one telephone.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import numpy as np
import numpy.typing as npt

from demo.names import Ints, Texts
from demo.partnership import AREA_SHARES

DWELLINGS_PER_POSTCODE = 15
NO_FIXED_ABODE = "ZZ99 3VZ"
ADDRESS_UNKNOWN = "ZZ99 3WZ"
"""Pseudo-postcodes of the NHS Data Dictionary."""
_FIRST_UPRN = 990_000_000_000
_DIAL_CODES = (("0117 0", 1), ("01934 0", 10), ("01452 0", 10))
"""Per area: the beginning of its numbers, and how far six drawn digits are cut."""
_INWARD_LETTERS = np.array(list("ABDEFGHJLNPQRSTUWXYZ"), dtype=object)

_TOWNS: tuple[tuple[str, ...], ...] = (
    ("Avonmere", "Quayside", "Hollowell", "Eastgate", "Marlwood", "Brunswick Hill"),
    ("Northmoor", "Saltwick", "Cheddleton Bay", "Wrensham", "Yatcombe", "Pill Cross"),
    ("Southcote", "Dunstead", "Frampley", "Thornhay", "Wickmarsh", "Alderbourne"),
)
_STREETS = (
    "Abbey", "Albion", "Alma", "Ashley", "Avon", "Badminton", "Bath", "Beaufort", "Belmont",
    "Berkeley", "Birch", "Bishop", "Bridge", "Brook", "Camden", "Canal", "Castle", "Cedar",
    "Chapel", "Chestnut", "Church", "Clarence", "Clifton", "College", "Coronation", "Cotham",
    "Cromwell", "Devon", "Dover", "Duke", "Elm", "Fairfield", "Ferry", "Field", "Forest",
    "Garden", "George", "Gloucester", "Grange", "Green", "Grosvenor", "Hampton", "Hanover",
    "Harbour", "Hawthorn", "High", "Highfield", "Hill", "Holly", "Ivy", "Jubilee", "King",
    "Lancaster", "Laurel", "Lime", "London", "Long", "Lower", "Manor", "Maple", "Market",
    "Meadow", "Mill", "Milton", "Nelson", "New", "North", "Oak", "Oxford", "Palmer", "Park",
    "Parsonage", "Portland", "Priory", "Queen", "Raglan", "Railway", "Redland", "Regent",
    "Richmond", "River", "Rose", "Russell", "School", "Somerset", "South", "Spring",
    "Stafford", "Station", "Sycamore", "Temple", "Tower", "Trafalgar", "Tudor", "Upper",
    "Vale", "Victoria", "Walton", "Warwick", "Waterloo", "Wellington", "Wells", "West",
    "Wharf", "Whitehall", "Willow", "Windsor", "Wood", "Woodland", "York",
)  # fmt: skip
_STREET_KINDS = ("Road", "Street", "Avenue", "Close", "Lane", "Drive", "Terrace", "Gardens",
                 "Crescent", "Way", "Place", "Hill", "Grove", "Court")  # fmt: skip
_HOUSE_NAMES = ("Rose Cottage", "The Old Rectory", "Orchard House", "Hillcrest", "The Bungalow",
                "Sunnyside", "Ivy Cottage", "The Laurels", "Mill House", "Fairview")  # fmt: skip


@dataclass(frozen=True)
class Communal:
    """A kind of house where many unrelated people live. `share` is per person of the population;
    ages are in years. Shares and sizes are assumed."""

    kind: str
    names: tuple[str, ...]
    share: float
    residents: int
    youngest: int
    oldest: int


COMMUNAL: tuple[Communal, ...] = (
    Communal("care_home", ("Lavender House", "The Cedars", "Primrose Lodge", "Saint Bede's",
                           "Elm Court", "Brookfield Manor"), 0.009, 28, 74, 99),
    Communal("hall", ("Wills Tower", "Riverside Hall", "Hiatt House"), 0.008, 70, 18, 22),
    Communal("hostel", ("The Beacon", "Compass House", "Logos Rooms"), 0.003, 14, 18, 60),
    Communal("prison", ("HMP Marlwood Vale",), 0.002, 60, 21, 70),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Dwellings:
    """Every dwelling, as columns. `kind` is `home` or a kind of `COMMUNAL`; `area` an index into
    `AREAS`; `line2` empty where there is none."""

    line1: Texts
    line2: Texts
    town: Texts
    postcode: Texts
    uprn: Texts
    landline: Texts
    area: npt.NDArray[np.int8]
    kind: Texts


def _outcodes() -> list[tuple[str, str, int]]:
    text = resources.files("demo").joinpath("data", "outcodes.csv").read_text(encoding="utf-8")
    rows = (line.split(",") for line in text.splitlines()[1:])
    return [(code, sectors, int(area)) for code, sectors, area in rows]


def _postcodes(rng: np.random.Generator, count: int) -> tuple[Texts, Ints]:
    """`count` distinct postcodes and their areas. Requires: count up to about 100,000."""
    sectors = [(f"{code} {digit}", area) for code, digits, area in _outcodes() for digit in digits]
    names = np.array([name for name, _ in sectors], dtype=object)
    areas = np.array([area for _, area in sectors], dtype=np.int32)
    weights = np.array(AREA_SHARES)[areas] / np.bincount(areas, minlength=3)[areas]
    drawn = rng.choice(len(sectors) * 400, size=count, replace=False,
                       p=np.repeat(weights / weights.sum() / 400, 400), shuffle=True)  # fmt: skip
    sector, unit = np.divmod(drawn, 400)
    letters = _INWARD_LETTERS[unit // 20] + _INWARD_LETTERS[unit % 20]
    return names[sector] + letters, areas[sector]


def _numbered(prefix: str, numbers: npt.NDArray[np.int64], width: int) -> Texts:
    return np.array([f"{prefix}{n:0{width}d}" for n in numbers.tolist()], dtype=object)


def landlines(rng: np.random.Generator, areas: npt.NDArray[np.int8]) -> Texts:
    """One telephone number for each area given; two seldom agree."""
    digits = rng.integers(100_000, 1_000_000, size=len(areas)).tolist()
    codes = [_DIAL_CODES[area] for area in areas.tolist()]
    numbers = [f"{code}{d // cut}" for (code, cut), d in zip(codes, digits, strict=True)]
    return np.array(numbers, dtype=object)


def mobiles(rng: np.random.Generator, count: int) -> Texts:
    """Distinct mobile numbers, as `07200 123456`."""
    drawn = rng.permutation(count) * 7 + rng.integers(0, 7, size=count)
    text = _numbered("072", drawn, 8)
    return np.array([f"{t[:5]} {t[5:]}" for t in text], dtype=object)


def build_dwellings(rng: np.random.Generator, homes: int, communal: list[Communal]) -> Dwellings:
    """`homes` private dwellings, then one for each entry of `communal`."""
    total = homes + len(communal)
    codes, code_areas = _postcodes(rng, max(24, -(-total // DWELLINGS_PER_POSTCODE)))
    place = np.minimum(np.arange(total) // DWELLINGS_PER_POSTCODE, len(codes) - 1)
    place[homes:] = rng.integers(0, len(codes), size=len(communal))
    street = (
        np.array(_STREETS, dtype=object)[rng.integers(0, len(_STREETS), size=len(codes))]
        + " "
        + np.array(_STREET_KINDS, dtype=object)[
            rng.integers(0, len(_STREET_KINDS), size=len(codes))
        ]
    )
    town = np.array([_TOWNS[a][n] for a, n in
                     zip(code_areas, rng.integers(0, 6, size=len(codes)), strict=True)],
                    dtype=object)  # fmt: skip
    line1, line2 = _lines_of(rng, street, place)
    kind = np.full(total, "home", dtype=object)
    for n, house in enumerate(communal, start=homes):
        kind[n], line2[n] = house.kind, street[place[n]]
        line1[n] = house.names[int(rng.integers(0, len(house.names)))]
    areas = code_areas[place].astype(np.int8)
    return Dwellings(
        line1, line2, town[place], codes[place],
        _numbered("", _FIRST_UPRN + rng.permutation(total).astype(np.int64) * 3, 12),
        landlines(rng, areas), areas, kind,
    )  # fmt: skip


def _lines_of(rng: np.random.Generator, street: Texts, place: Ints) -> tuple[Texts, Texts]:
    """The first two lines: `12 Park Road`; `Flat 3`, `12 Park Road`; `The Laurels`, `Elm Road`."""
    start = rng.integers(1, 120, size=len(street))
    built = rng.choice(np.array(["houses", "flats", "named"], dtype=object), size=len(street),
                       p=[0.72, 0.22, 0.06])  # fmt: skip
    line1, line2 = np.empty(len(place), dtype=object), np.full(len(place), "", dtype=object)
    nth = np.arange(len(place)) % DWELLINGS_PER_POSTCODE
    columns = (place.tolist(), nth.tolist())
    for row, (at, n) in enumerate(zip(*columns, strict=True)):
        if built[at] == "houses":
            line1[row] = f"{start[at] + 2 * n} {street[at]}"
        elif built[at] == "flats":
            line1[row], line2[row] = f"Flat {n + 1}", f"{start[at]} {street[at]}"
        elif n < len(_HOUSE_NAMES):
            line1[row], line2[row] = _HOUSE_NAMES[n], str(street[at])
        else:
            line1[row] = f"{n} {street[at]}"
    return line1, line2
