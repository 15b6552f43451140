"""The [source.interface] tables of partnership.toml: systems that are asked for what is new, or
send it by themselves.

No I/O. What is collected lies in the inbox as files, which the source's [[source.file]] blocks map
as any other.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from schemas.settings_table import Table

Watermark = int | str | date | datetime
"""How far a query has been read: compared by the database that is asked, never here with others."""


@dataclass(frozen=True)
class SqlQuery:
    """One question to a database; its answer becomes the file NAME_TIME.csv.

    Attributes:
        sql: one SELECT. `:since` in it stands for the greatest value of `watermark` that was read.
        watermark: the column that grows with every change; None: all is asked for each time.
        first: what `:since` is the first time.
    """

    name: str
    sql: str
    watermark: str | None = None
    first: Watermark | None = None


@dataclass(frozen=True)
class SqlInterface:
    """A database of the source, to be read.

    Attributes:
        url: as SQLAlchemy takes it, without a password.
        password_file: holds the password, in the workspace; None: there is none.
        timeout_seconds: the longest that one exchange with it may take.
    """

    url: str
    queries: tuple[SqlQuery, ...] = ()
    password_file: str | None = None
    timeout_seconds: int = 600


@dataclass(frozen=True)
class FhirInterface:
    """A FHIR R4 server of the source, to be searched type by type for what has changed.

    Attributes:
        url: its base; types are below it.
        resources: the types to be asked for; the files are TYPE_TIME.ndjson.
        page_size: resources asked for at once; the server may send fewer.
        overlap_minutes: how far beyond the latest change that was read it is asked again.
        token_file: holds a bearer token. Or `client_id` and the secret in `client_secret_file` get
            one from `token_url`, for `scope` if that is said.
        max_pages: a search that has more is taken to be one without an end.
        timeout_seconds: the longest that one page may take.
        tries: how often a page is asked for in all, while the server is busy or not to be reached.
    """

    url: str
    resources: tuple[str, ...] = (
        "Patient", "AllergyIntolerance", "Appointment", "CarePlan", "CareTeam", "Condition",
        "Consent", "DiagnosticReport", "DocumentReference", "Encounter", "EpisodeOfCare", "Flag",
        "Immunization", "List", "MedicationAdministration", "MedicationDispense",
        "MedicationRequest", "MedicationStatement", "Observation", "PractitionerRole", "Procedure",
        "QuestionnaireResponse", "RelatedPerson", "ServiceRequest",
    )  # fmt: skip
    page_size: int = 100
    overlap_minutes: int = 5
    token_file: str | None = None
    token_url: str | None = None
    client_id: str | None = None
    client_secret_file: str | None = None
    scope: str | None = None
    max_pages: int = 100_000
    timeout_seconds: int = 60
    tries: int = 5


@dataclass(frozen=True)
class MllpInterface:
    """An address at which a system sends HL7 v2 messages (MLLP); `commonthread listen` answers.

    Attributes:
        listen: HOST:PORT; an IPv6 address stands in brackets.
        certificate_file, key_file: of this end, in the workspace; None: without TLS.
        client_ca_file: whose certificates the other end must show; None: it need not show any.
        max_connections: how many may stand at once.
        idle_seconds: a connection that brings nothing for so long is closed.
        roll_seconds: between two hand-overs of what came.
        link: whether the persons are brought up to date after a hand-over.
    """

    listen: str
    certificate_file: str | None = None
    key_file: str | None = None
    client_ca_file: str | None = None
    max_connections: int = 64
    idle_seconds: float = 600
    roll_seconds: float = 10
    link: bool = True

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        host, _, port = self.listen.rpartition(":")
        return host.strip("[]"), int(port)


Interface = SqlInterface | FhirInterface | MllpInterface
WRITTEN_AS: dict[type, str] = {
    SqlInterface: "delimited",
    FhirInterface: "fhir",
    MllpInterface: "hl7v2",
}
"""The format of the files that are written of what each interface answers."""
MESSAGES = "messages"
"""How the names of files begin that messages are written to: messages_TIME.hl7."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,30}")
_SINCE = re.compile(r"(?<!:):since\b")
_FIRST: Any = (int, str, date)


def read_interface(table: Table) -> Interface | None:
    """The interface of a source; None where its files are brought."""
    if not table.values:
        return None
    return _READ[table.choice("kind", tuple(_READ)) or "sql"](table)


def _read_sql(table: Table) -> SqlInterface:
    interface = SqlInterface(
        url=_url(table),
        queries=tuple(_query(one) for one in table.tables("query")),
        password_file=_inside(table, "password_file"),
        timeout_seconds=table.whole("timeout_seconds", 600, 1, 3_600),
    )
    if not interface.queries:
        table.fault("query", "expected at least one [[source.interface.query]]")
    names = [query.name for query in interface.queries]
    for twice in sorted({name for name in names if names.count(name) > 1}):
        table.fault("query", f"{twice} stands twice")
    table.done()
    return interface


def _read_fhir(table: Table) -> FhirInterface:
    default = FhirInterface("")
    interface = FhirInterface(
        url=_web_address(table, "url", table.text("url")).rstrip("/"),
        resources=table.texts("resources", default.resources),
        page_size=table.whole("page_size", default.page_size, 1, 10_000),
        overlap_minutes=table.whole("overlap_minutes", default.overlap_minutes, 0, 10_000),
        token_file=_inside(table, "token_file"),
        token_url=_web_address(table, "token_url", table.text("token_url", None)) or None,
        client_id=table.text("client_id", None) or None,
        client_secret_file=_inside(table, "client_secret_file"),
        scope=table.text("scope", None) or None,
        max_pages=table.whole("max_pages", default.max_pages, 1, 10_000_000),
        timeout_seconds=table.whole("timeout_seconds", default.timeout_seconds, 1, 3_600),
        tries=table.whole("tries", default.tries, 1, 20),
    )
    names = interface.resources
    if not names or any(not _TYPE.fullmatch(name) for name in names):
        table.fault("resources", "expected names of FHIR resource types, such as Patient")
    for twice in sorted({name for name in names if names.count(name) > 1}):
        table.fault("resources", f"{twice} stands twice")
    _check_sign_in(table, interface)
    table.done()
    return interface


def _check_sign_in(table: Table, interface: FhirInterface) -> None:
    """That a token comes from one place, of which everything is said."""
    parts = ("token_url", "client_id", "client_secret_file")
    said = [key for key in parts if getattr(interface, key) is not None]
    if said and interface.token_file is not None:
        table.fault("token_file", f"a token comes from a file or by {said[0]}, not both")
    if said or interface.scope is not None:
        for key in (key for key in parts if key not in said):
            table.fault(key, "missing; a token is asked for with all of " + ", ".join(parts))


def _web_address(table: Table, key: str, url: str) -> str:
    """An address that a token may be sent to; '' if there is none."""
    if not url:
        return ""
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        table.fault(key, "expected an address such as https://HOST/PATH")
        return ""
    if not host or (parts.scheme, host in _LOCAL) not in _SAFE:
        table.fault(key, "expected an address that begins with https://")
    elif parts.username is not None or parts.query or parts.fragment:
        table.fault(key, "expected no user, password, query or fragment in the address")
    return url


_LOCAL = ("localhost", "127.0.0.1", "::1")
_SAFE = (("https", False), ("https", True), ("http", True))
_TYPE = re.compile(r"[A-Z][A-Za-z]{1,60}")


def _read_mllp(table: Table) -> MllpInterface:
    interface = MllpInterface(
        listen=table.text("listen"),
        certificate_file=_inside(table, "certificate_file"),
        key_file=_inside(table, "key_file"),
        client_ca_file=_inside(table, "client_ca_file"),
        max_connections=table.whole("max_connections", 64, 1, 1_000),
        idle_seconds=table.number("idle_seconds", 600, 0.1, 86_400),
        roll_seconds=table.number("roll_seconds", 10, 0.1, 30),
        link=table.flag("link", True),
    )
    if interface.listen and not _listenable(interface.listen):
        table.fault("listen", "expected HOST:PORT, such as 0.0.0.0:2575")
    if (interface.certificate_file is None) != (interface.key_file is None):
        table.fault("key_file", "expected both certificate_file and key_file, or neither")
    if interface.client_ca_file is not None and interface.certificate_file is None:
        table.fault("client_ca_file", "needs certificate_file and key_file: without TLS nobody"
                    " shows a certificate")  # fmt: skip
    table.done()
    return interface


def _listenable(address: str) -> bool:
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    return bool(
        colon
        and re.fullmatch(r"[A-Za-z0-9.:-]+", bare)
        and (":" not in bare or bare != host)
        and re.fullmatch(r"[0-9]{1,5}", port)
        and int(port) < 65_536
    )


def _url(table: Table) -> str:
    url = table.text("url")
    if url and "://" not in url:
        table.fault("url", "expected DIALECT://HOST/DATABASE, or sqlite:///FILE")
    elif url and urlsplit(url).password:
        table.fault("url", "holds a password: put it into a file, and name that in password_file")
    return url


def _inside(table: Table, key: str) -> str | None:
    """A path in the workspace, or none."""
    text = table.text(key, None)
    if not text:
        return None
    path = PurePosixPath(text)
    if path.is_absolute() or ".." in path.parts:
        table.fault(key, "expected a path in the workspace, such as keys/NAME")
    return text


def _query(table: Table) -> SqlQuery:
    query = SqlQuery(
        name=table.text("name"),
        sql=table.text("sql"),
        watermark=table.text("watermark", None) or None,
        first=table.get("first", _FIRST, None, "a number, a text, a date or a time"),
    )
    if query.name and not _NAME.fullmatch(query.name):
        table.fault("name", "expected lower-case letters, digits, _; 1 to 31 long")
    if query.sql and not re.match(r"\s*(select|with)\b", query.sql, re.IGNORECASE):
        table.fault("sql", "expected one SELECT (or WITH ... SELECT)")
    asks = bool(_SINCE.search(query.sql))
    if asks and query.watermark is None:
        table.fault("watermark", "missing; `:since` stands for its greatest value so far")
    if asks and query.first is None:
        table.fault("first", "missing; `:since` stands for it the first time")
    if not asks and (query.watermark, query.first) != (None, None):
        table.fault("watermark", "the query has no `:since` that would make use of it")
    table.done()
    return query


_READ: dict[str, Callable[[Table], Interface]] = {
    "sql": _read_sql,
    "fhir": _read_fhir,
    "mllp": _read_mllp,
}
"""How the settings of each kind are read."""
