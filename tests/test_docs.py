"""The documents say what the program does: names, tables, links, commands, named tests.

Colleagues' pages are held to their own tests as well (tests/store, tests/demo); links, words and
commands are checked here for all of them.
"""

from __future__ import annotations

import ast
import csv
import dataclasses
import importlib
import json
import re
import shlex
import sqlite3
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import chdir, closing, contextmanager
from datetime import date
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner, Result

from adapters.inbox import find_feeds
from adapters.interfaces import collector_of
from adapters.registry import READERS
from cli import STRICT_EXIT, commonthread
from consent.commands import GRANTS
from linkage.guards import GUARDS
from linkage.tables import WELL_KNOWN
from schemas.codes import PURPOSES
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.errors import EXIT_CODES, SettingsError
from schemas.records import REASONS
from schemas.settings import (
    FIELDS_BY_KIND,
    OPEN_FIELDS,
    REQUIRED_BY_KIND,
    AsAt,
    FileSettings,
    Limits,
    LinkSettings,
    Organisation,
    ReviewSettings,
    Settings,
    SheetSettings,
    SourceSettings,
    WholeList,
)
from schemas.settings_api import ApiSettings, ClientSettings, IdentityProvider
from schemas.settings_audit import AuditSettings, WitnessSettings
from schemas.settings_file import parse_settings
from schemas.settings_interfaces import FhirInterface, MllpInterface, SqlInterface, SqlQuery
from schemas.settings_sharing import SharingSettings
from service.review_queue import FACTORS, KINDS
from tests.adapters.excel_feeds import workbook
from tests.fhir_server import fhir_server
from tests.pages import (
    DRAWINGS,
    LOCKS,
    PAGES,
    ROOT,
    SAFETY,
    listed,
    name_of,
    plain,
    prose,
    section,
    table,
    text_of,
    ticked,
)

# --- tables of the guides ----------------------------------------------------------------------


def test_reasons_of_quarantine_are_those_of_the_code() -> None:
    assert dict(listed("docs/data-team.md", "Quarantine", 0, 1)) == REASONS


def test_what_is_urgent_is_what_the_code_counts() -> None:
    told = listed("docs/data-team.md", "Clear the review queue", 0, 1)
    urgent = [(str(factor.points), factor.reason) for factor in FACTORS]
    kinds = [(kind, why) for kind, why in KINDS.items() if kind not in {g.code for g in GUARDS}]
    assert told == urgent + kinds


def test_guard_rails_are_those_of_the_code() -> None:
    heading = "Why are these two one person, or not?"
    reasons = {guard.code: guard.reason for guard in GUARDS}
    assert dict(listed("docs/data-team.md", heading, 0, 1)) == reasons


def test_fields_of_link_file_are_those_of_the_code() -> None:
    text = section("docs/data-team.md", "Link files of your own")
    found = re.search(r"Fields: (.*?)\.\s", text, re.S)
    assert found
    assert ticked(found.group(1)) == tuple(WELL_KNOWN)


def test_purposes_are_those_of_the_code() -> None:
    assert dict(listed("docs/ig-officer.md", "Purposes", 0, 1)) == PURPOSES


def test_who_may_do_what_is_what_consent_grants() -> None:
    rows = table(section("docs/ig-officer.md", "Who may do what, for which purpose"))
    told = {
        (plain(action), role, purpose)
        for action, roles, purposes, _ in rows
        for role in ticked(roles)
        for purpose in ticked(purposes)
    }
    assert told == {
        (action.value, role.value, purpose)
        for role, actions in GRANTS.items()
        for action, purposes in actions.items()
        for purpose in purposes
    }


def test_exit_codes_are_those_of_the_code() -> None:
    rows = listed("docs/operator.md", "Exit codes", 0, 1)
    own = {("0", ""), ("1", ""), ("2", ""), (str(STRICT_EXIT), ""), ("130", "")}
    assert set(rows) == own | {(str(code), cls.__name__) for cls, code in EXIT_CODES.items()}


@pytest.mark.parametrize("row", table(text_of("docs/GLOSSARY.md")), ids=lambda row: row[0])
def test_words_of_the_glossary_are_in_the_code(row: list[str]) -> None:
    parts = plain(row[2]).split(".")
    depth, found = len(parts), None
    while found is None:
        try:
            found = importlib.import_module(".".join(parts[:depth]))
        except ModuleNotFoundError:
            depth -= 1
            assert depth, f"no module of {row[2]}"
    for name in parts[depth:]:
        declared = getattr(found, "__dataclass_fields__", {})
        assert hasattr(found, name) or name in declared, f"{row[2]}: no {name}"
        found = getattr(found, name, None)


def test_the_glossary_is_in_order() -> None:
    terms = [row[0].casefold() for row in table(text_of("docs/GLOSSARY.md"))]
    assert terms == sorted(terms)
    assert len(terms) == len(set(terms))


# --- settings ----------------------------------------------------------------------------------

SECTIONS: dict[str, type] = {
    "[partnership]": Settings,
    "[link]": LinkSettings,
    "[limits]": Limits,
    "[review]": ReviewSettings,
    "[api]": ApiSettings,
    "[[identity_provider]]": IdentityProvider,
    "[[identity_provider.client]]": ClientSettings,
    "[sharing]": SharingSettings,
    "[audit]": AuditSettings,
    "[[audit.witness]]": WitnessSettings,
    "[[organisation]]": Organisation,
    "[[source]]": SourceSettings,
    "[source.interface]": SqlInterface,
    "[source.interface] for FHIR": FhirInterface,
    "[source.interface] for MLLP": MllpInterface,
    "[[source.interface.query]]": SqlQuery,
    "[[source.file]]": FileSettings,
    "[[source.file.sheet]]": SheetSettings,
    "as_at": AsAt,
    "snapshot": WholeList,
}
OWN_SECTIONS = {"organisations", "sources", "actors", "default_purpose", "limits", "link", "review",
                "sharing", "api", "audit", "providers"}  # fmt: skip
"""Fields of Settings that have a section of their own."""
LEAST = """
[partnership]
name = "P"
[[organisation]]
code = "A1A1A"
name = "A"
kind = "k"
[[source]]
id = "s"
name = "S"
format = "delimited"
organisations = ["A1A1A"]
[[source.file]]
as_at = { file_name = "(x)" }
columns = { local_id = "ID" }
[[source.file]]
format = "excel"
[[source.file.sheet]]
name = "A"
columns = { local_id = "ID" }
[[source]]
id = "t"
name = "T"
format = "delimited"
organisations = ["A1A1A"]
[source.interface]
kind = "sql"
url = "sqlite:///t.db"
[[source.interface.query]]
name = "clients"
sql = "SELECT 1"
[[source.file]]
columns = { local_id = "ID" }
[[source]]
id = "v"
name = "V"
format = "fhir"
organisations = ["A1A1A"]
[source.interface] # FHIR
kind = "fhir"
url = "https://records.example"
[[source]]
id = "w"
name = "W"
format = "hl7v2"
organisations = ["A1A1A"]
[source.interface] # MLLP
kind = "mllp"
listen = "0.0.0.0:2575"
[[identity_provider]]
issuer = "https://idp.example"
audience = "https://records.example"
[[identity_provider.client]]
id = "app"
organisation = "A1A1A"
role = "integration"
purposes = "audit"
[[audit.witness]]
name = "w.example"
key = "w.example+00000000+AAAA"
"""
"""Settings with nothing but what is required."""


def documented(heading: str) -> dict[str, str]:
    return {plain(row[0]): row[2] for row in table(section("docs/settings.md", heading))}


def from_parser() -> dict[tuple[str, str], Any]:
    """Defaults that the parser gives and the dataclasses do not hold."""
    settings = parse_settings(LEAST)
    file = settings.sources[0].files[0]
    assert file.as_at
    return {
        ("[partnership]", "database"): settings.database,
        ("[partnership]", "demo"): settings.demo,
        ("[[source.file]]", "pattern"): file.pattern,
        ("as_at", "format"): file.as_at.format,
    }


@pytest.mark.parametrize("heading", SECTIONS)
def test_settings_are_those_of_the_code(heading: str) -> None:
    names = {field.name for field in dataclasses.fields(SECTIONS[heading])}
    if heading == "[partnership]":
        names -= OWN_SECTIONS
    if heading == "[[source]]":
        names = (names - {"files"}) | {"file", "format"}
    if heading == "[[source.file]]":
        names = (names - {"sheets", "collected"}) | {"sheet"}
    if heading == "[source.interface]":
        names = (names - {"queries"}) | {"kind", "query"}
    if heading in ("[source.interface] for FHIR", "[source.interface] for MLLP"):
        names |= {"kind"}
    if heading == "[[identity_provider]]":
        names = (names - {"clients"}) | {"client"}
    assert set(documented(heading)) == names


@pytest.mark.parametrize("heading", SECTIONS)
def test_defaults_are_those_of_the_code(heading: str) -> None:
    given = from_parser()
    for field in dataclasses.fields(SECTIONS[heading]):
        if (heading == "[partnership]" and field.name in OWN_SECTIONS) or field.name == "collected":
            continue
        name = {"clients": "client", "sheets": "sheet", "queries": "query"}.get(
            field.name, field.name
        )
        cell = documented(heading).get(name, "*required*")
        place = (heading, field.name)
        if field.default is not dataclasses.MISSING:
            default = field.default
        elif field.default_factory is not dataclasses.MISSING:
            default = field.default_factory()
        elif place in given:
            default = given[place]
        else:
            assert cell in ("*required*", "*the source's*"), field.name
            continue
        if default is None:
            assert cell == "*none*", field.name
            continue
        told = tomllib.loads(f"value = {plain(cell)}")["value"]
        if isinstance(default, tuple | frozenset):
            default, told = sorted(default), sorted(told)
        assert told == default, field.name


def test_thresholds_told_to_the_data_team_are_the_defaults() -> None:
    text = section("docs/data-team.md", "Thresholds, in bits")
    told = dict(re.findall(r"^- `(\w+)` \((\d+)\)", text, re.M))
    defaults = LinkSettings()
    assert told == {
        "join_bits": f"{defaults.join_bits:g}", "review_bits": f"{defaults.review_bits:g}"
    }  # fmt: skip


def test_required_settings_are_required() -> None:
    required = [
        (heading, name)
        for heading in SECTIONS
        for name, default in documented(heading).items()
        if default == "*required*"
    ]
    lines = LEAST.strip().splitlines()
    for heading, name in required:
        if heading == "as_at":
            text = LEAST.replace('file_name = "(x)"', 'format = "%Y"')
        else:
            begin = lines.index(heading.replace("] for ", "] # "))
            at = next(n for n in range(begin, len(lines)) if lines[n].startswith(f"{name} ="))
            text = "\n".join([*lines[:at], *lines[at + 1 :]])
        with pytest.raises(SettingsError, match=rf"\b{name}: missing"):
            parse_settings(text)


def test_fields_of_files_are_those_of_the_code() -> None:
    rows = table(section("docs/settings.md", "Fields that columns can be mapped to"))
    assert [plain(row[0]) for row in rows] == list(FIELDS_BY_KIND)
    for kind, needs, fields in rows:
        name = plain(kind)
        assert ticked(needs) == REQUIRED_BY_KIND[name]
        *closed, opens = [ticked(part) for part in fields.split("and ")]
        assert [f for part in closed for f in part] == list(FIELDS_BY_KIND[name])
        assert all(o.startswith(OPEN_FIELDS[name]) for o in opens)
        assert len(opens) == len(OPEN_FIELDS[name])


def example_sources() -> dict[str, SourceSettings]:
    """The sources that the data team's guide describes."""
    examples = re.findall(r"```toml\n(.*?)```", text_of("docs/data-team.md"), re.S)
    settings = parse_settings('[partnership]\nname = "P"\n' + "\n".join(examples))
    return {str(source.id): source for source in settings.sources}


def test_the_examples_of_sources_are_accepted() -> None:
    sources = example_sources()
    assert set(sources) == {
        "housing_support", "lunch_club", "day_hospice", "mental_health", "eye_clinic",
        "childrens_hospital",
    }  # fmt: skip
    files = sources["housing_support"].files
    assert [file.kind for file in files] == ["client_record", "care_item"]


def read_example(inbox: Path, source: SourceSettings, name: str, data: bytes) -> UnitBatch:
    """What is read of a file that lies in the inbox of a source."""
    (inbox / source.id).mkdir()
    (inbox / source.id / name).write_bytes(data)
    limits = Limits(settle_seconds=0)
    (feed,) = find_feeds(inbox, source, limits).feeds
    (batch,) = READERS[feed.settings.format](feed, source, limits)
    return batch


def test_the_example_of_a_database_is_asked(tmp_path: Path) -> None:
    """Its question, but for the words of PostgreSQL for an hour."""
    source = example_sources()["mental_health"]
    interface = source.interface
    assert isinstance(interface, SqlInterface)
    (query,) = interface.queries
    query = dataclasses.replace(
        query, first="1900", sql=query.sql.replace(" - interval '1 hour'", "")
    )
    with closing(sqlite3.connect(tmp_path / "mh.db")) as database, database:
        columns = "client_id, nhs_number, family_name, given_name, birth_date, changed_at"
        database.execute(f"CREATE TABLE commonthread_clients ({columns})")
        database.execute(
            "INSERT INTO commonthread_clients VALUES"
            " (7, '9990000018', 'Teal', 'Ann', '1931-02-28', '2026-03-01 04:05:06')"
        )
    (tmp_path / source.id).mkdir()
    asked = dataclasses.replace(
        source, interface=dataclasses.replace(
            interface, url="sqlite:///mh.db", password_file=None, queries=(query,)
        )
    )  # fmt: skip
    now = Instant("2026-03-02T00:00:00Z")
    assert collector_of(asked, tmp_path, tmp_path, lambda: now).collect() == []
    limits = Limits()
    (feed,) = find_feeds(tmp_path, asked, limits).feeds
    (batch,) = READERS[feed.settings.format](feed, asked, limits)
    assert (batch.rejected, batch.issues, batch.records.num_rows) == ((), {}, 1)
    assert batch.records.column("as_at").to_pylist() == ["2026-03-01T04:05:06Z"]


def test_the_example_of_a_fhir_server_is_asked(tmp_path: Path) -> None:
    source = example_sources()["eye_clinic"]
    (tmp_path / source.id).mkdir()
    (tmp_path / "keys").mkdir()
    secret = tmp_path / "keys" / "eye-clinic.secret"
    secret.write_text("swordfish")
    secret.chmod(0o600)
    now = Instant("2026-03-02T00:00:00Z")
    with fhir_server() as server:
        server.put("Patient", "P1", server.moment)
        server.put("Flag", "F1", server.moment)
        server.issue = lambda: (200, b'{"access_token": "t", "token_type": "Bearer"}')
        server.token = "Bearer t"
        asked = dataclasses.replace(
            source, interface=dataclasses.replace(
                source.interface, url=server.url, token_url=f"{server.url}/token"  # type: ignore[arg-type]
            )
        )  # fmt: skip
        assert collector_of(asked, tmp_path, tmp_path, lambda: now).collect() == []
    (feed,) = find_feeds(tmp_path, asked, Limits()).feeds
    assert feed.path.name == "Patient_20260302T000000Z.ndjson"
    (batch,) = READERS[feed.settings.format](feed, asked, Limits())
    assert (batch.rejected, batch.records.num_rows) == ((), 1)


def test_the_example_of_an_extract_is_read(tmp_path: Path) -> None:
    client = (
        '<Client number="7"><Name><Forename>Ann</Forename><Forename>May</Forename>'
        "<Surname>Teal</Surname></Name><Identifier type='NHS'>9990000018</Identifier>"
        "<Born>28/02/1931</Born><Address><Line>1 High Street</Line><Line>Bristol</Line>"
        "<Postcode>BS1 5TR</Postcode></Address><Telephone>0117 496 0001</Telephone></Client>"
    )
    data = f'<Extract xmlns="urn:example"><Clients>{client}</Clients></Extract>'.encode()
    batch = read_example(tmp_path, example_sources()["day_hospice"], "clients_1.xml", data)
    assert (batch.rejected, batch.issues) == ((), {})
    (found,) = batch.records.to_pylist()
    assert (found["given"], found["family"], found["birth_date"]) == (
        ["Ann May"], ["Teal"], "1931-02-28"
    )  # fmt: skip
    assert found["nhs_number"] == "9990000018"


def test_the_example_of_a_workbook_is_read(tmp_path: Path) -> None:
    members: list[list[object]] = [
        ["Lunch club", None], [],
        ["Member no", "NHS no", "Name", "Date of\nbirth", "Address", "Tel"],
        [17, 9990000018, "Mrs Ann Teal", date(1931, 2, 28), "1 High Street, Bristol BS1 5TR", "?"],
        [18, "#N/A", "Mr Abel Wren", "28/02/1931", "2 High Street", "0117 496 0001"],
    ]  # fmt: skip
    visits: list[list[object]] = [
        ["Visits"], [], ["Member no", "Visit no", "Day", "What"],
        [17, 1, date(2026, 2, 27), "lunch"],
    ]  # fmt: skip
    data = workbook({"Members 2025": members, "visits": visits})
    batch = read_example(tmp_path, example_sources()["lunch_club"], "register_20260301.xlsx", data)
    assert (batch.records.num_rows, batch.items.num_rows, batch.rejected) == (2, 1, ())
    assert batch.records.column("birth_date").to_pylist() == ["1931-02-28"] * 2


# --- links, words, named tests -----------------------------------------------------------------


def anchors(page: Path) -> set[str]:
    """The anchors that a page's headings have on GitHub."""
    heads = re.findall(r"^#+ (.*)$", prose(page), re.M)
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        place = (page.parent / path).resolve() if path else page
        assert place.exists(), target
        assert not anchor or anchor in anchors(place), target


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_files_named_exist(page: Path) -> None:
    packages = {path.name for path in ROOT.iterdir() if path.is_dir()}
    for code in re.findall(r"`([^`\n]+)`", prose(page)):
        top, slash, _ = code.partition("/")
        if slash and top in packages and re.fullmatch(r"[\w./-]+", code):
            assert (ROOT / code).exists() or top == "partnership", code


def test_the_layout_in_the_readme_names_every_package() -> None:
    packages = tomllib.loads(text_of("pyproject.toml"))["tool"]["setuptools"]["packages"]
    layout = section("README.md", "Layout")
    assert not [name for name in packages if "." not in name and f"`{name}/`" not in layout]


def test_every_decision_is_linked_from_the_readme() -> None:
    for decision in (ROOT / "docs" / "adr").glob("*.md"):
        assert f"docs/adr/{decision.name}" in text_of("README.md")


# In brackets, so that a search of the whole checkout for these words does not find this line.
WORKPLACE = re.compile(r"/wor[k]/|pyp[i]\b|pythonhoste[d]|npmj[s]|index-ur[l]|/tm[p]/", re.I)


@pytest.mark.parametrize("page", [*PAGES, *DRAWINGS], ids=name_of)
def test_no_word_of_where_it_was_written(page: Path) -> None:
    assert not WORKPLACE.findall(page.read_text(encoding="utf-8"))


@pytest.mark.parametrize("lock", LOCKS, ids=name_of)
def test_locks_name_no_host(lock: Path) -> None:
    assert "://" not in lock.read_text(encoding="utf-8")


@pytest.mark.parametrize("page", SAFETY, ids=name_of)
def test_every_test_named_in_the_safety_papers_exists(page: Path) -> None:
    for file, test in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", page.read_text(encoding="utf-8")):
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        names = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert test in names, f"{file}::{test}"


def test_every_hazard_has_a_control_a_place_a_test_and_what_remains() -> None:
    rows = table(text_of("docs/safety/hazard-log.md"))
    assert [row[0] for row in rows] == [f"H{n:02}" for n in range(1, len(rows) + 1)]
    for row in rows:
        assert all(row), row[0]
        assert ticked(row[5]), row[0]
        assert ticked(row[6]), row[0]
        assert all("::" in test for test in ticked(row[6])), row[0]


def test_hazards_named_elsewhere_are_in_the_log() -> None:
    known = {row[0] for row in table(text_of("docs/safety/hazard-log.md"))}
    for page in SAFETY:
        assert set(re.findall(r"\bH\d\d\b", page.read_text(encoding="utf-8"))) <= known


# --- commands ----------------------------------------------------------------------------------


class Block(NamedTuple):
    """One block of commands in a page."""

    page: str
    commands: Sequence[str]
    executed: bool
    role: str


def blocks() -> Iterator[Block]:
    for page in PAGES:
        for text in re.findall(
            r"^```console\n(.*?)^```", page.read_text(encoding="utf-8"), re.M | re.S
        ):
            lines = text.splitlines()
            commands = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
            executed = re.fullmatch(r"# executed(?: as (\w+))?", lines[0])
            role = (executed and executed[1]) or "data_team"
            yield Block(name_of(page), commands, bool(executed), role)


@contextmanager
def acting_as(role: str) -> Iterator[None]:
    """The demo's account in another role."""
    file = Path("partnership/partnership.toml")
    before = file.read_text(encoding="utf-8")
    assert '= "data_team"' in before
    file.write_text(before.replace('= "data_team"', f'= "{role}"', 1), encoding="utf-8")
    try:
        yield
    finally:
        file.write_text(before, encoding="utf-8")


def arguments(command: str) -> list[str]:
    """The words after the program's name, up to an ellipsis."""
    program, *words = shlex.split(command.partition("…")[0])
    assert program == "commonthread", command
    return words


def inline_commands() -> Iterator[str]:
    for page in PAGES:
        yield from re.findall(r"`(commonthread [^`]+)`", prose(page))


COMMANDS = sorted({c for block in blocks() for c in block.commands} | set(inline_commands()))


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_and_options_exist(command: str) -> None:
    words = arguments(command)
    if words in ([], ["-w", "FOLDER"]):
        return
    found = CliRunner().invoke(commonthread, [*words, "--help"])
    assert found.exit_code == 0, found.output


def test_every_command_is_documented() -> None:
    guides = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for name, command in commonthread.commands.items():
        for sub in getattr(command, "commands", {None: command}):
            assert f"commonthread {name}" + (f" {sub}" if sub else "") in guides


def run(command: str) -> Result:
    """Runs a command; it must end well."""
    words = arguments(command)
    done = CliRunner().invoke(commonthread, words)
    assert done.exit_code == 0, f"{command}: {done.output} {done.exception!r}"
    return done


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, list[str]]:
    """A folder with a small demo in ./partnership after its night, a person, and two records."""
    folder = tmp_path_factory.mktemp("docs")
    with chdir(folder):
        run("commonthread demo --people 200")
        run("commonthread nightly")
        run("commonthread person export --out members.csv")
        with open("members.csv", newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        for name, text in re.findall(
            r"^```(?:csv|json) (\S+)\n(.*?)^```", text_of("docs/data-team.md"), re.M | re.S
        ):
            Path(name).write_text(text, encoding="utf-8")
    persons = [row["person_id"] for row in rows]
    person = max(persons, key=persons.count)
    records = [f"{r['source']}/{r['local_id']}" for r in rows if r["person_id"] == person]
    return folder, person, records[:2]


@pytest.mark.slow
@pytest.mark.parametrize("page", sorted({b.page for b in blocks() if b.executed}))
def test_executed_commands_end_well(demo: tuple[Path, str, list[str]], page: str) -> None:
    folder, person, records = demo
    with chdir(folder):
        for block in blocks():
            if block.page != page or not block.executed:
                continue
            with acting_as(block.role):
                for command in block.commands:
                    named = command.replace("RECORD RECORD", " ".join(map(shlex.quote, records)))
                    done = run(re.sub(r"\bPERSON\b", person, named))
                    if "--json" in command:
                        json.loads(done.stdout)
