"""`link-file` in tests: small tables of people, and how it is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd

from tests.functional import road
from tests.functional.small import Client, clients

PEOPLE = clients(30)


def table(people: list[Client], prefix: str) -> pd.DataFrame:
    """The people under well-known names of columns."""
    return pd.DataFrame(
        {
            "id": [prefix + c.local_id for c in people],
            "NHS Number": [c.nhs_number for c in people],
            "First name": [c.given for c in people],
            "Surname": [c.family for c in people],
            "DOB": [c.birth_date for c in people],
            "Sex": [c.gender for c in people],
            "Postcode": [c.postcode for c in people],
            "Address 1": [c.street for c in people],
            "Telephone": [c.phone for c in people],
            "Email": [c.email for c in people],
        }
    )


FORMS: dict[str, Callable[[pd.DataFrame, Path], None]] = {
    ".csv": lambda frame, path: frame.to_csv(path, index=False),
    ".tsv": lambda frame, path: frame.to_csv(path, index=False, sep="\t"),
    ".parquet": lambda frame, path: frame.to_parquet(path),
    ".ndjson": lambda frame, path: frame.to_json(path, orient="records", lines=True),
}


def written(folder: Path, name: str, frame: pd.DataFrame) -> Path:
    path = folder / name
    FORMS[path.suffix](frame, path)
    return path


def link(folder: Path, *arguments: Any) -> road.Ended:
    return road.call(folder / "no-workspace", "link-file", *arguments)


def linked(folder: Path, *arguments: Any, out: str = "out.csv") -> pd.DataFrame:
    """Links, which must go well; what was written."""
    ended = link(folder, *arguments, "--out", folder / out)
    assert ended.code == 0, ended.said
    read = pd.read_csv if out.endswith(".csv") else pd.read_parquet
    found: pd.DataFrame = read(folder / out)
    return found


def people(count: int = 400) -> list[Client]:
    """More people than are compared pair by pair, so that rules are planned."""
    return clients(count)


def two_files(folder: Path, count: int = 400) -> tuple[Path, Path]:
    """The same people in two files, one of which misspells every seventh family name."""
    one, two = table(people(count), "a"), table(people(count)[::-1], "b")
    two.loc[::7, "Surname"] = two.loc[::7, "Surname"] + "e"
    return written(folder, "one.csv", one), written(folder, "two.csv", two)
