"""Paths: the endpoint that the application itself would choose, for every method and path."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI
from hypothesis import given
from hypothesis import strategies as st
from starlette.routing import Match

from api.dispatch import Paths
from api.table import ROUTES

FORMS = sorted(
    {(form.method, f"/fhir/R4/{form.path}") for route in ROUTES for form in route.forms},
    key=lambda one: (one[1].count("{"), one),
)
SEGMENTS = sorted({part for _, path in FORMS for part in path.split("/")} | {"p1", "é"})


def _app() -> FastAPI:
    app = FastAPI(docs_url=None, redoc_url=None, openapi_url=None, redirect_slashes=False)
    for method, path in FORMS:
        app.add_api_route(path, _endpoint((method, path)), methods=[method])
    return app


def _endpoint(name: tuple[str, str]) -> Any:
    async def endpoint() -> None:
        """Never called."""

    endpoint.__name__ = " ".join(name)
    return endpoint


APP = _app()
PATHS = Paths((method, path, _endpoint((method, path))) for method, path in FORMS)


def _chosen(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    """What the application chooses, looking at its routes one after another."""
    scope = {"type": "http", "method": method, "path": path, "headers": []}
    for route in APP.routes:
        match, found = route.matches(scope)
        if match is Match.FULL:
            return found["endpoint"].__name__, found["path_params"]
    return None


def _found(method: str, path: str) -> tuple[str, dict[str, str]] | None:
    found = PATHS.find(method, path)
    return None if found is None else (found[0].__name__, found[1])  # type: ignore[attr-defined]


@pytest.mark.parametrize(("method", "path"), FORMS, ids=map(" ".join, FORMS))
def test_every_form_leads_to_its_own_endpoint(method: str, path: str) -> None:
    asked = path.replace("{id}", "p1")
    assert _found(method, asked) == (f"{method} {path}", {"id": "p1"} if "{id}" in path else {})
    assert _found(method, asked) == _chosen(method, asked)
    assert _found("DELETE", asked) is None


@given(
    st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    st.lists(st.one_of(st.sampled_from(SEGMENTS), st.text(max_size=3)), max_size=4),
    st.booleans(),
)
def test_any_path_leads_where_the_application_would_lead_it(
    method: str, parts: list[str], under: bool
) -> None:
    path = ("/fhir/R4/" if under else "/") + "/".join(parts)
    if "\n" not in path:
        assert _found(method, path) == _chosen(method, path)
