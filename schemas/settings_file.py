"""Reads partnership.toml: text in, frozen settings out. No I/O.

Rules:
- Every fault is found and reported at once, each with its place (`source[2].file[0].columns`).
- An unknown key is a fault: a misspelt setting must not silently fall back to its default.
- No settings are built while any fault stands.
"""

from __future__ import annotations

import tomllib

from schemas.codes import PURPOSES
from schemas.errors import SettingsError
from schemas.identifiers import SourceId
from schemas.settings import (
    Limits,
    LinkSettings,
    Organisation,
    ReviewSettings,
    Settings,
)
from schemas.settings_api_file import read_api, read_provider
from schemas.settings_audit import read_audit
from schemas.settings_feeds import ods_code, read_source, time_zone, unique
from schemas.settings_sharing import read_sharing
from schemas.settings_table import Checker, Table


def parse_settings(text: str, where: str = "partnership.toml") -> Settings:
    """Settings from the text of partnership.toml. Raises: SettingsError with every fault."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(where, [f"not TOML: {error}"]) from None
    checker = Checker()
    settings = _settings(Table(document, "", checker))
    if checker.faults:
        raise SettingsError(where, checker.faults)
    return settings


def _settings(root: Table) -> Settings:
    head = root.table("partnership")
    name = head.text("name")
    database = head.text("database", "sqlite:///partnership.db")
    demo = head.flag("demo", False)
    head.done()
    organisations = tuple(_organisation(t) for t in root.tables("organisation"))
    known = {o.code for o in organisations}
    sources = tuple(read_source(t, known) for t in root.tables("source"))
    unique(root, "source", [s.id for s in sources])
    unique(root, "organisation", [o.code for o in organisations])
    providers = tuple(read_provider(t) for t in root.tables("identity_provider"))
    unique(root, "identity_provider", [p.issuer for p in providers])
    settings = Settings(
        name=name,
        database=database,
        demo=demo,
        organisations=organisations,
        sources=sources,
        actors=root.mapping("actors"),
        default_purpose=_purposes(root),
        limits=_limits(root.table("limits")),
        link=_link(root.table("link")),
        review=_review(root.table("review"), {s.id for s in sources}),
        sharing=read_sharing(root.table("sharing"), {s.id for s in sources}, known),
        api=read_api(root.table("api")),
        audit=read_audit(root.table("audit"), time_zone),
        providers=providers,
    )
    root.done()
    return settings


def _purposes(root: Table) -> dict[str, str]:
    purposes = root.mapping("default_purpose")
    for command, purpose in purposes.items():
        if purpose not in PURPOSES:
            root.fault(f"default_purpose.{command}", f"expected one of {', '.join(PURPOSES)}")
    return purposes


def _organisation(table: Table) -> Organisation:
    code = ods_code(table, "code", table.text("code"))
    organisation = Organisation(code, table.text("name"), table.text("kind"))
    table.done()
    return organisation


def _limits(table: Table) -> Limits:
    d = Limits()
    limits = Limits(
        max_unit_bytes=table.whole("max_unit_bytes", d.max_unit_bytes, 1024, 1 << 30),
        max_message_bytes=table.whole("max_message_bytes", d.max_message_bytes, 1024, 1 << 30),
        max_document_bytes=table.whole("max_document_bytes", d.max_document_bytes, 1024, 1 << 32),
        max_expanded_bytes=table.whole("max_expanded_bytes", d.max_expanded_bytes, 1024, 1 << 40),
        max_expansion_ratio=table.whole("max_expansion_ratio", d.max_expansion_ratio, 2, 100_000),
        settle_seconds=table.number("settle_seconds", d.settle_seconds, 0, 3600),
        batch_units=table.whole("batch_units", d.batch_units, 1, 1_000_000),
    )
    table.done()
    return limits


_MOST = 1_000_000_000


def _link(table: Table) -> LinkSettings:
    d = LinkSettings()
    guarded = "max_changed_fraction" in table.values
    link = LinkSettings(
        join_bits=table.number("join_bits", d.join_bits, -50, 100),
        review_bits=table.number("review_bits", d.review_bits, -50, 100),
        accept_test_numbers=table.flag("accept_test_numbers", d.accept_test_numbers),
        max_changed_fraction=table.number("max_changed_fraction", 1, 0, 1) if guarded else None,
        max_joined=table.whole("max_joined", d.max_joined, 0, _MOST),
        max_joined_fraction=table.number("max_joined_fraction", d.max_joined_fraction, 0, 1),
        max_split=table.whole("max_split", d.max_split, 0, _MOST),
        max_split_fraction=table.number("max_split_fraction", d.max_split_fraction, 0, 1),
        max_moved=table.whole("max_moved", d.max_moved, 0, _MOST),
        max_moved_fraction=table.number("max_moved_fraction", d.max_moved_fraction, 0, 1),
    )
    table.done()
    if link.review_bits > link.join_bits:
        table.fault("review_bits", "must not be above join_bits")
    return link


def _review(table: Table, sources: set[SourceId]) -> ReviewSettings:
    d = ReviewSettings()
    own = table.table("own_records")
    review = ReviewSettings(
        two_people_above=table.whole("two_people_above", d.two_people_above, 1, 10_000),
        named_staff=table.texts("named_staff", d.named_staff),
        undecided_days=table.whole("undecided_days", d.undecided_days, 1, 3_650),
        double_share=table.number("double_share", d.double_share, 0, 1),
        own_records={account: own.texts(account) for account in own.values},
    )
    table.done()
    for account, records in review.own_records.items():
        for record in records:
            source, slash, local_id = record.partition("/")
            if not slash or not local_id or source not in sources:
                own.fault(account, "expected records as SOURCE/LOCAL_ID, of a source in this file")
    return review
