"""A small partnership of three systems, one a format, and feeds for it written by hand."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from schemas.identifiers import check_digit
from tests.functional import road

SETTINGS = """
[partnership]
name = "Small partnership"
database = "{database}"

[actors]
{actor} = "{role}"

[link]
accept_test_numbers = true

[limits]
settle_seconds = {settle}
batch_units = {batch_units}

[[organisation]]
code = "RA7"
name = "Trust"
kind = "acute"

[[source]]
id = "pas"
name = "Clients"
organisations = ["RA7"]
format = "delimited"
[[source.file]]
pattern = "*.csv*"
date_formats = ["%Y-%m-%d"]
[source.file.columns]
local_id = "ID"
nhs_number = "NHS"
"name.given" = "FORENAME"
"name.family" = "SURNAME"
birth_date = "DOB"
gender = "SEX"
"address.line" = "STREET"
"address.postcode" = "POSTCODE"
phone = "PHONE"
email = "EMAIL"
restricted = "RESTRICTED"
[source.file.codes.gender]
M = "male"
F = "female"

[[source]]
id = "gp"
name = "Practices"
organisations = ["RA7"]
format = "fhir"
local_id_system = "https://gp.example/id"

[[source]]
id = "acute"
name = "Acute"
organisations = ["RA7"]
format = "hl7v2"
local_id_system = "RA7"
"""
COLUMNS = (
    "ID", "NHS", "FORENAME", "SURNAME", "DOB", "SEX", "STREET", "POSTCODE", "PHONE", "EMAIL",
    "RESTRICTED",
)  # fmt: skip
WRITTEN = 1_772_400_000
"""When feeds were last changed, seconds since 1970."""
ENDINGS = {"pas": ".csv", "gp": ".ndjson", "acute": ".hl7"}


@dataclass(frozen=True)
class Client:
    """One client, by what all three formats can say."""

    local_id: str
    given: str = "Alma"
    family: str = "Teal"
    birth_date: str = "1971-03-04"
    gender: str = "female"
    nhs_number: str = ""
    street: str = "1 High Street"
    postcode: str = "BS1 5TR"
    phone: str = "0117 496 0001"
    email: str = "alma@example.org"
    restricted: bool = False


def nhs_number(n: int) -> str:
    """The n-th number of the range kept for tests that has a check digit."""
    found = -1
    at = 999_000_000
    while found < n:
        at += 1
        found += check_digit(str(at)) is not None
    return f"{at}{check_digit(str(at))}"


def clients(count: int, first: int = 0) -> list[Client]:
    """So many different people."""
    given = ("Alma", "Boris", "Carla", "Dmitri", "Esme", "Farid", "Greta")
    family = ("Teal", "Umber", "Violet", "Wheat", "Xanthic")
    return [
        Client(
            f"L{n}",
            given[n % 7],
            family[n % 5],
            f"19{20 + n % 79}-0{1 + n % 9}-1{n % 9}",
            ("male", "female")[n % 2],
            nhs_number(n),
            f"{n} High Street",
            f"BS{1 + n % 9} {1 + n % 9}TR",
            f"0117 49{n:05d}",
            f"client{n}@example.org",
        )
        for n in range(first, first + count)
    ]


def row(client: Client) -> str:
    """The client as a line of a CSV file, without its end."""
    restricted = "Y" if client.restricted else ""
    cells = (
        client.local_id, client.nhs_number, client.given, client.family, client.birth_date,
        {"male": "M", "female": "F"}[client.gender], client.street, client.postcode, client.phone,
        client.email, restricted,
    )  # fmt: skip
    return ",".join(cells)


def patient(client: Client, **changes: Any) -> str:
    """The client as a FHIR Patient on one line, without its end."""
    identifiers = [{"system": "https://gp.example/id", "value": client.local_id}]
    if client.nhs_number:
        identifiers.append(
            {"system": "https://fhir.nhs.uk/Id/nhs-number", "value": client.nhs_number}
        )
    resource: dict[str, Any] = {
        "resourceType": "Patient",
        "id": "p1",
        "identifier": identifiers,
        "name": [{"use": "official", "family": client.family, "given": [client.given]}],
        "telecom": [
            {"system": "phone", "value": client.phone},
            {"system": "email", "value": client.email},
        ],
        "gender": client.gender,
        "birthDate": client.birth_date,
        "address": [{"line": [client.street], "postalCode": client.postcode}],
    }
    return json.dumps({**resource, **changes})


def message(client: Client, version: str = "2.4", stamp: str = "20260301120000") -> str:
    """The client as an HL7 v2 message, with its last segment's end."""
    birth, sex = client.birth_date.replace("-", ""), {"male": "M", "female": "F"}[client.gender]
    number = f"~{client.nhs_number}^^^NHS^NH" if client.nhs_number else ""
    street, postcode = client.street, client.postcode
    return (
        f"MSH|^~\\&|PAS|RA7|CT|P|{stamp}||ADT^A28|{client.local_id}|P|{version}\r"
        f"EVN|A28|{stamp}\r"
        f"PID|1||{client.local_id}^^^RA7^MR{number}||{client.family}^{client.given}||{birth}|{sex}"
        f"|||{street}^^Bristol^^{postcode}^GBR^H||{client.phone}^PRN^PH~^NET^Internet^{client.email}"
        "\r"
    )


def csv_feed(people: Iterable[Client], columns: Sequence[str] = COLUMNS) -> bytes:
    """A CSV file, its columns in the order given."""
    places = [COLUMNS.index(column) for column in columns]
    lines = [",".join(columns)]
    lines += [",".join(row(client).split(",")[at] for at in places) for client in people]
    return ("\n".join(lines) + "\n").encode()


def fhir_feed(people: Iterable[Client]) -> bytes:
    """An NDJSON file."""
    return "".join(patient(client) + "\n" for client in people).encode()


def hl7_feed(people: Iterable[Client]) -> bytes:
    """A file of messages."""
    return "".join(message(client) for client in people).encode()


FEEDS = {"pas": csv_feed, "gp": fhir_feed, "acute": hl7_feed}


def with_ids(people: Iterable[Client], prefix: str) -> list[Client]:
    """The same people under other local ids."""
    return [replace(client, local_id=prefix + client.local_id) for client in people]


def new_workspace(
    root: Path,
    *,
    role: str = "data_team",
    database: str = "sqlite:///partnership.db",
    batch_units: int = 5,
    settle: float = 0,
) -> Path:
    """A workspace of the small partnership, made by `init`, its settings written by hand."""
    road.done(root, "init")
    rewrite_settings(root, role=role, database=database, batch_units=batch_units, settle=settle)
    for source in FEEDS:
        (root / "inbox" / source).mkdir()
    return root


def rewrite_settings(
    root: Path,
    *,
    role: str = "data_team",
    database: str = "sqlite:///partnership.db",
    batch_units: int = 5,
    settle: float = 0,
) -> None:
    """Writes the settings anew."""
    from wiring import account

    actor = json.dumps(account())
    text = SETTINGS.format(
        actor=actor, role=role, database=database, batch_units=batch_units, settle=settle
    )
    (root / "partnership.toml").write_text(text, "utf-8")


def put(root: Path, source: str, name: str, data: bytes) -> Path:
    """A feed in the inbox, last changed long ago."""
    path = root / "inbox" / source / name
    path.write_bytes(data)
    os.utime(path, (WRITTEN, WRITTEN))
    return path


def put_all(root: Path, people: Sequence[Client], name: str = "first") -> None:
    """The same people from all three systems, each under its own ids."""
    for source, feed in FEEDS.items():
        put(root, source, name + ENDINGS[source], feed(with_ids(people, source)))
