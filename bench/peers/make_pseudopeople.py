"""The sample populations of pseudopeople as one table of records: `make_pseudopeople.py OUT`.

Decennial census, community survey (all years), WIC (all years), W-2 and 1099 forms (one year, one
record per job) and social security (creation events; every second one, to keep the set near
30,000 records), each with the noise that pseudopeople applies by default. OUT is a Parquet file
with the truth in `simulant_id`.

Rules:
- Dates are written year-month-day whatever the source's order; parts that noise has garbled stay
  garbled.
- An address is number, street and unit; the sample has one town and one zip code.
- The middle initial of social security is that of its middle name.
"""

from __future__ import annotations

import sys
import warnings

import pandas as pd
import pseudopeople
from loguru import logger

SEED = 0
COLUMNS = ["first_name", "middle_initial", "last_name", "date_of_birth", "sex", "address", "ssn"]
DATE_PARTS = {
    "census": r"(?P<m>.{2})/(?P<d>.{2})/(?P<y>.{4})",
    "survey": r"(?P<m>.{2})/(?P<d>.{2})/(?P<y>.{4})",
    "wic": r"(?P<m>.{2})(?P<d>.{2})(?P<y>.{4})",
    "social_security": r"(?P<y>.{4})(?P<m>.{2})(?P<d>.{2})",
}
"""How each source writes a date; tax forms have none."""


def main() -> None:
    """Writes the table to the file of the command line."""
    warnings.filterwarnings("ignore", category=FutureWarning)
    logger.remove()
    parts = [records(source, frame) for source, frame in generate().items()]
    whole = pd.concat(parts, ignore_index=True)
    whole = whole.sample(frac=1.0, random_state=SEED, ignore_index=True)
    whole.insert(0, "record_id", range(len(whole)))
    whole.to_parquet(sys.argv[1], index=False)


def generate() -> dict[str, pd.DataFrame]:
    """Source → its noised table."""
    social = pseudopeople.generate_social_security(seed=SEED)
    social = social[social["event_type"] == "creation"].iloc[::2]
    social = social.assign(middle_initial=social["middle_name"].astype("string").str[:1])
    taxes = pseudopeople.generate_taxes_w2_and_1099(seed=SEED)
    prefix = "mailing_address_"
    return {
        "census": pseudopeople.generate_decennial_census(seed=SEED),
        "survey": pseudopeople.generate_american_community_survey(seed=SEED, year=None),
        "wic": pseudopeople.generate_women_infants_and_children(seed=SEED, year=None),
        "taxes": taxes.rename(columns=lambda name: name.removeprefix(prefix)),
        "social_security": social,
    }


def records(source: str, frame: pd.DataFrame) -> pd.DataFrame:
    """One source in the common columns; what it lacks is missing."""
    frame = frame.reset_index(drop=True)
    out = pd.DataFrame({"source": source, "simulant_id": frame["simulant_id"].astype(str)})
    for column in COLUMNS:
        known = column in frame and column not in ("date_of_birth", "address")
        out[column] = frame[column].astype("string") if known else pd.NA
    if source in DATE_PARTS:
        found = frame["date_of_birth"].astype("string").str.extract(DATE_PARTS[source])
        out["date_of_birth"] = found["y"] + "-" + found["m"] + "-" + found["d"]
    if "street_name" in frame:
        pieces = frame[["street_number", "street_name", "unit_number"]].astype("string")
        joined = pieces.fillna("").agg(" ".join, axis=1).str.split().str.join(" ")
        out["address"] = joined.where(pieces["street_name"].notna(), pd.NA)
    return out.astype(dict.fromkeys(COLUMNS, "string"))


if __name__ == "__main__":
    main()
