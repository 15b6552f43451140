"""A database of a source that is asked for what is new: nothing is lost, nothing comes twice,
whenever it is asked and whatever breaks meanwhile."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, text

from adapters import spool as spooling
from adapters import sql_source
from adapters.inbox import find_feeds
from adapters.interfaces import collector_of
from adapters.registry import READERS
from schemas.dates import Instant, to_instant
from schemas.errors import InputError
from schemas.records import Outcome
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from service.collecting import NOT_COLLECTED, collecting
from service.ingest import SourceReport, ingest
from store.sql_store import SqlStore
from tests.functional.killer import die_at
from tests.processes import split_off

SINCE = "SELECT id, family, born, changed FROM clients WHERE changed >= :since"
WHOLE = "SELECT id, family, born, changed FROM clients"


def partnership(url: str, sql: str, extra: str = "") -> Settings:
    watched = "watermark = 'changed'\nfirst = 0\n" if ":since" in sql else ""
    return parse_settings(
        "[partnership]\nname = 'P'\n[limits]\nbatch_units = 3\nsettle_seconds = 60\n"
        "[[organisation]]\ncode = 'A1A1A'\nname = 'A'\nkind = 'k'\n"
        "[[source]]\nid = 'wards'\nname = 'W'\nformat = 'delimited'\norganisations = 'A1A1A'\n"
        f"[source.interface]\nkind = 'sql'\nurl = '{url}'\n{extra}"
        f"[[source.interface.query]]\nname = 'clients'\nsql = '''{sql}'''\n{watched}"
        "[[source.file]]\npattern = 'clients_*'\n[source.file.columns]\nlocal_id = 'id'\n"
        "'name.family' = 'family'\nbirth_date = 'born'\n'detail.changed' = 'changed'\n"
    )


class Wards:
    """A source's database, and the partnership that asks it."""

    def __init__(self, url: str, store: SqlStore, root: Path) -> None:
        self.url, self.store, self.root = url, store, root
        (root / "inbox" / "wards").mkdir(parents=True)
        self.engine: Engine = create_engine(url)
        self.moment = datetime(2026, 3, 1, tzinfo=UTC)
        with self.engine.begin() as conn:
            conn.execute(
                text("CREATE TABLE clients (id TEXT, family TEXT, born DATE, changed BIGINT)")
            )

    def put(self, *people: tuple[str, str, int]) -> None:
        with self.engine.begin() as conn:
            for id_, family, changed in people:
                conn.execute(text("DELETE FROM clients WHERE id = :id"), {"id": id_})
                conn.execute(
                    text("INSERT INTO clients VALUES (:id, :family, '1950-01-31', :changed)"),
                    {"id": id_, "family": family, "changed": changed},
                )

    def clock(self) -> Instant:
        return to_instant(self.moment)

    def collect(self, sql: str = SINCE, extra: str = "") -> list[str]:
        self.moment += timedelta(seconds=1)
        (source,) = partnership(self.url, sql, extra).sources
        return collector_of(source, self.root, self.inbox, self.clock).collect()

    def night(self, sql: str = SINCE, extra: str = "") -> SourceReport:
        self.moment += timedelta(hours=24)
        settings = partnership(self.url, sql, extra)
        (source,) = settings.sources
        found = collecting(
            find_feeds, {source.id: collector_of(source, self.root, self.inbox, self.clock)}
        )
        (report,) = ingest(self.store, settings, self.inbox, READERS, found, self.clock)
        return report

    @property
    def inbox(self) -> Path:
        return self.root / "inbox"

    def files(self) -> list[str]:
        return sorted(path.name for path in (self.inbox / "wards").iterdir())


@pytest.fixture
def wards(empty_url: str, store: SqlStore, tmp_path: Path) -> Iterator[Wards]:
    made = Wards(empty_url, store, tmp_path / "workspace")
    yield made
    made.engine.dispose()


PEOPLE = [(f"P{n}", f"Name {n}", n) for n in range(1, 11)]


def test_what_is_new_is_asked_for_and_what_was_read_is_unchanged(wards: Wards) -> None:
    wards.put(*PEOPLE)
    first = wards.night()
    assert first.counts == Counter({Outcome.NEW: 10}), first
    wards.put(("P3", "Other", 11), ("P11", "Name 11", 11))
    report = wards.night()
    assert (report.feeds, report.known) == (1, 1)
    assert report.counts == Counter({Outcome.UNCHANGED: 1, Outcome.CHANGED: 1, Outcome.NEW: 1})
    assert wards.night().counts == Counter({Outcome.UNCHANGED: 2}), "what stood at the watermark"


def test_a_question_without_a_watermark_asks_for_all(wards: Wards) -> None:
    wards.put(*PEOPLE)
    wards.night(WHOLE)
    wards.put(("P1", "Other", 1))
    assert wards.night(WHOLE).counts == Counter({Outcome.UNCHANGED: 9, Outcome.CHANGED: 1})
    assert wards.night(WHOLE).feeds == 0, "the same answer is the same feed"


def test_another_question_begins_from_nothing(wards: Wards) -> None:
    wards.put(*PEOPLE)
    wards.night()
    other = SINCE.replace("clients WHERE", "clients WHERE id <> 'P1' AND")
    assert wards.night(other).counts == Counter({Outcome.UNCHANGED: 9})


def test_no_answer_makes_no_file(wards: Wards) -> None:
    assert wards.collect() == []
    assert wards.files() == []


def test_two_answers_within_a_second_are_two_files(wards: Wards) -> None:
    wards.put(*PEOPLE)
    for _ in range(2):
        wards.moment -= timedelta(seconds=1)
        wards.collect()
    assert [name for name in wards.files() if not name.startswith(".")] == [
        "clients_20260301T000000Z.csv", "clients_20260301T000001Z.csv",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT 1 FROM nowhere", "query clients: the database did not answer"),
        ("SELECT id, family AS id FROM clients", "two columns have one name"),
        (SINCE.replace("changed FROM", "born AS b FROM"), "no column 'changed'"),
        (SINCE.replace("changed FROM", "changed * 1.5 AS changed FROM"), "watermark holds other"),
        (SINCE.replace("id, family, born,", "(CASE WHEN id = 'P7' THEN 'x' ELSE '' END) AS id,"
                       " family, 'Pemberton-Smythe' AS who,") + " AND 1 / (changed - 8) < 9",
         "query clients: the database did not answer"),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_told_and_leaves_nothing(
    wards: Wards, sql: str, message: str
) -> None:
    wards.put(*PEOPLE)
    if "1 /" in sql and wards.engine.dialect.name == "sqlite":
        pytest.skip("SQLite divides by zero without a word")
    (told,) = wards.night(sql).notices
    assert told.startswith(f"{NOT_COLLECTED}: ")
    assert message in told
    assert "Pemberton" not in told
    assert wards.files() == []


@pytest.mark.parametrize(
    "sql", ["WITH gone AS (SELECT 1) DELETE FROM clients", "SELECT id FROM clients; DROP TABLE c"]
)
def test_nothing_is_written_to_the_database(wards: Wards, sql: str) -> None:
    wards.put(*PEOPLE)
    with pytest.raises(InputError, match=r"did not answer|answers no rows"):
        wards.collect(sql)
    with wards.engine.connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM clients")) == 10


MOMENTS = {
    "before the file is made durable": ("os:fsync", 1, "before"),
    "before the file has its name": ("pathlib:Path.rename", 1, "before"),
    "after the file has its name": ("pathlib:Path.rename", 1, "after"),
    "before the position has its name": ("pathlib:Path.rename", 2, "before"),
    "after the position has its name": ("pathlib:Path.rename", 2, "after"),
    "while rows are written": ("adapters.sql_source:texts", 5, "before"),
}


def collect_and_die(told: list[str]) -> None:
    """Collects in a process that dies at a moment."""
    url, root, moment = told
    die_at(*MOMENTS[moment])
    (source,) = partnership(url, SINCE).sources
    now = Instant("2026-03-01T00:00:00Z")
    collector_of(source, Path(root), Path(root) / "inbox", lambda: now).collect()


@pytest.mark.parametrize("database_kind", ["sqlite"])
@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_at_any_moment_all_come_in_once(wards: Wards, moment: str) -> None:
    wards.put(*PEOPLE)
    assert split_off(collect_and_die, [wards.url, wards.root, moment]).code == -signal.SIGKILL
    first = wards.night()
    assert (first.counts[Outcome.NEW], first.counts[Outcome.CHANGED]) == (10, 0)
    assert first.notices == []


def test_a_connection_that_breaks_amid_the_answer(
    wards: Wards, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only where the database is another process can its connection break."""
    if wards.engine.dialect.name == "sqlite":
        pytest.skip("SQLite has no connection to lose")
    wards.put(*((f"P{n}", "Wren", n) for n in range(400)))
    monkeypatch.setattr(sql_source, "_ROWS_AT_ONCE", 100)
    real, written = sql_source.texts, []

    def counted(*arguments: object) -> object:
        written.append(1)
        if len(written) == 250:
            with wards.engine.connect() as conn:
                conn.execute(text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                ))  # fmt: skip
        return real(*arguments)  # type: ignore[arg-type]

    with monkeypatch.context() as broken:
        broken.setattr(sql_source, "texts", counted)
        (told,) = wards.night().notices
    assert "did not answer" in told
    assert wards.files() == []
    assert wards.night().counts == Counter({Outcome.NEW: 400})


def test_a_position_that_cannot_be_read_is_told(wards: Wards) -> None:
    wards.put(*PEOPLE)
    wards.collect()
    (position,) = (wards.inbox / "wards").glob(".position-*")
    position.write_text("{}")
    with pytest.raises(InputError, match="remove the file"):
        wards.collect()
    position.unlink()
    assert wards.collect() == []


def test_the_password_is_a_file_of_its_owner(wards: Wards) -> None:
    secret = wards.root / "wards.password"
    extra = "password_file = 'wards.password'\n"
    with pytest.raises(InputError, match="cannot be read"):
        wards.collect(extra=extra)
    secret.write_text("swordfish\n")
    secret.chmod(0o644)
    with pytest.raises(InputError, match="chmod 600") as caught:
        wards.collect(extra=extra)
    assert "swordfish" not in str(caught.value)
    secret.chmod(0o600)
    if wards.engine.dialect.name == "postgresql":  # it trusts whoever is on this machine
        wards.put(*PEOPLE)
        assert wards.collect(extra=extra) == []


def test_positions_are_kept_in_their_kind(tmp_path: Path) -> None:
    spool = spooling.Spool(tmp_path, lambda: Instant("2026-03-01T00:00:00Z"))
    positions = (7, "0000A1", datetime(2026, 3, 1, 4, 5, 6, 7, tzinfo=UTC), datetime(2026, 3, 1))  # noqa: DTZ001
    for position in (*positions, positions[-1].date()):
        spool.set_position("q", "question", position)
        held = spool.position("q", "question")
        assert (held, type(held)) == (position, type(position))
    assert spool.position("q", "another") is None
