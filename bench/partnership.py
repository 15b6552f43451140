"""A demo partnership's live records as one flat table: `python -m bench.partnership WORKSPACE OUT`.

Writes into OUT: `live.parquet` (a row per live record with its current values), `truth.parquet` and
`published.parquet` (both `record_id, person_id`).

Rules, which are what a careful analyst does before linking with a tool that reads flat columns:
- Lists hold the current value first; only that one is kept. The first forename stands alone, the
  others beside it in `middle_names`.
- Numbers and postcodes lose their spaces and a postcode gets one before its last three characters.
- What says "not known" is missing: NHS numbers without a right check digit, ZZ99 postcodes,
  1 January 1900, partial birth dates, names such as Baby and Unknown.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd
import pyarrow.compute as pc
import pyarrow.parquet as pq

from schemas.errors import InvalidValue
from schemas.identifiers import parse_nhs_number
from wiring import open_workspace

NO_NAMES = ("baby", "unknown", "not known", "infant", "twin", "test", "patient", "n/a")
NO_BIRTH = ("1900-01-01", "1900-01-02")


def main() -> None:
    """Writes the three files."""
    root, out = Path(sys.argv[1]), Path(sys.argv[2])
    with open_workspace(root).store() as store:
        columns = store.match_columns()
        members = store.memberships().to_pandas()
        sources = store.record_sources().to_pandas()
    truth = pq.read_table(root / "truth.parquet").to_pandas()
    keys = ["source", "local_id"]
    known = sources.merge(truth, on=keys, validate="one_to_one")
    known = known[["record_id", "person"]].rename(columns={"person": "person_id"})
    live = flat(columns)
    live = live[live["record_id"].isin(known["record_id"])]
    live.to_parquet(out / "live.parquet", index=False)
    known.to_parquet(out / "truth.parquet", index=False)
    members[["record_id", "person_id"]].to_parquet(out / "published.parquet", index=False)


def flat(columns) -> pd.DataFrame:  # type: ignore[no-untyped-def]
    """Match columns as one text column per field."""
    lists = ("given", "family", "postcode", "address", "phone", "email")
    first = {name: _first(columns[name]) for name in lists}
    given = first["given"].str.lower().str.split(n=1)
    postcode = first["postcode"].str.upper().str.replace(r"\s+", "", regex=True)
    birth = columns["birth_date"].to_pandas().astype("string")
    return pd.DataFrame(
        {
            "record_id": columns["record_id"].to_pandas(),
            "source": columns["source"].to_pandas(),
            "given_name": _without(given.str[0], NO_NAMES),
            "middle_names": given.str[1],
            "family_name": _without(first["family"].str.lower(), NO_NAMES),
            "date_of_birth": _without(birth.where(birth.str.len() == 10), NO_BIRTH),
            "gender": columns["gender"].to_pandas().astype("string"),
            "postcode": (postcode.str[:-3] + " " + postcode.str[-3:]).mask(
                postcode.str.startswith("ZZ99")
            ),
            "address": first["address"],
            "phone": first["phone"].str.replace(r"\D", "", regex=True),
            "email": first["email"],
            "nhs_number": _numbers(columns["nhs_number"].to_pandas()),
            "gp_practice": columns["gp_practice"].to_pandas().astype("string"),
        }
    )


def _first(lists) -> pd.Series:  # type: ignore[no-untyped-def]
    """The first entry of each list, missing where the list is empty."""
    chunk = lists.combine_chunks()
    firsts = pc.list_element(pc.list_slice(chunk, 0, 1, return_fixed_size_list=True), 0)
    return firsts.to_pandas().astype("string")


def _without(values: pd.Series, unknown: tuple[str, ...]) -> pd.Series:
    return values.mask(values.isin(unknown))


def _numbers(values: pd.Series) -> pd.Series:
    """NHS numbers whose check digit is right; distinct values are looked at once."""
    right = {value: _is_number(value) for value in values.dropna().unique()}
    return values.where(values.map(right).fillna(False).astype(bool)).astype("string")


def _is_number(value: str) -> bool:
    try:
        parse_nhs_number(value)
    except InvalidValue:
        return False
    return len(set(value)) > 1


if __name__ == "__main__":
    main()
