"""The API as an ASGI application: every request from its bytes to an answer.

Rules, in the order in which they are kept:
- A request has an id, which its answer and its line in the log carry. Neither the log nor the
  counts hold an address, an id of a person, or anything that was sent.
- What a route does not read is refused: other content types, longer bodies, unknown parameters.
- Persons' details in an address are refused before anything is looked up.
- Nothing is looked up for a token that does not count; then the limit; then scopes; then the route.
- How long a search took, or an answer that nothing is there, does not tell what was found.
- Every request leaves an event before it is answered (api/written.py for those at fault): an answer
  of which nothing was written down is not sent.
- Every error is an OperationOutcome from the table (api/outcomes.py). Of an error nobody foresaw
  only its kind and place are logged: its message may hold a person's details.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
import traceback
import uuid
from collections.abc import Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import sha256
from importlib.metadata import version
from typing import Any, TypeVar
from urllib.parse import parse_qsl

import msgspec
from fastapi import FastAPI, Request, Response
from starlette.exceptions import HTTPException
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import PlainTextResponse

from api.capability import capability, smart_configuration
from api.dispatch import Paths, Straight
from api.metrics import CONTENT_TYPE
from api.openapi import FHIR_JSON, FORM, answers, operation, plain
from api.outcomes import OUTCOMES, Refused, code_of, message_of, outcome
from api.params import CURSOR, ID, Params, looks_like_number, refuse_personal
from api.route import Answer, Ask, Desk, Form, Route, absent
from api.shaping import shaped
from api.sign_in import Service, let_in, named_by, requester_of
from api.table import ROUTES
from api.words import BASE
from api.written import write_ended
from schemas.errors import CommonthreadError
from schemas.sharing import Call, Requester

log = logging.getLogger("commonthread.api")

T = TypeVar("T")
_REQUEST_ID = re.compile(r"[A-Za-z0-9\-]{8,64}")
_JSON_TYPES = ("application/json", "application/fhir+json", "text/json")
_ACCEPTED = frozenset({*_JSON_TYPES, "*/*", "application/*", "text/*", "application/json+fhir"})
STEP = 0.04
"""Seconds: see `_even_out`."""
_THREADS = ThreadPoolExecutor(max_workers=8, thread_name_prefix="request")


@dataclass(frozen=True)
class Received:
    """One request, read and not yet understood.

    Attributes:
        query: parameters of the address; form: those of the body; body: its bytes.
        headers: by their names in lower case.
        call: as it is written down.
    """

    route: Route
    form: Form
    path: Mapping[str, str]
    query: list[tuple[str, str]]
    body: bytes
    headers: Mapping[str, str]
    base: str
    call: Call


def build_app(service: Service) -> FastAPI:
    """The application."""
    app = FastAPI(
        title="commonthread", version=version("commonthread"), docs_url=None, redoc_url=None,
        openapi_url="/openapi.json", redirect_slashes=False,
    )  # fmt: skip
    app.add_exception_handler(HTTPException, _http_error)
    _add_plain(app, service)
    rows = [(route, form) for route in ROUTES for form in route.forms]
    known = []
    # What is named outright comes before what an id could stand for.
    for route, form in sorted(rows, key=lambda row: row[1].path.count("{")):
        endpoint = _endpoint(service, route, form)
        known.append((form.method, f"{BASE}/{form.path}", endpoint))
        app.add_api_route(
            f"{BASE}/{form.path}",
            endpoint,
            methods=[form.method],
            summary=route.summary,
            tags=[route.kind],
            responses=answers(route, form),
            openapi_extra=operation(route, form),
            response_class=_FhirResponse,
        )
    app.add_middleware(Straight, paths=Paths(known))
    app.add_middleware(GZipMiddleware, minimum_size=1_000, compresslevel=1)
    _describe_security(app)
    return app


async def _in_thread(work: Callable[..., T], *given: Any) -> T:
    """The work's answer, from one of a few threads: more of them would only take turns, and wait
    for one another's commits."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(_THREADS, work, *given)


async def _written(
    service: Service, route: Route, headers: Mapping[str, str], call: Call, code: str
) -> tuple[str, Response] | None:
    """Writes down a request that came to its end with an error; where it could not, what is
    answered instead."""
    try:
        await _in_thread(
            write_ended,
            service.desk.sharing, service.throttle, route, call, code,
            lambda: named_by(service, headers, call),
        )  # fmt: skip
    except Exception as error:
        return _ended(error, call)
    return None


def _ended(error: Exception, call: Call) -> tuple[str, Response]:
    """The code and the answer of a request that ended with an error."""
    if isinstance(error, CommonthreadError):
        code = code_of(error)
        return code, _refusal(code, message_of(error), getattr(error, "headers", {}))
    request_id, kind = call.request_id, type(error).__name__
    log.error("%s unforeseen %s at %s", request_id, kind, _places(error))
    return "UNFORESEEN", _refusal("UNFORESEEN", f"report this with the request id {request_id}", {})


async def _even_out(route: Route, status: int, begun: float) -> None:
    """Lets answers to searches, and answers that nothing is there, leave at whole steps of time:
    how long it took to find nothing, or to find what may not be told, does not show."""
    if route.rate == "searches" or status == 404:
        await asyncio.sleep(STEP - (time.perf_counter() - begun) % STEP)


class _FhirResponse(Response):
    media_type = FHIR_JSON


def _describe_security(app: FastAPI) -> None:
    made = app.openapi()
    scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
    made.setdefault("components", {})["securitySchemes"] = {"bearer": scheme}


def _endpoint(
    service: Service, route: Route, form: Form
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        begun = time.perf_counter()
        call = _call(request, form)
        request_id = call.request_id
        code = None
        try:
            received = await _received(service, request, route, form, call)
            response = await _in_thread(_in_turn, service, received)
        except Exception as error:
            code, response = _ended(error, call)
        if code is not None and not call.events:
            failed = await _written(service, route, _headers(request), call, code)
            if failed is not None:
                code, response = failed
        response.headers["X-Request-ID"] = request_id
        await _even_out(route, response.status_code, begun)
        seconds = time.perf_counter() - begun
        service.metrics.answered(route.name, response.status_code, seconds, code)
        log.info(
            "%s %s %s %d %.1f ms",
            request_id, form.method, route.name, response.status_code, seconds * 1_000,
        )  # fmt: skip
        return response

    return endpoint


def _call(request: Request, form: Form) -> Call:
    """The request, as it is written down."""
    given = request.headers.get("x-request-id", "")
    known = _REQUEST_ID.fullmatch(given) and not looks_like_number(given)
    return Call(
        request_id=given if known else str(uuid.uuid4()),
        terminal=request.client.host if request.client else None,
        asked=f"{form.method} {form.path}",
    )


def _headers(request: Request) -> dict[str, str]:
    return {key.lower(): value for key, value in request.headers.items()}


def _places(error: Exception) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    return ", ".join(f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames[-8:])


async def _received(
    service: Service, request: Request, route: Route, form: Form, call: Call
) -> Received:
    """The request's parts, within bounds. Raises: Refused."""
    _check_accept(request.headers.get("accept", "*/*"))
    query = _pairs(request.url.query)
    post = f"{BASE}/{route.kind}/_search"
    if not service.desk.settings.api.values_in_urls:
        refuse_personal(route.params, query, post)
    body = await _body(request, service.desk.settings.api.max_body_bytes)
    base = service.desk.settings.api.base_url or str(request.base_url).rstrip("/")
    path = {key: str(value) for key, value in request.path_params.items()}
    return Received(route, form, path, query, body, _headers(request), base + BASE, call)


def _check_accept(accept: str) -> None:
    kinds = {part.partition(";")[0].strip().lower() for part in accept.split(",")}
    if not kinds & _ACCEPTED:
        raise Refused("NOT_ACCEPTABLE", "answers are application/fhir+json")


def _pairs(text: str) -> list[tuple[str, str]]:
    try:
        return parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError:
        raise Refused("INVALID_VALUE", "the parameters are not text in UTF-8") from None


async def _body(request: Request, most: int) -> bytes:
    if request.method == "GET":
        return b""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > most:
            raise Refused("TOO_LONG", f"expected a body of at most {most} bytes")
    return body


def _in_turn(service: Service, received: Received) -> Response:
    with service.desk.sharing.turns.taken():
        return _answered(service, received)


def _answered(service: Service, received: Received) -> Response:
    """The answer of a request. Raises: CommonthreadError."""
    route, desk = received.route, service.desk
    requester = requester_of(service, route, received.headers, received.call)
    grants = let_in(service, route, requester)
    _check_id(received)
    ask = _ask(desk, received, requester, grants)
    if names := "&".join(sorted(ask.params.names())):
        received.call.asked = f"{received.call.asked}?{names}"
    answer = route.handler(ask)
    if not received.call.events:
        raise AssertionError("a route answered and wrote nothing down")
    held = shaped(answer.resource, ask.params.one("_summary"), ask.params.words("_elements"))
    return _sent(answer, held, received, pretty=ask.params.flag("_pretty"))


def _check_id(received: Received) -> None:
    """Raises: Refused; NotFound for what can be no id."""
    asked = received.path.get("id")
    if asked is None:
        return
    if looks_like_number(asked):
        raise Refused(
            "USE_POST_SEARCH",
            "an NHS number is no id here, and does not belong in an address; send identifier="
            f"SYSTEM|NUMBER as a form to {BASE}/Patient/_search",
        )
    if not ID.fullmatch(asked):
        raise absent(received.route.kind)


def _ask(
    desk: Desk,
    received: Received,
    requester: Requester,
    grants: dict[str, frozenset[str]] | None,
) -> Ask:
    route = received.route
    given, body = received.query, None
    if received.form.path.endswith("/_search"):
        _check_media(received, (FORM,), empty=True)
        try:
            given = given + _pairs(received.body.decode())
        except UnicodeDecodeError:
            raise Refused("INVALID_VALUE", "the parameters are not text in UTF-8") from None
    elif received.form.method == "POST":
        _check_media(received, _JSON_TYPES)
        body = _resource(received)
    table, offset = route.params, 0
    params = Params(table, given)
    if CURSOR.name in params:
        page = desk.cursors.open(requester, route.name, params.one(CURSOR.name) or "")
        params, offset = Params(table, page.params), page.offset
    return Ask(route, desk, requester, grants, received.path, params, received.base, offset, body)


def _check_media(received: Received, known: tuple[str, ...], empty: bool = False) -> None:
    kind = received.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in known and not (empty and not received.body and not kind):
        raise Refused("UNSUPPORTED_MEDIA_TYPE", f"expected a body of the type {known[0]}")


def _resource(received: Received) -> Any:
    try:
        body = msgspec.json.decode(received.body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Refused("INVALID_RESOURCE", "the body is not JSON in UTF-8") from None
    kinds = received.route.body
    if not isinstance(body, dict) or body.get("resourceType") not in kinds:
        raise Refused("INVALID_RESOURCE", f"expected a resource of the type {' or '.join(kinds)}")
    return body


def _sent(answer: Answer, held: dict[str, Any], received: Received, *, pretty: bool) -> Response:
    content = msgspec.json.encode(held)
    if pretty:
        content = msgspec.json.format(content, indent=2)
    # No cache keeps a record, not even the browser's own: computers on wards are shared.
    headers = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    headers |= dict(answer.headers)
    if answer.etag:
        tag = f'W/"{sha256(content).hexdigest()[:32]}"'
        headers["ETag"] = tag
        asked = received.headers.get("if-none-match", "")
        if tag in [one.strip() for one in asked.split(",")]:
            return Response(status_code=304, headers=headers)
    return Response(content, answer.status, headers, media_type=FHIR_JSON)


def _refusal(code: str, message: str, headers: Mapping[str, str]) -> Response:
    content = msgspec.json.encode(outcome(code, message))
    held = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", **headers}
    return Response(content, OUTCOMES[code].status, held, media_type=FHIR_JSON)


async def _http_error(_: Request, error: Exception) -> Response:
    """What no route answers, as an OperationOutcome."""
    assert isinstance(error, HTTPException)
    code = "METHOD_NOT_ALLOWED" if error.status_code == 405 else "NO_SUCH_ROUTE"
    return _refusal(code, f"see {BASE}/metadata for what there is", error.headers or {})


# --- beside the table --------------------------------------------------------------------------


def _add_plain(app: FastAPI, service: Service) -> None:
    """What needs no token: what the API can do, whether it is well, counts."""
    desk = service.desk
    started = desk.clock()

    @app.get(
        f"{BASE}/metadata", tags=["Capability"], response_class=_FhirResponse,
        responses=plain(FHIR_JSON, "object"),
    )  # fmt: skip
    async def metadata(request: Request) -> Response:
        """What the API can do, as a CapabilityStatement."""
        base = desk.settings.api.base_url or str(request.base_url).rstrip("/")
        made = capability(ROUTES, desk.settings.name, base, started, app.version)
        return Response(msgspec.json.encode(made), media_type=FHIR_JSON)

    @app.get(
        f"{BASE}/.well-known/smart-configuration", tags=["Capability"],
        responses=plain("application/json", "object"),
    )  # fmt: skip
    async def smart(request: Request) -> Response:
        """Where clients sign in."""
        del request
        made = smart_configuration(desk.settings.providers, ROUTES)
        return Response(msgspec.json.encode(made), media_type="application/json")

    @app.get("/healthz", tags=["Health"], responses=plain("application/json", "object"))
    async def healthz() -> Response:
        """Whether the process answers."""
        return Response(b'{"status":"ok"}', media_type="application/json")

    @app.get("/readyz", tags=["Health"], responses=plain("application/json", "object", 503))
    async def readyz() -> Response:
        """Whether it can answer about persons."""
        try:
            await asyncio.get_running_loop().run_in_executor(_THREADS, desk.sharing.ready)
        except CommonthreadError:
            return Response(b'{"status":"not ready"}', 503, media_type="application/json")
        return Response(b'{"status":"ready"}', media_type="application/json")

    @app.get(
        "/metrics", tags=["Health"], response_class=PlainTextResponse,
        responses=plain("text/plain", "string"),
    )  # fmt: skip
    async def metrics() -> Response:
        """Counts and times for Prometheus."""
        return Response(service.metrics.shown(), media_type=CONTENT_TYPE)
