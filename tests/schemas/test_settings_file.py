"""partnership.toml: every setting is read, every fault is found at once, with its place."""

import re
from datetime import UTC, datetime

import pytest

from schemas.errors import SettingsError
from schemas.settings import Limits, LinkSettings, Settings, WholeList
from schemas.settings_file import parse_settings
from schemas.settings_interfaces import FhirInterface, MllpInterface, SqlInterface, SqlQuery

HEAD = """
[partnership]
name = "Test"
[[organisation]]
code = "RA7"
name = "A trust"
kind = "acute"
"""
SOURCE = """
[[source]]
id = "pas"
name = "PAS"
organisations = ["RA7"]
format = "delimited"
"""
FILE = """
[[source.file]]
[source.file.columns]
local_id = "ID"
"""


def faults(text: str) -> tuple[str, ...]:
    """The faults of a text of settings."""
    with pytest.raises(SettingsError) as caught:
        parse_settings(text)
    return caught.value.faults


def test_the_least_that_works() -> None:
    read = parse_settings(HEAD)
    assert read == Settings(
        "Test", "sqlite:///partnership.db", False, read.organisations, (), {}, {}
    )
    assert read.source("pas") is None


FULL = """
[partnership]
name = "Test"
database = "postgresql:///x"
demo = true

[actors]
root = "data-team"
[default_purpose]
explain = "data-quality"
[limits]
max_unit_bytes = 2048
max_message_bytes = 4096
max_document_bytes = 8192
max_expanded_bytes = 16384
max_expansion_ratio = 10
settle_seconds = 0.5
batch_units = 7
[link]
join_bits = 9
review_bits = 2.5
accept_test_numbers = true
max_changed_fraction = 0.25

[[organisation]]
code = "ra7"
name = "A trust"
kind = "acute"

[[source]]
id = "pas"
name = "PAS"
organisations = ["RA7"]
format = "delimited"
keeps_people_apart = false
fresh_hours = 5
time_zone = "UTC"
identifier_systems = { hosp = "hospital-number" }
local_id_system = "urn:x"
nhs_number_systems = "NHS"
[[source.file]]
pattern = "clients_*.txt"
kind = "client_record"
encoding = "latin-1"
delimiter = "|"
quote = ""
header = ["ID", "SEX", "DAY", "MONTH", "YEAR", "H"]
date_formats = ["%d %m %Y"]
optional = "H"
missing_values = ["", "-"]
as_at = { file_name = 'clients_(\\d{8})', format = "%Y%m%d" }
codes = { gender = { M = "male", F = "female" } }
constants = { restricted = "N" }
[source.file.columns]
local_id = "ID"
gender = "SEX"
birth_date = ["DAY", "MONTH", "YEAR"]
"identifier.hosp" = "H"
"""


def test_each_setting_is_read() -> None:
    read = parse_settings(FULL)
    assert (read.database, read.demo) == ("postgresql:///x", True)
    assert (read.actors, read.default_purpose) == (
        {"root": "data-team"},
        {"explain": "data-quality"},
    )
    assert read.limits == Limits(2048, 4096, 8192, 16384, 10, 0.5, 7)
    assert read.link == LinkSettings(9, 2.5, True, 0.25)
    source = read.source("pas")
    assert source is not None
    assert source.organisations == ("RA7",)
    assert not source.keeps_people_apart
    assert (source.fresh_hours, source.time_zone) == (5, "UTC")
    assert source.identifier_systems == {"hosp": "hospital-number"}
    assert (source.local_id_system, source.nhs_number_systems) == ("urn:x", ("NHS",))
    (file,) = source.files
    assert (file.pattern, file.kind, file.encoding) == (
        "clients_*.txt",
        "client_record",
        "latin-1",
    )
    assert (file.delimiter, file.quote, file.date_formats) == ("|", "", ("%d %m %Y",))
    assert file.header == ("ID", "SEX", "DAY", "MONTH", "YEAR", "H")
    assert file.columns["birth_date"] == ("DAY", "MONTH", "YEAR")
    assert (file.optional, file.missing_values) == ({"H"}, {"", "-"})
    assert (file.codes, file.constants) == (
        {"gender": {"M": "male", "F": "female"}},
        {"restricted": "N"},
    )
    assert file.as_at is not None
    assert file.as_at.file_name.search("clients_20260301.txt") is not None


@pytest.mark.parametrize("format_", ["fhir", "hl7v2"])
def test_a_message_source_needs_no_file(format_: str) -> None:
    (source,) = parse_settings(HEAD + SOURCE.replace("delimited", format_)).sources
    assert [(f.pattern, f.format) for f in source.files] == [("*", format_)]


def _file(lines: str) -> str:
    """Settings with one file, with lines set before its columns."""
    return HEAD + SOURCE + FILE.replace("[source.file.columns]", f"{lines}\n[source.file.columns]")


def _sheets(*sheets: str) -> str:
    """Settings of a workbook with these sheets, each of them with the columns of a client list."""
    blocks = (
        f"[[source.file.sheet]]\n{lines}\ncolumns = {{ local_id = 'ID' }}\n" for lines in sheets
    )
    return HEAD + SOURCE.replace("delimited", "excel") + "[[source.file]]\n" + "".join(blocks)


def _extract(lines: str, path: str) -> str:
    """Settings of an extract with one path."""
    file = f"[[source.file]]\n{lines}\ncolumns = {{ local_id = '{path}' }}\n"
    return HEAD + SOURCE.replace("delimited", "xml") + file


ASKED = """
[source.interface]
kind = "sql"
url = "postgresql+psycopg://reader@wards.example/pas"
password_file = "keys/pas.password"
timeout_seconds = 30
[[source.interface.query]]
name = "clients"
sql = "SELECT id AS ID, at FROM clients WHERE at >= :since"
watermark = "at"
first = 1900-01-01T00:00:00Z
"""


WHOLE_FILE = FILE.replace("[[source.file]]\n", "[[source.file]]\nsnapshot = true\n")
TWICE = "query = [{ name = 'a', sql = 'SELECT 1' }, { name = 'a', sql = 'SELECT 1' }]\n"
NO_QUERY = HEAD + SOURCE + ASKED.split("[[source.interface.query]]", maxsplit=1)[0]


def test_a_database_that_is_asked() -> None:
    (source,) = parse_settings(HEAD + SOURCE + ASKED + WHOLE_FILE).sources
    sql = "SELECT id AS ID, at FROM clients WHERE at >= :since"
    assert source.interface == SqlInterface(
        "postgresql+psycopg://reader@wards.example/pas",
        (SqlQuery("clients", sql, "at", datetime(1900, 1, 1, tzinfo=UTC)),),
        "keys/pas.password",
        30,
    )
    (file,) = source.files
    assert file.collected
    assert file.as_at is not None
    found = file.as_at.file_name.search("clients_20260301T040506Z.csv")
    assert found is not None
    when = datetime.strptime(found.group(1), file.as_at.format)  # noqa: DTZ007 - it says its zone
    assert when == datetime(2026, 3, 1, 4, 5, 6, tzinfo=UTC)


def _asked(old: str, new: str, file: str = "") -> str:
    assert old in ASKED
    block = FILE.replace("[[source.file]]\n", f"[[source.file]]\n{file}\n")
    return HEAD + SOURCE + ASKED.replace(old, new) + block


SEARCHED = """
[[source]]
id = "eyes"
name = "Eyes"
organisations = ["RA7"]
format = "fhir"
[source.interface]
kind = "fhir"
url = "https://eyes.example/r4/"
"""
SIGNED = """token_url = "https://eyes.example/token/"
client_id = "us"
client_secret_file = "keys/eyes.secret"
scope = "system/*.read"
"""


def test_a_fhir_server_that_is_searched() -> None:
    text = HEAD + SEARCHED + SIGNED + 'resources = "Flag"\npage_size = 7\noverlap_minutes = 0\n'
    (source,) = parse_settings(text + "max_pages = 9\ntimeout_seconds = 8\ntries = 1\n").sources
    assert source.interface == FhirInterface(
        "https://eyes.example/r4", ("Flag",), 7, 0, None, "https://eyes.example/token/", "us",
        "keys/eyes.secret", "system/*.read", 9, 8, 1,
    )  # fmt: skip
    (file,) = source.files
    assert (file.collected, file.pattern, file.format) == (True, "*", "fhir")
    assert file.as_at is not None
    assert file.as_at.file_name.search("Flag_20260301T040506Z.ndjson")


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1:8080", "[::1]:1"])
def test_a_fhir_server_on_this_machine(host: str) -> None:
    text = HEAD + SEARCHED.replace("https://eyes.example", f"http://{host}")
    (source,) = parse_settings(text).sources
    assert source.interface == FhirInterface(f"http://{host}/r4")


def _searched(old: str, new: str) -> str:
    text = HEAD + SEARCHED + SIGNED
    assert old in text
    return text.replace(old, new)


HEARD = """
[[source]]
id = "acute"
name = "Acute"
organisations = ["RA7"]
format = "hl7v2"
[source.interface]
kind = "mllp"
listen = "[::1]:2575"
certificate_file = "keys/listen.pem"
key_file = "keys/listen.key"
client_ca_file = "keys/senders.pem"
"""


def test_an_address_that_is_listened_at() -> None:
    more = "max_connections = 3\nidle_seconds = 0.5\nroll_seconds = 2\nlink = false\n"
    (source,) = parse_settings(HEAD + HEARD + more).sources
    interface = source.interface
    assert interface == MllpInterface(
        "[::1]:2575", "keys/listen.pem", "keys/listen.key", "keys/senders.pem", 3, 0.5, 2, False
    )
    assert isinstance(interface, MllpInterface)
    assert interface.address == ("::1", 2575)
    (file,) = source.files
    assert (file.collected, file.format) == (True, "hl7v2")
    assert file.as_at is not None
    assert file.as_at.file_name.search("messages_20260301T040506Z.hl7")


def _heard(old: str, new: str) -> str:
    assert old in HEARD
    return HEAD + HEARD.replace(old, new)


FAULTS = [
    *((f"listening at {bad}", _heard("[::1]:2575", bad), "interface.listen: expected HOST:PORT")
      for bad in ("2575", "localhost", ":2575", "host:70000", "host:port", "::1:2575", "a b:1")),
    ("half a TLS", _heard('key_file = "keys/listen.key"\n', ""), "key_file: expected both"),
    ("clients without TLS", _heard('certificate_file = "keys/listen.pem"\nkey_file ='
                                   ' "keys/listen.key"\n', ""), "client_ca_file: needs"),
    ("messages of another name", _heard("client_ca_file", "[[source.file]]\npattern = 'x*'\n#"),
     "file[0].pattern: expected one that fits messages_TIME.hl7"),
    ("messages as rows", _heard("hl7v2", "fhir"), "format: what this interface"),
    ("too slow", _heard("client_ca", "roll_seconds = 31\nclient_ca"), "expected 0.1 to 30"),
    ("in clear", _searched("https://eyes.example/r4", "http://eyes.example"), "interface.url: exp"),
    ("in clear to a name like ours", _searched("https://eyes.example/r4", "http://localhost.x"),
     "interface.url: expected an address that begins with https://"),
    ("a token in clear", _searched("https://eyes.example/t", "http://x/t"), "token_url: expected"),
    ("a user", _searched("//eyes.example/r4", "//a:b@eyes.example"), "interface.url: expected no"),
    ("a query", _searched("/r4/", "/r4?x=1"), "interface.url: expected no user, password, query"),
    ("no address", _searched("//eyes.example/r4", "//[x/"), "interface.url: expected an address"),
    ("no server", _searched("https://eyes.example/r4/", ""), "interface.url: expected text"),
    ("no type", _searched("client_id", "resources = ['patients']\nclient_id"), "resources: expect"),
    ("no types", _searched("client_id", "resources = []\nclient_id"), "resources: expected names"),
    ("a type twice", _searched("client_id", "resources = ['A', 'B', 'A']\nclient_id"),
     "resources: expected names of"),
    ("a type twice in full", _searched("client_id", "resources = ['Flag', 'Flag']\nclient_id"),
     "resources: Flag stands twice"),
    ("two tokens", _searched("client_id", "token_file = 'keys/t'\nclient_id"), "token_file: a tok"),
    ("no client", _searched('client_id = "us"\n', ""), "interface.client_id: missing; a token is"),
    ("a scope for nothing", HEAD + SEARCHED + "scope = 'x'\n", "interface.token_url: missing;"),
    ("a FHIR secret elsewhere", _searched("keys/eyes", "../eyes"), "client_secret_file: expec"),
    ("no pages", _searched("client_id", "page_size = 0\nclient_id"), "page_size: expected 1 to"),
    ("FHIR as rows", _searched('format = "fhir"', 'format = "hl7v2"'), "format: what this int"),
    ("FHIR of another time", HEAD + SEARCHED + "[[source.file]]\nas_at = { file_name = '(x)' }\n",
     "file[0].as_at: not to be set"),
    ("another kind", _asked('"sql"', '"odbc"'), "interface.kind: expected one of sql,"),
    ("a password in the URL", _asked("reader@", "reader:x@"), "interface.url: holds a password"),
    ("no URL", _asked('"postgresql+psycopg://reader@wards.example/pas"', '"pas"'),
     "interface.url: expected DIALECT"),
    ("a secret elsewhere", _asked("keys/pas", "../pas"), "password_file: expected a path in"),
    ("a secret anywhere", _asked("keys/pas", "/etc/pas"), "password_file: expected a path in"),
    ("no watermark", _asked('watermark = "at"', ""), "query[0].watermark: missing; `:since`"),
    ("no first", _asked("first = 1900-01-01T00:00:00Z", ""), "query[0].first: missing; `:since`"),
    ("a first of no kind", _asked("1900-01-01T00:00:00Z", "[1]"), "query[0].first: expected a num"),
    ("a watermark for nothing", _asked(":since", "'2'"), "query[0].watermark: the query has no"),
    ("a cast is no question", _asked("at >= :since", "at::since > 1"), "the query has no `:since`"),
    ("no SELECT", _asked("SELECT id", "UPDATE id"), "query[0].sql: expected one SELECT"),
    ("a strange name", _asked('"clients"', '"Clients/"'), "query[0].name: expected lower-case"),
    ("the name twice", NO_QUERY + TWICE + FILE, "interface.query: a stands twice"),
    ("no query", NO_QUERY + FILE, "interface.query: expected at least one"),
    ("a form of its own", _asked("at", "at", 'quote = "|"'), "file[0].quote: not to be set"),
    ("a time of its own", _asked("at", "at", "as_at = { file_name = '(x)' }"),
     "file[0].as_at: not to be set"),
    ("another format", _asked("at", "at", 'format = "xml"'), "file[0].format: what this inter"),
    ("not TOML", "x =", "not TOML"),
    ("no name", "", "partnership.name: missing"),
    ("an empty name", HEAD.replace('"Test"', '""'), "partnership.name: expected text"),
    ("unknown at the top", HEAD + "[lmits]\n", "lmits: unknown setting"),
    ("unknown below", HEAD + "[limits]\nbatch_unit = 1\n", "limits.batch_unit: unknown setting"),
    ("wrong type", HEAD + "[limits]\nbatch_units = 'many'\n", "limits.batch_units: expected a wh"),
    ("not whole", HEAD + "[limits]\nbatch_units = 1.5\n", "limits.batch_units: expected a whole"),
    ("out of range", HEAD + "[limits]\nbatch_units = 0\n", "limits.batch_units: expected 1 to"),
    ("not a number", HEAD + "[link]\njoin_bits = nan\n", "link.join_bits: expected"),
    ("true is no number", HEAD + "[link]\njoin_bits = true\n", "link.join_bits: expected a num"),
    ("a fraction over 1", HEAD + "[link]\nmax_changed_fraction = 2\n", "link.max_changed_fra"),
    ("a negative one", HEAD + "[link]\nmax_changed_fraction = -0.5\n", "link.max_changed_fra"),
    ("thresholds crossed", HEAD + "[link]\njoin_bits = 1\nreview_bits = 2\n", "review_bits: must"),
    ("a purpose", HEAD + "[default_purpose]\nx = 'fun'\n", "default_purpose.x: expected one of"),
    ("an actor", HEAD + "[actors]\nx = 1\n", "actors: expected texts"),
    ("an organisation twice", HEAD + HEAD[HEAD.index("[[") :], "organisation: RA7 stands twice"),
    ("a bad code", HEAD.replace("RA7", "R"), "organisation[0].code: an ODS code"),
    ("a source twice", HEAD + 2 * (SOURCE + FILE), "source: pas stands twice"),
    ("a source id", HEAD + SOURCE.replace("pas", "P A S") + FILE, "source[0].id: expected lower"),
    ("no member", HEAD + SOURCE.replace('["RA7"]', "[]") + FILE, "expected at least one org"),
    ("no such member", HEAD + SOURCE.replace("RA7", "RA8") + FILE, "RA8 is no [[organisation]]"),
    ("a format", HEAD + SOURCE.replace("delimited", "xls") + FILE, "source[0].format: expected"),
    ("a workbook without sheets", HEAD + SOURCE.replace("delimited", "excel")
        + "[[source.file]]\n", "file[0].sheet: a workbook needs"),
    ("a sheet twice", _sheets("name = 'A'", "name = 'a'"), "file[0].sheet: a stands twice"),
    ("a sheet without name", _sheets("kind = 'staff'"), "sheet[0].name: missing"),
    ("a sheet's columns", _sheets("name = 'A'\nkind = 'staff'"), "must map 'staff_id'"),
    ("a sheet's unknown setting", _sheets("name = 'A'\nencoding = 'x'"), "encoding: unknown"),
    ("a sheet's header", _sheets("name = 'A'\nheader_row = 0"), "header_row: expected 1 to"),
    ("columns beside sheets", HEAD + SOURCE.replace("delimited", "excel")
        + "[[source.file]]\ncolumns = { local_id = 'A' }\n",
        "columns: a file of format excel has no such setting"),
    ("sheets in a text file", HEAD + SOURCE + FILE.replace("[source.file.columns]",
        "[[source.file.sheet]]\nname = 'A'\n[source.file.columns]"),
        "sheet: a file of format delimited has no such setting"),
    ("no record", _extract("pattern = '*'", "A"), "record: expected the names of elements"),
    ("no path of a record", _extract("record = '/A'", "A"), "record: expected the names"),
    ("no path of a value", _extract("record = 'A'", "B//C"), "'B//C' is no path in a record"),
    ("a path that reaches out", _extract("record = 'A'", "../B"), "'../B' is no path"),
    ("no file", HEAD + SOURCE, "source[0].file: a source of format delimited needs"),
    ("a zone", HEAD + SOURCE + "time_zone = 'Bristol'\n" + FILE, "source[0].time_zone: 'Bristol'"),
    ("a sign in rows", HEAD + SOURCE + "identity_change_sign = 'ZPI'\n" + FILE,
        "identity_change_sign: a file of format delimited says it by"),
    ("a sign that is no segment", HEAD + SOURCE.replace("delimited", "hl7v2")
        + "identity_change_sign = 'PID'\n", "identity_change_sign: expected a Z segment"),
    ("a sign that is no URL", HEAD + SOURCE.replace("delimited", "fhir")
        + "identity_change_sign = 'ZPI'\n", "identity_change_sign: expected the URL"),
    ("no local id", HEAD + SOURCE + "[[source.file]]\n", "must map 'local_id'"),
    ("a field", HEAD + SOURCE + FILE + "nhs = 'N'\n", "'nhs' is no field of a client_record"),
    ("a field without a name", HEAD + SOURCE + FILE + "'detail.' = 'N'\n", "'detail.' is no f"),
    ("no columns", HEAD + SOURCE + FILE + "gender = []\n", "columns.gender: expected the names"),
    ("an id for all", _file("constants = { local_id = '1' }"), "cannot be the same in all"),
    ("optional, unmapped", _file("optional = 'SEX'"), "optional: no field is mapped to 'SEX'"),
    ("not in the header", _file("header = ['X']"), "column 'ID' is mapped but not in the header"),
    ("a header name twice", _file("header = ['ID', 'ID']"), "header: ID stands twice"),
    ("a code", _file("codes = { gender = { M = 'man' } }"), "codes.gender: man: no code"),
    ("a constant", _file("constants = { gender = 'man' }"), "constants.gender: 'man' is no code"),
    ("an encoding", _file("encoding = 'utf-9'"), "encoding: 'utf-9' is no known encoding"),
    ("EBCDIC", _file("encoding = 'cp037'"), "encoding: 'cp037' is not supported"),
    ("a codec that refuses", _file("encoding = 'undefined'"), "encoding: 'undefined'"),
    ("a delimiter", _file("delimiter = '||'"), "delimiter: expected one character"),
    ("a line end", _file('delimiter = "\\n"'), "delimiter: expected one character"),
    ("the quote", _file("delimiter = '\"'"), "quote: must differ from the delimiter"),
    ("two-digit years", _file("date_formats = '%d/%m/%y'"), "date_formats: a format needs"),
    ("no format", _file("date_formats = '%Y-%q'"), "date_formats: '%Y-%q' is no format"),
    ("a day without month", _file("date_formats = '%Y %d'"), "date_formats: '%Y %d' is no"),
    ("no formats", _file("date_formats = []"), "date_formats: expected at least one"),
    ("a folder", _file("pattern = 'a/*.csv'"), "pattern: expected a pattern"),
    ("as_at", _file("as_at = { file_name = '(' }"), "as_at.file_name: not a regular"),
    ("as_at groups", _file("as_at = { file_name = 'x' }"), "as_at.file_name: expected exactly"),
    ("as_at format", _file("as_at = { file_name = '(x)', format = '%d%m' }"), "as_at.format: '%d"),
    ("a listed constant", _file("constants = { phone = '1' }") + "phone = 'P'\n", "'phone' has c"),
    ("a share over 1", _file("snapshot = { max_withdrawn = 5 }"), "snapshot.max_withdrawn: expec"),
    ("a snapshot's setting", _file("snapshot = { most = 1 }"), "snapshot.most: unknown setting"),
    ("a snapshot of a kind", _file("snapshot = 1"), "snapshot: expected true or false"),
    ("a snapshot of no day", _file("snapshot = true"), "snapshot: a whole list must say in its na"),
    ("moments of a snapshot", _file("snapshot = true") + "as_at = 'X'\n", "map no 'as_at'"),
    ("a list of staff", _file("kind = 'staff'\nsnapshot = true"), "only a client_record file can"),
    ("two whole lists", _file("snapshot = true") + FILE.replace("[source.file.columns]",
        "snapshot = true\n[source.file.columns]"), "source[0].file: a source has one whole list"),
    ("an action", _file("codes = { action = { D = 'kill' } }") + "action = 'A'\n", "kill: no code"),
    ("an action for all", _file("constants = { action = 'deleted' }"), "'action' cannot be the sa"),
    ("no heading", _file("kind = 'care_item'") + "item_id = 'I'\n", "must say its heading"),
    (
        "a heading",
        _file("kind = 'care_item'\nconstants = { heading = 'x' }") + "item_id = 'I'\n",
        "constants.heading: 'x' is no code",
    ),
    (
        "a delimited setting elsewhere",
        HEAD + SOURCE.replace("delimited", "fhir") + "[[source.file]]\ndelimiter = ';'\n",
        "delimiter: a file of format fhir has no such setting",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("text", "fault"), [f[1:] for f in FAULTS], ids=[f[0] for f in FAULTS])
def test_fault(text: str, fault: str) -> None:
    assert any(fault in found for found in faults(text)), faults(text)


WHOLE_LISTS = [
    ("true", WholeList(0.05, 0)),
    ("false", None),
    ("{}", WholeList()),
    ("{ max_withdrawn = 0.2 }", WholeList(0.2, 0)),
    ("{ max_quarantined = 0.01 }", WholeList(0.05, 0.01)),
]


@pytest.mark.parametrize(("value", "expected"), WHOLE_LISTS)
def test_a_whole_list(value: str, expected: WholeList | None) -> None:
    text = _file(f"as_at = {{ file_name = '(x)' }}\nsnapshot = {value}")
    assert parse_settings(text).sources[0].files[0].snapshot == expected


def test_every_fault_is_found_at_once() -> None:
    text = HEAD.replace("acute", "x").replace("RA7", "R") + SOURCE + FILE + "[limits]\nx = 1\n"
    found = faults(text + "[link]\njoin_bits = 'x'\n")
    assert [re.match(r"[\w.\[\]]+", fault).group() for fault in found] == [  # type: ignore[union-attr]
        "organisation[0].code", "source[0].organisations", "limits.x", "link.join_bits",
    ]  # fmt: skip
