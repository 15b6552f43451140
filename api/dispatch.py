"""Requests of the table of routes go straight to their endpoints.

The application holds the same routes one after another, for its description and for what goes
wrong: what is not found here (another method, another path) is left to it. To look at them in turn
takes longer than to decide about a person.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping

from fastapi import Request, Response
from starlette.types import ASGIApp, Receive, Scope, Send

Endpoint = Callable[[Request], Awaitable[Response]]
Places = tuple[int, ...]


class Paths:
    """Endpoints by method and path; `{name}` stands for one segment of a path, of any text.

    What is named outright comes before what a name could stand for.
    """

    def __init__(self, known: Iterable[tuple[str, str, Endpoint]]) -> None:
        self._found: dict[tuple[str, ...], tuple[Endpoint, Mapping[int, str]]] = {}
        self._shapes: dict[int, list[Places]] = {}
        for method, path, endpoint in known:
            parts = path.split("/")
            names = {at: part[1:-1] for at, part in enumerate(parts) if part.startswith("{")}
            self._found[_key(method, parts, tuple(names))] = endpoint, names
            shapes = self._shapes.setdefault(len(parts), [])
            if tuple(names) not in shapes:
                shapes.append(tuple(names))
                shapes.sort(key=len)

    def find(self, method: str, path: str) -> tuple[Endpoint, dict[str, str]] | None:
        """The endpoint, and what the names stand for."""
        parts = path.split("/")
        for places in self._shapes.get(len(parts), ()):
            found = self._found.get(_key(method, parts, places))
            if found is not None and all(parts[at] for at in places):
                endpoint, names = found
                return endpoint, {name: parts[at] for at, name in names.items()}
        return None


def _key(method: str, parts: list[str], places: Places) -> tuple[str, ...]:
    return (method, *("{}" if at in places else part for at, part in enumerate(parts)))


class Straight:
    """The layer of the application that sends requests to their endpoints."""

    def __init__(self, app: ASGIApp, paths: Paths) -> None:
        self._app, self._paths = app, paths

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers the request, or leaves it to the layers beneath."""
        found = None
        if scope["type"] == "http" and not scope.get("root_path"):
            found = self._paths.find(scope["method"], scope["path"])
        if found is None:
            await self._app(scope, receive, send)
            return
        endpoint, scope["path_params"] = found
        response = await endpoint(Request(scope, receive, send))
        await response(scope, receive, send)
