"""A source with a FHIR server that is searched, and the folder that the answers come to."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from adapters.fhir_pull import FhirPull
from adapters.inbox import find_feeds
from adapters.interfaces import collector_of
from adapters.registry import READERS
from schemas.dates import Instant, to_instant
from schemas.errors import InputError
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from service.collecting import collecting
from service.ingest import SourceReport, ingest
from store.sql_store import SqlStore
from tests.fhir_server import FhirServer

DAY = datetime(2026, 2, 1, tzinfo=UTC)
NAME = "Pemberton-Smythe"
TEN = [f"P{n}" for n in range(1, 11)]
AGAIN = sorted(TEN + TEN[4:], key=lambda id_: int(id_[1:]))
"""All, and the changes of the last five minutes once more."""


def partnership(url: str, extra: str = "", limits: str = "") -> Settings:
    kinds = "" if "resources" in extra else "resources = ['Patient']\n"
    size = "" if "page_size" in extra else "page_size = 4\n"
    return parse_settings(
        f"[partnership]\nname = 'P'\n[limits]\nsettle_seconds = 60\n{limits}"
        "[[organisation]]\ncode = 'A1A1A'\nname = 'A'\nkind = 'k'\n"
        "[[source]]\nid = 'wards'\nname = 'W'\nformat = 'fhir'\norganisations = 'A1A1A'\n"
        f"[source.interface]\nkind = 'fhir'\nurl = '{url}'\n{size}{kinds}{extra}"
    )


class Wards:
    """A source's server, and the folder that collects from it."""

    def __init__(self, server: FhirServer, root: Path) -> None:
        self.server, self.root = server, root
        self.moment = datetime(2026, 3, 1, tzinfo=UTC)
        self.waits: list[float] = []
        self.folder.mkdir(parents=True)

    @property
    def folder(self) -> Path:
        return self.root / "inbox" / "wards"

    def clock(self) -> Instant:
        return to_instant(self.moment)

    def put(self, *numbers: int, kind: str = "Patient", at: int | None = None) -> None:
        """Resources that changed so many minutes into the day; by default as their numbers say."""
        for n in numbers:
            changed = DAY + timedelta(minutes=n if at is None else at)
            fields: dict[str, Any] = {"name": [{"family": f"{NAME} {n}"}]}
            if kind != "Patient":
                fields = {"patient": {"reference": f"Patient/P{n}"}, "code": {"text": NAME}}
            self.server.put(kind, f"P{n}", changed, **fields)

    def collector(self, extra: str = "", limits: str = "") -> FhirPull:
        said = partnership(self.server.url, extra, limits)
        (source,) = said.sources
        inbox = self.root / "inbox"
        made = collector_of(source, self.root, inbox, self.clock, said.limits)
        assert isinstance(made, FhirPull)
        return replace(made, sleep=self.waits.append)

    def collect(self, extra: str = "", limits: str = "") -> list[str]:
        self.moment += timedelta(days=1)
        self.server.moment = self.moment
        return self.collector(extra, limits).collect()

    def fails(self, extra: str = "", limits: str = "") -> str:
        with pytest.raises(InputError) as caught:
            self.collect(extra, limits)
        told = str(caught.value)
        for secret in ("Pemberton", "127.0.0.1", "_count", "swordfish", "http"):
            assert secret not in told
        return told

    def night(self, store: SqlStore, extra: str = "") -> SourceReport:
        self.moment += timedelta(days=1)
        self.server.moment = self.moment
        said = partnership(self.server.url, extra)
        (source,) = said.sources
        found = collecting(find_feeds, {source.id: self.collector(extra)})
        (report,) = ingest(store, said, self.root / "inbox", READERS, found, self.clock)
        return report

    def names(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir())

    def lines(self) -> list[dict[str, Any]]:
        """All that was collected."""
        files = sorted(self.folder.glob("*.ndjson"))
        return [json.loads(line) for file in files for line in file.read_text().splitlines()]

    def ids(self) -> list[str]:
        return sorted((one["id"] for one in self.lines()), key=lambda id_: int(id_[1:]))

    def asked(self) -> int:
        """How many requests there were since this was asked."""
        made = len(self.server.asked)
        self.server.asked.clear()
        return made
