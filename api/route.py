"""One row of the table of routes, what a handler is given, and what it gives back.

The table is the whole of the API: the application, `metadata` and the OpenAPI are built from it, so
that none of them can speak of what is not there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from api.cursors import Cursors
from api.params import CURSOR, Param, Params
from api.render_lists import Naming
from api.scopes import allows
from schemas.dates import Clock
from schemas.errors import NotFound
from schemas.identifiers import PersonId
from schemas.settings import Settings
from schemas.sharing import Requester
from service.sharing import Sharing


class Does(StrEnum):
    """FHIR R4 interactions, as a CapabilityStatement names them, and operations."""

    READ = "read"
    SEARCH = "search-type"
    CREATE = "create"
    OPERATION = "operation"


@dataclass(frozen=True)
class Desk:
    """What all requests share.

    Attributes:
        clock: the present moment.
        naming: an organisation's or source's name, for people to read.
    """

    sharing: Sharing
    settings: Settings
    cursors: Cursors
    clock: Clock
    naming: Naming


@dataclass(frozen=True)
class Ask:
    """One request, signed in and parsed.

    Attributes:
        grants: resource type → scope letters, None where no scopes narrow anything.
        offset: where the page begins.
        body: the decoded resource of a POST; None where there is none.
        base: address of the API, as the client sees it.
    """

    route: Route
    desk: Desk
    requester: Requester
    grants: dict[str, frozenset[str]] | None
    path: Mapping[str, str]
    params: Params
    base: str
    offset: int = 0
    body: Any = None

    @property
    def person(self) -> PersonId:
        """The id of the person in the path."""
        return PersonId(self.path["id"])

    def may(self, kind: str, letter: str) -> bool:
        """Whether the token's scopes include a type and letter."""
        return allows(self.grants, kind, letter)

    def page_size(self) -> int:
        """Entries of a page."""
        api = self.desk.settings.api
        return self.params.number("_count", api.page_size, 0, api.max_page_size)

    def links(self, following: int | None) -> list[tuple[str, str]]:
        """Links to this page and the next, as sealed cursors."""
        found = [("self", self._page(self.offset))]
        return [*found, ("next", self._page(following))] if following is not None else found

    def _page(self, offset: int) -> str:
        cursor = self.desk.cursors.make(
            self.requester, self.route.name, self.params.given(), offset
        )
        return f"{self.base}/{self.route.address(self.path)}?{CURSOR.name}={cursor}"


@dataclass(frozen=True)
class Answer:
    """What is sent back.

    Attributes:
        etag: whether it may be asked for conditionally.
    """

    resource: dict[str, Any]
    status: int = 200
    etag: bool = False
    headers: Mapping[str, str] = field(default_factory=dict)


Handler = Callable[[Ask], Answer]


@dataclass(frozen=True)
class Form:
    """One way to reach a route. `path` is beneath the base, with {id} where an id stands."""

    method: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Route:
    """One row.

    Attributes:
        kind: resource type; '' for what is about no type.
        action: as it is written down (audit/actions.py).
        letter: of the scope that it needs (r, s, c).
        rate: which limit counts it: `searches` or `reads`.
        summary: what it does, in a sentence.
        body: resource types that it takes as a body.
        operation: its name without `$`, and the address of its definition where it has one.
        statuses: of HTTP that it can answer with beside those that all have.
    """

    name: str
    kind: str
    action: str
    does: Does
    forms: tuple[Form, ...]
    letter: str
    handler: Handler
    summary: str
    rate: str = "reads"
    params: tuple[Param, ...] = ()
    body: tuple[str, ...] = ()
    operation: str = ""
    definition: str = ""
    statuses: tuple[int, ...] = ()

    def address(self, path: Mapping[str, str]) -> str:
        """Where a GET of it goes."""
        form = next((f for f in self.forms if f.method == "GET"), self.forms[0])
        return form.path.format(**path)


def search_forms(kind: str) -> tuple[Form, ...]:
    """A search by GET, and by POST of a form."""
    return (Form("GET", kind), Form("POST", f"{kind}/_search"))


def absent(kind: str) -> NotFound:
    """The answer for what is not there, and for what is silently refused."""
    return NotFound(f"no {kind} of this id")
