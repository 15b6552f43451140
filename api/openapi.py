"""The OpenAPI of a route: parameters, bodies, answers. Built from its row of the table."""

from __future__ import annotations

from typing import Any

from api.params import Kind, Param
from api.route import Form, Route

FHIR_JSON = "application/fhir+json"
FORM = "application/x-www-form-urlencoded"
COMMON = (400, 401, 403, 404, 406, 429, 503)
"""Statuses that every route can answer with, beside 200."""
_STATUS_TEXT = {
    200: "What was asked for, as FHIR R4; for TOO_MANY_MATCHES an OperationOutcome",
    201: "Done, and written down",
    304: "Not changed since the version that If-None-Match names",
    400: "The request is malformed, or cannot be served so",
    401: "No access token, or none that counts",
    403: "This may not be shown or done",
    404: "Nothing of this id",
    406: "Answers are JSON",
    410: "The id is gone: identify the person again",
    413: "The request is too long",
    415: "This content type is not read",
    429: "Too many requests",
    503: "Not ready to answer",
}
_SCHEMAS: dict[Kind, dict[str, Any]] = {
    Kind.NUMBER: {"type": "integer", "minimum": 0, "maximum": 999_999_999},
    Kind.FLAG: {"type": "boolean"},
}
_ID = {
    "name": "id", "in": "path", "required": True,
    "schema": {"type": "string", "pattern": "^[A-Za-z0-9.-]{1,64}$"},
}  # fmt: skip


def operation(route: Route, form: Form) -> dict[str, Any]:
    """What OpenAPI says of a route in one of its forms, beside its answers."""
    found: dict[str, Any] = {
        "operationId": f"{form.method.lower()} {route.name}".replace(" ", "-"),
        "security": [{"bearer": []}],
        "parameters": [_ID] if "{id}" in form.path else [],
    }
    if form.method == "GET":
        found["parameters"] += [_parameter(param) for param in route.params]
    elif form.path.endswith("/_search"):
        found["requestBody"] = {"content": {FORM: {"schema": _form(route)}}}
    else:
        found["requestBody"] = {
            "required": True,
            "content": {FHIR_JSON: {"schema": _resource(route)}},
        }
    return found


def plain(media: str, kind: str, *statuses: int) -> dict[int | str, dict[str, Any]]:
    """Status → what it means, for what is beside the table; `kind` is the type of its content."""
    content = {"content": {media: {"schema": {"type": kind}}}}
    return {status: {"description": _STATUS_TEXT[status], **content} for status in (200, *statuses)}


def answers(route: Route, form: Form) -> dict[int | str, dict[str, Any]]:
    """Status → what it means, for a route in one of its forms."""
    statuses = {200, *COMMON, *route.statuses}
    if form.method == "POST":
        statuses |= {413, 415}
    return {
        status: {
            "description": _STATUS_TEXT[status],
            **({} if status == 304 else {"content": {FHIR_JSON: {"schema": _ANY}}}),
        }
        for status in sorted(statuses)
    }


_ANY = {
    "type": "object",
    "required": ["resourceType"],
    "properties": {"resourceType": {"type": "string"}},
}


def _schema(param: Param) -> dict[str, Any]:
    one = dict(_SCHEMAS.get(param.kind, {"type": "string", "minLength": 1, "maxLength": 1_000}))
    if param.choices:
        one = {"type": "string", "enum": list(param.choices)}
    if param.many > 1:
        return {"type": "array", "items": one, "maxItems": param.many}
    return one


def _parameter(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        "in": "query",
        "required": False,
        "description": param.text,
        "schema": _schema(param),
    }


def _form(route: Route) -> dict[str, Any]:
    properties = {param.name: _schema(param) for param in route.params}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _resource(route: Route) -> dict[str, Any]:
    kinds = {"type": "string", "enum": list(route.body)}
    return {"type": "object", "required": ["resourceType"], "properties": {"resourceType": kinds}}
