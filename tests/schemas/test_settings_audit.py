"""The [audit] settings: read, and every fault told."""

from __future__ import annotations

import pytest

from audit.actions import EventClass
from schemas.errors import SettingsError
from schemas.settings_audit import RETAINED_CLASSES, AuditSettings, WitnessSettings
from schemas.settings_file import parse_settings

HEAD = '[partnership]\nname = "P"\n'
FULL = """
[audit]
origin = "log.example/p"
second_journal = "/mnt/other"
checkpoint_too_old_minutes = 15
retention_days = 400
day_starts = "07:30"
day_ends = "20:00"
time_zone = "Europe/Paris"
privacy_officer = "operator"
[audit.retention]
access = 2_922
break-glass = 5_000
[[audit.witness]]
name = "w.example"
key = "w.example+00+AAAA"
url = "https://w.example/"
"""


def test_each_setting_is_read() -> None:
    read = parse_settings(HEAD + FULL).audit
    assert read == AuditSettings(
        origin="log.example/p",
        second_journal="/mnt/other",
        witnesses=(WitnessSettings("w.example", "w.example+00+AAAA", "https://w.example/"),),
        checkpoint_too_old_minutes=15,
        retention_days=400,
        retention={"access": 2_922, "break-glass": 5_000},
        day_starts="07:30",
        day_ends="20:00",
        time_zone="Europe/Paris",
        privacy_officer="operator",
    )
    assert [read.kept_days(one) for one in ("access", "search")] == [2_922, 400]
    assert parse_settings(HEAD).audit == AuditSettings()


def test_the_classes_are_those_of_the_log() -> None:
    assert set(RETAINED_CLASSES) == {one.value for one in EventClass}


WITNESS = '[[audit.witness]]\nname = "w"\nkey = "w+00+AAAA"\n'


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[audit]\norigin = 'a b'", "audit.origin: expected letters"),
        ("[audit]\norigin = 'a+b'", "audit.origin: expected letters"),
        ("[audit]\nsecond_journal = ''", "audit.second_journal: expected a folder"),
        ("[audit]\nretention_days = 0", "audit.retention_days: expected 1 to 36525"),
        ("[audit.retention]\naccess = 0", "audit.retention.access: expected 1 to"),
        ("[audit.retention]\nsearches = 10", "audit.retention.searches: expected one of access"),
        ("[audit]\nday_starts = '8:00'", "audit.day_starts: expected a time"),
        ("[audit]\nday_starts = '20:00'", "audit.day_starts: expected a time before"),
        ("[audit]\ntime_zone = 'Mars'", "audit.time_zone: 'Mars' is no IANA time zone"),
        ("[audit]\nretain = 1", "audit.retain: unknown setting"),
        (WITNESS.replace("w+00", "v+00"), "audit.witness[0].key: expected the verifier key"),
        (WITNESS + "url = 'http://w.example'", "audit.witness[0].url: expected an address"),
        (WITNESS + WITNESS, "audit.witness: w stands twice"),
        (WITNESS.replace("key", "keys"), "audit.witness[0].key: missing"),
    ],
)
def test_fault(text: str, fault: str) -> None:
    with pytest.raises(SettingsError) as caught:
        parse_settings(f"{HEAD}{text}\n")
    assert any(one.startswith(fault) for one in caught.value.faults), caught.value.faults


def test_this_machine_may_answer_without_tls() -> None:
    text = WITNESS + "url = 'http://localhost:8080/'\n"
    assert parse_settings(HEAD + text).audit.witnesses[0].url == "http://localhost:8080/"
