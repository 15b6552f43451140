"""Makes the tables in `demo/data/` from published lists. Run by hand when a list changes:

    python -m demo.make_tables FOLDER

FOLDER holds the lists under the names given below. What is carried over, and from where:

| table | from | licence |
|---|---|---|
| forenames.csv | cran/sdglinkage `firstname_uk`: forename, sex, birth year, frequency | MIT |
| forenames.csv, extra weight | cran/ukbabynames: totals 1974-2020 | CC0 |
| surnames.csv | cran/sdglinkage `lastname_uk`: surname, frequency | MIT |
| nicknames.csv | carltonnorthern/nicknames | Apache-2.0 |
| outcodes.csv | cran/sdglinkage `address_uk`: outward codes and sectors of BS, BA and GL | MIT |

`handmade_names.txt` beside them is made by hand and not touched by this script.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

DATA = Path(__file__).parent / "data"

_BANDS = (1996, 2002, 2008, 2013)
_NAMES_PER_BAND = 700
_SURNAME_FIXES = {"obrien": "O'Brien", "oconnor": "O'Connor", "oneill": "O'Neill"}


def forenames(lists: Path) -> pd.DataFrame:
    """Columns sex (F, M), since (first birth year), name, weight: the commonest of each band.

    The list of forenames is a sample: a year may lack a common name. So each name counts with the
    mean of the years that have it, and with its share of the totals of 1974 to 2020.
    """
    names = pd.read_csv(lists / "uk_firstname_uk.csv")
    names["firstname"] = names["firstname"].str.strip().str.lower()
    names["since"] = [max(b for b in _BANDS if b <= year) for year in names["birthyear"]]
    names["sex"] = names["sex"].str[0].str.upper()
    mean = names.groupby(["sex", "since", "firstname"], as_index=False)["freq"].mean()
    totals = pd.read_csv(lists / "uk_baby_names_total.csv")
    totals["share"] = totals["n"] / totals.groupby("sex")["n"].transform("sum")
    totals["firstname"] = totals["name"].str.strip().str.lower()
    best = totals.groupby(["sex", "firstname"])["share"].max().reset_index()
    joined = mean.merge(best, how="left", on=["sex", "firstname"])
    joined["weight"] = joined["freq"] + 0.5 * joined["share"].fillna(0.0)
    joined = joined.sort_values(["sex", "since", "weight"], ascending=[True, True, False])
    top = joined.groupby(["sex", "since"]).head(_NAMES_PER_BAND)
    top = top.assign(name=top["firstname"].str.title())
    return pd.DataFrame(top[["sex", "since", "name", "weight"]].round({"weight": 6}))


def surnames(lists: Path) -> pd.DataFrame:
    """Columns name, weight: the surnames of the list, one row each."""
    rows = pd.read_csv(lists / "uk_lastname_uk.csv")
    weights = rows.groupby("surname")["freq"].sum().sort_values(ascending=False, kind="stable")
    kept = [(str(s), w) for s, w in weights.items() if len(str(s)) > 1]
    names = [_SURNAME_FIXES.get(s, _surname_case(s)) for s, _ in kept]
    return pd.DataFrame({"name": names, "weight": [round(float(w), 6) for _, w in kept]})


def _surname_case(surname: str) -> str:
    if surname.startswith("mc") and len(surname) > 4:
        return "Mc" + surname[2:].capitalize()
    return surname.title()


def nicknames(lists: Path) -> pd.DataFrame:
    """Columns name, nickname."""
    table = pd.read_csv(lists / "nicknames.csv")
    out = pd.DataFrame({"name": table["name1"].str.title(), "nickname": table["name2"].str.title()})
    return out.drop_duplicates()


def outcodes(lists: Path) -> pd.DataFrame:
    """Columns outcode, sectors (digits seen), area (index into `AREAS` of demo.partnership)."""
    table = pd.read_csv(lists / "uk_address_uk.csv")
    table = table[table["postcode"].str.match(r"(?:BS|BA|GL)\d")]
    parts = table["postcode"].str.split(" ", n=1, expand=True)
    sectors = parts[1].str[0].groupby(parts[0]).agg(lambda s: "".join(sorted(set(s))))
    out = pd.DataFrame({"outcode": sectors.index, "sectors": sectors.to_numpy()})
    number = out["outcode"].str.extract(r"(\d+)", expand=False).astype(int)
    out["area"] = [_area(code, n) for code, n in zip(out["outcode"], number, strict=True)]
    return out


def _area(outcode: str, number: int) -> int:
    """Avonmere is the inner BS districts, Northmoor the outer BS and the BA districts, Southcote
    GL: invented councils, so an invented split."""
    if outcode.startswith("GL"):
        return 2
    return 0 if outcode.startswith("BS") and number <= 16 else 1


TABLES = {
    "forenames.csv": forenames,
    "surnames.csv": surnames,
    "nicknames.csv": nicknames,
    "outcodes.csv": outcodes,
}


def main(arguments: list[str]) -> int:
    """Writes every table from the folder given as the only argument."""
    if len(arguments) != 1:
        print("usage: python -m demo.make_tables FOLDER", file=sys.stderr)
        return 2
    for name, make in TABLES.items():
        make(Path(arguments[0])).to_csv(DATA / name, index=False, lineterminator="\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
