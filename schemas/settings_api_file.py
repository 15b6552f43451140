"""Reads the API's part of partnership.toml: [api] and [[identity_provider]]. No I/O."""

from __future__ import annotations

from urllib.parse import urlsplit

from schemas.codes import PURPOSES
from schemas.errors import InvalidValue
from schemas.identifiers import OdsCode, parse_ods_code
from schemas.settings_api import ALGORITHMS, ApiSettings, ClientSettings, IdentityProvider
from schemas.settings_table import Table

_LOCAL = ("localhost", "127.0.0.1", "::1")


def read_api(table: Table) -> ApiSettings:
    """The [api] table."""
    d = ApiSettings()
    api = ApiSettings(
        base_url=table.text("base_url", d.base_url).rstrip("/"),
        values_in_urls=table.flag("values_in_urls", d.values_in_urls),
        page_size=table.whole("page_size", d.page_size, 1, 1_000),
        max_page_size=table.whole("max_page_size", d.max_page_size, 1, 1_000),
        searches_per_minute=table.whole("searches_per_minute", d.searches_per_minute, 1, 100_000),
        reads_per_minute=table.whole("reads_per_minute", d.reads_per_minute, 1, 100_000),
        max_body_bytes=table.whole("max_body_bytes", d.max_body_bytes, 1_024, 16 << 20),
    )
    table.done()
    if api.base_url and urlsplit(api.base_url).scheme not in ("https", "http"):
        table.fault("base_url", "expected an address that begins with https:// or http://")
    if api.page_size > api.max_page_size:
        table.fault("page_size", "must not be above max_page_size")
    return api


def read_provider(table: Table) -> IdentityProvider:
    """One [[identity_provider]] block."""
    d = IdentityProvider("", "")
    clients = tuple(_client(t) for t in table.tables("client"))
    provider = IdentityProvider(
        issuer=_address(table, "issuer", table.text("issuer")),
        audience=table.text("audience"),
        discovery=_address(table, "discovery", table.text("discovery", d.discovery)),
        algorithms=table.texts("algorithms", d.algorithms),
        leeway_seconds=table.whole("leeway_seconds", d.leeway_seconds, 0, 300),
        max_token_minutes=table.whole("max_token_minutes", d.max_token_minutes, 1, 1_440),
        keys_minutes=table.whole("keys_minutes", d.keys_minutes, 1, 1_440),
        staff_id=table.text("staff_id", d.staff_id),
        organisation=table.text("organisation", d.organisation),
        role=table.text("role", d.role),
        purpose=table.text("purpose", d.purpose),
        team=table.text("team", d.team),
        role_list=table.text("role_list", d.role_list),
        role_key=table.text("role_key", d.role_key),
        role_selected=table.text("role_selected", d.role_selected),
        scopes_required=table.flag("scopes_required", d.scopes_required),
        roles=table.mapping("roles"),
        clients=clients,
    )
    table.done()
    strange = [name for name in provider.algorithms if name not in ALGORITHMS]
    if strange or not provider.algorithms:
        table.fault("algorithms", f"expected some of {', '.join(ALGORITHMS)}")
    return provider


def _address(table: Table, key: str, text: str) -> str:
    """An address that nobody on the way can change: HTTPS, or this machine."""
    parts = urlsplit(text)
    safe = parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOCAL)
    if text and not (safe and parts.hostname):
        table.fault(key, "expected an address that begins with https://")
    return text


def _client(table: Table) -> ClientSettings:
    try:
        organisation = parse_ods_code(table.text("organisation"))
    except InvalidValue as error:
        table.fault("organisation", error.reason)
        organisation = OdsCode("")
    purposes = table.texts("purposes", None)
    for purpose in purposes:
        if purpose not in PURPOSES:
            table.fault("purposes", f"expected some of {', '.join(PURPOSES)}")
    client = ClientSettings(table.text("id"), organisation, table.text("role"), purposes)
    table.done()
    return client
