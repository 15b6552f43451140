"""Names as they are given, borne and written: tables of names by custom, and draws from them.

Rules:
- A *custom* is a way of naming (English, Sikh, Somali ...); `ETHNIC_SHARES` says which ethnic group
  follows which, with which share. Shares are hand-made after a city like Bristol.
- Frequencies decide: common names meet as they do in life (John Smith, Mohammed Khan).
- Forenames of the English custom follow sex and year of birth.
- Tables are packaged in `demo/data`; `demo/make_tables.py` says where each comes from.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

Texts = npt.NDArray[np.object_]
"""A column of texts."""
Ints = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]

CUSTOMS = (
    "british", "welsh", "irish", "polish", "eastern", "iberian", "sikh", "hindu", "pakistani",
    "bengali", "chinese", "somali", "arabic", "west_african", "caribbean",
)  # fmt: skip
CUSTOM = MappingProxyType({name: n for n, name in enumerate(CUSTOMS)})
HOME_CUSTOMS = frozenset({"british", "welsh", "irish"})
"""Customs whose names the clerks of this partnership know how to spell."""

ETHNIC_SHARES: dict[str, tuple[float, dict[str, float]]] = {
    "A": (0.716, {"british": 0.93, "welsh": 0.05, "irish": 0.02}),
    "B": (0.009, {"irish": 1.0}),
    "C": (0.086, {"polish": 0.45, "eastern": 0.30, "iberian": 0.25}),
    "D": (0.018, {"british": 0.5, "caribbean": 0.5}),
    "E": (0.007, {"british": 0.5, "west_african": 0.5}),
    "F": (0.010, {"british": 0.5, "hindu": 0.2, "pakistani": 0.3}),
    "G": (0.012, {"british": 0.5, "iberian": 0.3, "arabic": 0.2}),
    "H": (0.020, {"sikh": 0.35, "hindu": 0.65}),
    "J": (0.020, {"pakistani": 1.0}),
    "K": (0.008, {"bengali": 1.0}),
    "L": (0.012, {"hindu": 0.5, "pakistani": 0.3, "arabic": 0.2}),
    "M": (0.017, {"caribbean": 1.0}),
    "N": (0.029, {"somali": 0.55, "west_african": 0.45}),
    "P": (0.009, {"somali": 0.5, "caribbean": 0.5}),
    "R": (0.009, {"chinese": 1.0}),
    "S": (0.018, {"arabic": 0.7, "iberian": 0.3}),
}
"""Ethnic category (2001 census codes) → share of the people, and customs within it. Hand-made,
rounded, after the 2021 census of Bristol."""
ETHNIC_CODES = tuple(ETHNIC_SHARES)


@dataclass(frozen=True)
class MarriageRule:
    """What a custom does with family names.

    Attributes:
        wife_takes: share of wives who take the husband's family name.
        hyphenates: share of wives who join both names.
        child_bears: `father`, `patronymic` (the father's forename, then his father's), `two` (the
            father's, then the mother's) or `own` (half of the children bear a name of their own).
    """

    wife_takes: float
    hyphenates: float
    child_bears: str


_PLAIN = MarriageRule(0.65, 0.06, "father")
MARRIAGE: dict[str, MarriageRule] = {
    **dict.fromkeys(CUSTOMS, _PLAIN),
    "polish": MarriageRule(0.80, 0.05, "father"),
    "eastern": MarriageRule(0.70, 0.0, "father"),
    "iberian": MarriageRule(0.0, 0.0, "two"),
    "sikh": MarriageRule(0.35, 0.0, "father"),
    "hindu": MarriageRule(0.75, 0.0, "father"),
    "pakistani": MarriageRule(0.20, 0.0, "father"),
    "bengali": MarriageRule(0.05, 0.0, "own"),
    "chinese": MarriageRule(0.15, 0.0, "father"),
    "somali": MarriageRule(0.0, 0.0, "patronymic"),
    "arabic": MarriageRule(0.05, 0.0, "father"),
}

MIDDLE_SHARE: dict[str, float] = {
    "british": 0.78, "welsh": 0.70, "irish": 0.65, "polish": 0.40, "eastern": 0.15,
    "iberian": 0.30, "hindu": 0.45, "pakistani": 0.25, "bengali": 0.20, "arabic": 0.35,
    "west_african": 0.55, "caribbean": 0.72, "chinese": 0.0, "sikh": 0.0, "somali": 0.0,
}  # fmt: skip
"""Share of people with a middle name of the plain sort, by custom. Hand-made."""

MOHAMMED_FIRST = frozenset({"Mohammed", "Muhammad", "Mohamed", "Md", "Abdul", "Shah"})
"""First names that their bearer is seldom called by, in the Pakistani and Bengali customs."""


@dataclass(frozen=True, eq=False)
class Pool:
    """Names with their frequencies; draws by inverse cumulative frequency."""

    names: Texts
    cumulative: npt.NDArray[np.float64]

    def draw(self, rng: np.random.Generator, count: int) -> Texts:
        """`count` names, each independently."""
        return self.names[np.searchsorted(self.cumulative, rng.random(count), side="right")]


def _pool(weighted: Mapping[str, float]) -> Pool:
    weights = np.fromiter(weighted.values(), dtype=np.float64, count=len(weighted))
    cumulative = np.cumsum(weights / weights.sum())
    cumulative[-1] = 1.0
    return Pool(np.array(list(weighted), dtype=object), cumulative)


def _lines(name: str) -> list[str]:
    text = resources.files("demo").joinpath("data", name).read_text(encoding="utf-8")
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def _ranked(names: str) -> dict[str, float]:
    """Names in order of frequency, weighted 1 / (rank + 2)^0.8 unless they say their weight."""
    weighted: dict[str, float] = {}
    for rank, entry in enumerate(names.split(), start=1):
        name, _, weight = entry.replace("_", " ").partition(":")
        weighted[name] = float(weight) if weight else (rank + 2) ** -0.8
    return weighted


@lru_cache(maxsize=1)
def _handmade() -> Mapping[tuple[str, str], str]:
    rows = (line.split("|") for line in _lines("handmade_names.txt"))
    return MappingProxyType({(custom, part): names for custom, part, names in rows})


@lru_cache(maxsize=1)
def _published_forenames() -> Mapping[tuple[str, int], Pool]:
    weighted: dict[tuple[str, int], dict[str, float]] = {}
    for line in _lines("forenames.csv")[1:]:
        sex, since, name, weight = line.split(",")
        weighted.setdefault((sex, int(since)), {})[name] = float(weight)
    return MappingProxyType({key: _pool(names) for key, names in weighted.items()})


@lru_cache(maxsize=1)
def _published_surnames() -> Pool:
    rows = (line.split(",") for line in _lines("surnames.csv")[1:])
    return _pool({name: float(weight) for name, weight in rows})


@lru_cache(maxsize=64)
def pool(custom: str, part: str) -> Pool:
    """The hand-made pool of a custom's part, e.g. `("sikh", "male")`."""
    return _pool(_ranked(_handmade()[custom, part]))


@lru_cache(maxsize=64)
def _forename_bands(custom: str, sex: str) -> tuple[tuple[int, Pool], ...]:
    """(first year of birth, pool) in order of year."""
    part = "male" if sex == "M" else "female"
    bands = [
        (int(name.partition("_")[2] or 0), pool(custom, name))
        for c, name in _handmade()
        if c == custom and name.split("_")[0] == part
    ]
    if custom == "british":
        bands += [(since, p) for (s, since), p in _published_forenames().items() if s == sex]
    return tuple(sorted(bands, key=lambda band: band[0]))


def forename_pool(custom: str, sex: str, year: int) -> Pool:
    """The forenames given in a custom to a sex (`M`, `F`) in a year."""
    bands = _forename_bands(custom, sex)
    return [p for since, p in bands if since <= year][-1]


def _surname_pool(custom: str, sex: str) -> Pool:
    if custom == "british":
        return _published_surnames()
    if sex == "F" and (custom, "surname_female") in _handmade():
        return pool(custom, "surname_female")
    return pool(custom, "surname")


def _by_custom_and_sex(
    rng: np.random.Generator,
    customs: Ints,
    female: Flags,
    chosen: Callable[[str, str], Pool],
) -> Texts:
    out = np.empty(len(customs), dtype=object)
    for number, custom in enumerate(CUSTOMS):
        for sex in ("F", "M"):
            rows = np.flatnonzero((customs == number) & (female == (sex == "F")))
            if len(rows):
                out[rows] = chosen(custom, sex).draw(rng, len(rows))
    return out


def draw_forenames(rng: np.random.Generator, customs: Ints, female: Flags, years: Ints) -> Texts:
    """Forenames for people of these customs, sexes and years of birth."""
    out = np.empty(len(customs), dtype=object)
    for number, custom in enumerate(CUSTOMS):
        for sex in ("F", "M"):
            rows = np.flatnonzero((customs == number) & (female == (sex == "F")))
            bands = _forename_bands(custom, sex)
            band = np.searchsorted([since for since, _ in bands], years[rows], side="right") - 1
            for n, (_, names) in enumerate(bands):
                mine = rows[band == n]
                out[mine] = names.draw(rng, len(mine))
    return out


def draw_surnames(rng: np.random.Generator, customs: Ints, female: Flags) -> Texts:
    """Family names for people of these customs: what each would bear unmarried.

    Somali names are chains of forenames: the surname is a grandfather's. Half of the Sikhs bear
    Singh or Kaur as family name. Iberians bear two, a few of the English two with a hyphen.
    """
    somali = customs == CUSTOM["somali"]
    out = _by_custom_and_sex(rng, np.where(somali, 0, customs).astype(np.int32), female,
                             _surname_pool)  # fmt: skip
    out[somali] = pool("somali", "male").draw(rng, int(somali.sum()))
    sikh = (customs == CUSTOM["sikh"]) & (rng.random(len(customs)) < 0.5)
    out[sikh] = np.where(female[sikh], "Kaur", "Singh")
    polish = (customs == CUSTOM["polish"]) & female
    out[polish] = [feminine(name) for name in out[polish]]
    two = customs == CUSTOM["iberian"]
    out[two] = out[two] + " " + pool("iberian", "surname").draw(rng, int(two.sum()))
    hyphen = (customs == CUSTOM["british"]) & (rng.random(len(customs)) < 0.012)
    out[hyphen] = out[hyphen] + "-" + _published_surnames().draw(rng, int(hyphen.sum()))
    return out


def draw_middle_names(
    rng: np.random.Generator, customs: Ints, female: Flags, years: Ints, forenames: Texts,
    surnames: Texts,
) -> Texts:  # fmt: skip
    """Middle names, empty where there is none; a Sikh's Singh or Kaur, a Somali's father's name,
    the name that a Mohammed is called by."""
    share = np.array([MIDDLE_SHARE[c] for c in CUSTOMS])[customs]
    out = np.where(
        rng.random(len(customs)) < share, draw_forenames(rng, customs, female, years), ""
    ).astype(object)
    out[out == forenames] = ""
    sikh = (customs == CUSTOM["sikh"]) & ~np.isin(surnames.astype(str), ["Singh", "Kaur"])
    out[sikh] = np.where(female[sikh], "Kaur", "Singh")
    somali = customs == CUSTOM["somali"]
    out[somali] = pool("somali", "male").draw(rng, int(somali.sum()))
    first = np.isin(forenames.astype(str), sorted(MOHAMMED_FIRST)) & ~female
    for custom in ("pakistani", "bengali"):
        rows = (customs == CUSTOM[custom]) & first
        out[rows] = pool(custom, "called").draw(rng, int(rows.sum()))
    return out


def feminine(surname: str) -> str:
    """The form of a Polish family name that women bear."""
    for his, hers in (("ski", "ska"), ("cki", "cka"), ("dzki", "dzka")):
        if surname.endswith(his):
            return surname.removesuffix(his) + hers
    return surname


@lru_cache(maxsize=1)
def variants() -> Mapping[str, tuple[str, ...]]:
    """A name → other spellings of the same name that senders use."""
    out: dict[str, list[str]] = {}
    for group in _handmade()["any", "variant"].split():
        spellings = group.replace("_", " ").split("=")
        for name in spellings:
            others = [s for s in spellings if s != name]
            out.setdefault(name, []).extend(s for s in others if s not in out.get(name, []))
    return MappingProxyType({name: tuple(s) for name, s in out.items()})


@lru_cache(maxsize=1)
def nicknames() -> Mapping[str, tuple[str, ...]]:
    """A forename → its short and pet forms."""
    out: dict[str, list[str]] = {}
    for line in _lines("nicknames.csv")[1:]:
        name, nickname = line.split(",")
        out.setdefault(name, []).append(nickname)
    return MappingProxyType({name: tuple(n) for name, n in out.items()})
