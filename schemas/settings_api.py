"""Settings of the API: whose sign-in counts, how claims are read, how much may be asked for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.identifiers import OdsCode

ALGORITHMS = ("ES256", "ES384", "ES512", "PS256", "PS384", "PS512", "RS256", "RS384", "RS512")
"""Signatures that can be allowed: asymmetric ones only, so that no public key can pass for a shared
secret, and `none` is none of them (RFC 8725, 3.1 and 3.2)."""
IUA = "extensions.ihe_iua."
"""Where IHE Internet User Authorization [ITI-71] puts its claims in a token."""


@dataclass(frozen=True)
class ClientSettings:
    """A system that asks for itself: a client of an identity provider that holds a token of its own
    (client credentials, authenticated by a signed JWT at the provider).

    Attributes:
        id: its client id at the provider.
        organisation, role, purposes: for whom, as what and what for it may ask.
    """

    id: str
    organisation: OdsCode
    role: str
    purposes: tuple[str, ...]


@dataclass(frozen=True)
class IdentityProvider:
    """An OpenID Connect provider whose access tokens count here.

    Claims are named by paths, their parts joined by dots. Where `role_list` is set, `organisation`,
    `role` and `team` are looked up in that entry of the list whose `role_key` is what the claim
    `role_selected` says (NHS CIS2: `nhsid_nrbac_roles`, `person_roleid`, `selected_roleid`).

    Attributes:
        audience: what a token must be meant for.
        discovery: address of its configuration; by default that of OpenID Connect Discovery.
        algorithms: signatures that count, out of `ALGORITHMS`.
        leeway_seconds: how far clocks may differ.
        max_token_minutes: a token that lives longer is refused.
        keys_minutes: so long its keys are kept before they are asked for again.
        roles: role code in a token → role here; a code in no row is refused.
        scopes_required: without SMART scopes nothing is permitted; `false` leaves it to roles.
    """

    issuer: str
    audience: str
    discovery: str = ""
    algorithms: tuple[str, ...] = ("ES256", "PS256", "RS256")
    leeway_seconds: int = 30
    max_token_minutes: int = 720
    keys_minutes: int = 10
    staff_id: str = "sub"
    organisation: str = IUA + "subject_organization_id"
    role: str = IUA + "subject_role"
    purpose: str = IUA + "purpose_of_use"
    team: str = "team"
    role_list: str = ""
    role_key: str = "person_roleid"
    role_selected: str = "selected_roleid"
    scopes_required: bool = True
    roles: Mapping[str, str] = field(default_factory=dict)
    clients: tuple[ClientSettings, ...] = ()

    def client(self, client_id: str) -> ClientSettings | None:
        """The client of this id, or None."""
        return next((client for client in self.clients if client.id == client_id), None)

    def discovery_url(self) -> str:
        """Where its configuration is."""
        return self.discovery or self.issuer.rstrip("/") + "/.well-known/openid-configuration"


@dataclass(frozen=True)
class ApiSettings:
    """How the API answers.

    Attributes:
        base_url: its address as clients see it; by default that of the request.
        values_in_urls: searches with names, numbers and the like in the address are answered too,
            although logs on the way keep addresses; otherwise they are told to use POST _search.
        page_size, max_page_size: entries of a page, where none are asked for and at most.
        searches_per_minute, reads_per_minute: of one member of staff or client, over all workers.
        max_body_bytes: largest request.
    """

    base_url: str = ""
    values_in_urls: bool = False
    page_size: int = 50
    max_page_size: int = 200
    searches_per_minute: int = 60
    reads_per_minute: int = 300
    max_body_bytes: int = 262_144
