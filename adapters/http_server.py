"""Asks one HTTP server for documents: patiently, within bounds, and nobody else.

Rules:
- Only the server that the settings name is asked (scheme, host and port), whatever a link or a
  redirect says: the token goes along.
- A server that is busy (429), ails (5xx) or cannot be reached is asked again, each time later and
  by chance not at the moment at which others do, at most so often as the settings say. Its
  `Retry-After` is honoured; if that is longer than `LONGEST_WAIT`, it is left alone until the next
  time.
- A token that is refused (401) is renewed once for each document.
- A document is bounded, in bytes after decompression and in seconds.
- What is told of a failure is its status and the code in an OperationOutcome: never a text of the
  server's, nor an address.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from secrets import SystemRandom
from typing import Any, Protocol

import httpx
import msgspec

LONGEST_WAIT = 300.0
"""Seconds that a server can ask us to wait."""
_MOST_REDIRECTS = 5
_MOST_ERROR_BYTES = 1 << 16
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_ENCODINGS = frozenset({"", "identity", "gzip"})
_SHORTEST_PAUSE = 1.0
_ISSUE_CODES = frozenset(
    [
        "invalid", "structure", "required", "value", "invariant", "security", "login", "unknown",
        "expired", "forbidden", "suppressed", "processing", "not-supported", "duplicate",
        "multiple-matches", "not-found", "deleted", "too-long", "code-invalid", "extension",
        "too-costly", "business-rule", "conflict", "transient", "lock-error", "no-store",
        "exception", "timeout", "incomplete", "throttled", "informational",
    ]
)  # fmt: skip
"""hl7.org/fhir/R4/valueset-issue-type.html: no other code is repeated."""
_DIGITS = re.compile(r"[0-9]{1,9}")


@dataclass(frozen=True)
class Patience:
    """How long is waited for a server.

    Attributes:
        tries: how often one document is asked for in all.
        seconds: the longest that it may take to come.
        sleep: waits for so many seconds.
    """

    tries: int
    seconds: float
    sleep: Callable[[float], None] = time.sleep


@dataclass(frozen=True)
class Answer:
    """What came of asking.

    Attributes:
        status: as the server said it; 0 where it said nothing that counts.
        fault: why there is no document, in words for a data team; '' if there is one.
        passing: whether it may be otherwise when asked again.
        address: where the document came from.
        moment: the server's clock, if it told it.
        wait: seconds that the server asks to wait.
    """

    status: int = 0
    fault: str = ""
    passing: bool = False
    body: bytes = b""
    media_type: str = ""
    address: str = ""
    moment: datetime | None = None
    wait: float | None = None


class Token(Protocol):
    """What signs requests in."""

    def bearer(self) -> str | None:
        """The token; None where none is needed. Raises: InputError: there is none to be had."""
        ...

    def renew(self) -> None:
        """Forgets a token that was refused."""
        ...


def patiently(ask: Callable[[], Answer], patience: Patience) -> Answer:
    """Asks until there is an answer that would be the same again, or patience ends."""
    tried = 1
    while (answer := ask()).passing and tried < patience.tries:
        pause = _SHORTEST_PAUSE * 2 ** (tried - 1) * SystemRandom().uniform(0.5, 1.0)
        pause = max(pause, answer.wait or 0.0)
        if pause > LONGEST_WAIT:
            return replace(
                answer, fault=f"{answer.fault}, and asks to be left alone for {pause:.0f} s"
            )
        patience.sleep(pause)
        tried += 1
    return answer


@contextmanager
def http_client(seconds: float) -> Iterator[httpx.Client]:
    """Connections that say nothing of addresses to any log."""
    for name in ("httpx", "httpcore"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with httpx.Client(timeout=seconds, follow_redirects=False) as client:
        yield client


@dataclass(frozen=True)
class HttpServer:
    """A server, ready to be asked.

    Attributes:
        base: an address of it.
        most_bytes: of a document, unpacked.
    """

    base: str
    client: httpx.Client
    token: Token
    patience: Patience
    most_bytes: int

    def get(self, address: str) -> Answer:
        """The document at an address that `within` gave. Raises: InputError: no token."""
        renewed = False

        def ask() -> Answer:
            nonlocal renewed
            answer = self._followed(address)
            if answer.status == httpx.codes.UNAUTHORIZED and not renewed:
                renewed = True
                self.token.renew()
                answer = self._followed(address)
            return answer

        return patiently(ask, self.patience)

    def within(self, address: str, beside: str) -> str | None:
        """An address in full, that may be told relative to another; None: another server's."""
        try:
            url = httpx.URL(beside).join(address)
        except httpx.InvalidURL:
            return None
        ours = _origin(url) == _origin(httpx.URL(self.base)) and not url.userinfo
        return str(url) if ours else None

    def _followed(self, address: str) -> Answer:
        """What stands at an address, after redirects."""
        for _ in range(_MOST_REDIRECTS):
            answer, location = self._asked(address)
            if location is None:
                return answer
            target = self.within(location, address)
            if target is None:
                return Answer(fault="the server sends us to another server, where we do not go")
            address = target
        return Answer(fault="the server sends us from one address to another without end")

    def _asked(self, address: str) -> tuple[Answer, str | None]:
        """What stands at an address, and where it says to go instead."""
        headers = {"Accept": "application/fhir+json", "Accept-Encoding": "gzip"}
        bearer = self.token.bearer()
        if bearer is not None:
            headers["Authorization"] = f"Bearer {bearer}"
        until = time.monotonic() + self.patience.seconds
        try:
            with self.client.stream("GET", address, headers=headers) as response:
                if response.status_code in _REDIRECTS and "location" in response.headers:
                    return Answer(), response.headers["location"]
                return read_answer(response, self.most_bytes, until), None
        except httpx.RequestError as error:
            return unreached(error), None


def unreached(error: httpx.RequestError) -> Answer:
    return Answer(fault=f"the server did not answer ({type(error).__name__})", passing=True)


def read_answer(response: httpx.Response, most_bytes: int, until: float) -> Answer:
    """Reads what a server sends, up to a moment of the monotonic clock.

    Raises: httpx.RequestError: it breaks off, or does not come to its end.
    """
    good = response.status_code == httpx.codes.OK
    packing = response.headers.get("content-encoding", "").strip().lower()
    if packing not in _ENCODINGS:
        return Answer(response.status_code, "the answer is packed as nobody asked for")
    body, whole = _body(response, most_bytes if good else _MOST_ERROR_BYTES, until)
    answer = Answer(
        response.status_code,
        body=body,
        media_type=response.headers.get("content-type", "").partition(";")[0].strip().lower(),
        address=str(response.url),
        moment=_moment(response.headers.get("date")),
    )
    if good:
        fault = "" if whole else f"a page is over {most_bytes} bytes (max_document_bytes)"
        return replace(answer, fault=fault)
    busy = response.status_code == httpx.codes.TOO_MANY_REQUESTS
    passing = busy or response.status_code in (500, 502, 503, 504)
    code = issue_code(body)
    told = f"the server answered {response.status_code}" + (f" ({code})" if code else "")
    wait = _wait(response.headers.get("retry-after"), answer.moment) if passing else None
    return replace(answer, fault=told, passing=passing, wait=wait)


def _body(response: httpx.Response, most_bytes: int, until: float) -> tuple[bytes, bool]:
    """The body, unpacked piece by piece, and whether that is all of it."""
    body = bytearray()
    for piece in response.iter_bytes():
        body += piece
        if len(body) > most_bytes:
            return b"", False
        if time.monotonic() > until:
            raise httpx.ReadTimeout("")
    return bytes(body), True


def issue_code(body: bytes) -> str:
    """The code of an OperationOutcome; '' if it has none that FHIR knows."""
    try:
        issues: Any = msgspec.json.decode(body)["issue"]
        codes = [issue["code"] for issue in issues]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError, KeyError, TypeError):
        return ""
    return next((code for code in codes if isinstance(code, str) and code in _ISSUE_CODES), "")


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port  # a port that goes without saying is None


def _moment(text: str | None) -> datetime | None:
    """A time as HTTP writes it."""
    try:
        told = parsedate_to_datetime(text or "")
        return told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _wait(text: str | None, now: datetime | None) -> float | None:
    """The seconds that Retry-After asks for, as a number or as a time."""
    if text is not None and _DIGITS.fullmatch(text.strip()):
        return float(text)
    until = _moment(text)
    if until is None:
        return None
    return max((until - (now or datetime.now(UTC))).total_seconds(), 0.0)
