"""Names of a user's columns: which are well known, and whether what is asked of them can be done.

Rules:
- A column that is used stands once in the table; others may be called as they like.
- A further category has a name of its own: none that linkage reads in its own way, none twice.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import pyarrow as pa

from schemas.columns import MATCH_SCHEMA
from schemas.errors import InputError

WELL_KNOWN: dict[str, tuple[str, ...]] = {
    "given_name": ("given_name", "first_name", "firstname", "forename", "forenames", "given",
                   "given_names", "christian_name"),
    "middle_name": ("middle_name", "middle_names", "second_name", "middle_initial"),
    "family_name": ("family_name", "surname", "last_name", "lastname", "family"),
    "full_name": ("full_name", "fullname", "name", "patient_name"),
    "previous_family_name": ("previous_family_name", "maiden_name", "previous_surname",
                             "birth_surname", "alias_surname"),
    "date_of_birth": ("date_of_birth", "dob", "birth_date", "birthdate", "dateofbirth"),
    "gender": ("gender", "sex"),
    "postcode": ("postcode", "post_code", "postal_code", "zip", "zipcode", "zip_code",
                 "postcode_fake"),
    "address": ("address", "address_1", "address_line_1", "address1", "street_address"),
    "house_number": ("house_number", "street_number", "building_number"),
    "uprn": ("uprn",),
    "street": ("street", "street_name"),
    "town": ("town", "city", "suburb", "post_town", "locality"),
    "region": ("region", "state", "county"),
    "phone": ("phone", "telephone", "phone_number", "mobile", "tel", "telephone_number"),
    "email": ("email", "e_mail", "email_address"),
    "nhs_number": ("nhs_number", "nhsnumber", "nhs_no"),
    "gp_practice": ("gp_practice", "practice_code", "gp_code"),
    "birth_place": ("birth_place", "birthplace", "place_of_birth"),
    "occupation": ("occupation", "job_title"),
    "ethnicity": ("ethnicity", "ethnic_group", "race_ethnicity"),
}  # fmt: skip
"""Field → column names that are taken for it when nothing is mapped (case and spaces aside)."""
WELL_KNOWN_IDENTIFIERS = (
    "ssn", "soc_sec_id", "social_security_number", "national_insurance_number", "ni_number", "nino",
    "passport_number", "hospital_number",
)  # fmt: skip
ID_NAMES = ("record_id", "unique_id", "rec_id", "id")
TAKEN = frozenset(
    [
        *(name for name in MATCH_SCHEMA.names if name not in ("ethnicity", "birth_sex")),
        *("source", "founder", "family_previous", "middle", "sex", "practice"),
    ]
)
"""Names of columns that linkage reads in a way of its own: no category can be called so."""
SOURCE_OF_FILE = "\0source"
"""Column in which a caller may say which file a row came from."""


def plain(name: str) -> str:
    """A name in lower case, words joined by `_`."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")


_RECOGNISED = frozenset(
    [*WELL_KNOWN_IDENTIFIERS, *(n for known in WELL_KNOWN.values() for n in known)]
)


def read_by_value(name: str, asked: Collection[str]) -> bool:
    """Whether linkage reads each distinct value of a column once: where it is asked for, or has a
    well-known name."""
    return name in asked or plain(name) in _RECOGNISED


def shown(table: pa.Table) -> list[str]:
    """The user's own columns."""
    return [c for c in table.column_names if c != SOURCE_OF_FILE]


def check_no_name_twice(frame: Any) -> None:
    """pandas allows two columns of one name, Arrow does not. Raises: InputError."""
    names = list(getattr(frame, "columns", ()))
    if len(set(names)) < len(names):
        raise InputError("two columns of the table have one name")


def check_names(table: pa.Table, asked: Mapping[str, list[str]], taken: Sequence[str]) -> None:
    """That what is asked for is there. Raises: InputError."""
    for name in asked:
        if name not in WELL_KNOWN:
            raise InputError(f"--map {name}: no such field; fields are {', '.join(WELL_KNOWN)}")
    for column in [c for columns in asked.values() for c in columns] + list(taken):
        check_once(table, column)


def check_once(table: pa.Table, column: str) -> None:
    """That a column stands once. Raises: InputError."""
    if table.column_names.count(column) != 1:
        many = "more than one" if column in table.column_names else "no"
        names = shown(table)
        hint = ""
        if len(names) == 1 and (";" in names[0] or "\t" in names[0]):
            hint = " (a single one: is the separator another than a comma?)"
        raise InputError(f"{many} column {column!r}; columns are {', '.join(names)}{hint}")


def as_columns(columns: str | Sequence[str]) -> list[str]:
    """One column may be given by its name alone."""
    return [columns] if isinstance(columns, str) else list(columns)


def check_exact(exact: Sequence[str]) -> None:
    """That further categories can be columns of their own. Raises: InputError."""
    names = [plain(name) for name in exact]
    for column, name in zip(exact, names, strict=True):
        if not name or name in TAKEN:
            raise InputError(
                f"--exact {column}: a category cannot be called so; rename the column, or take it "
                "for a field with --map"
            )
        if names.count(name) > 1:
            raise InputError(f"--exact {column}: two categories of this name")
