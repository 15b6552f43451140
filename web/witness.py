"""The witness as a small HTTP service of its own: needs no partnership, no database.

Rules:
- `POST /add-checkpoint` is answered as audit/witness.py says; a longer body than a request can have
  is not read to its end. `GET /` tells the witness's key and the sizes it signed last.
- What was signed last stands in one file, replaced whole: written, flushed to the disk, renamed,
  and the folder flushed, before a signature is made. One process at a time uses it.
- A state that cannot be kept is 500, and nothing is signed.

Here too is how a log posts to a witness (`post`).
"""

from __future__ import annotations

import base64
import binascii
import fcntl
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from audit.verifier import shown
from audit.witness import (
    MOST_REQUEST_BYTES,
    Answer,
    Head,
    Witness,
    new_key,
    note_bytes,
    read_request,
    with_cosignature,
)
from schemas.errors import InputError, WorkspaceBusy
from service.audit_witness import Reply
from service.durable import make_durable

_LOG = logging.getLogger(__name__)


def post(url: str, body: bytes) -> Reply:
    """Posts a request to a witness: see service.audit_witness.Send. What cannot be sent, or takes
    longer than ten seconds, or is not text, is no answer."""
    limits = httpx.Timeout(10.0)
    try:
        with httpx.stream("POST", url, content=body, timeout=limits) as answer:
            told = b""
            for part in answer.iter_bytes():
                told += part
                if len(told) > MOST_REQUEST_BYTES:
                    return Reply(0)
            return Reply(answer.status_code, told.decode())
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeDecodeError):
        return Reply(0)


class StateFile:
    """What a witness remembers, in a file. Use `state_file`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._heads: Mapping[str, Head] = _read(path) if path.exists() else {}

    def heads(self) -> Mapping[str, Head]:
        """See audit.witness.State."""
        return self._heads

    def keep(self, origin: str, head: Head) -> None:
        """See audit.witness.State. Raises: OSError: it may not last; nothing is signed then, and
        the next request writes it anew."""
        heads = {**self._heads, origin: head}
        document = {
            name: {
                "size": one.size, "root": base64.b64encode(one.root).decode(), "time": one.time,
                "note": one.note,
            }
            for name, one in heads.items()
        }  # fmt: skip
        part = self._path.with_name(self._path.name + ".part")
        with part.open("w", encoding="utf-8") as stream:
            json.dump(document, stream, indent=1, ensure_ascii=False)
            stream.flush()
            os.fsync(stream.fileno())
        part.replace(self._path)
        make_durable(self._path.parent)
        self._heads = heads


@contextmanager
def state_file(path: Path) -> Iterator[StateFile]:
    """The state in this file, a new one where there is none, held against other processes.

    Raises: WorkspaceBusy: another witness uses it; InputError: not the state of a witness.
    """
    try:
        lock = path.with_name(path.name + ".lock").open("w")
    except OSError as error:
        raise InputError(f"{path}: its folder cannot be written ({error.strerror})") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise WorkspaceBusy(f"{path.name}: another witness is at work with it") from None
        yield StateFile(path)


def _read(path: Path) -> Mapping[str, Head]:
    """A state that cannot be read is never taken for an empty one: that would sign any past."""
    try:
        document = json.loads(path.read_text("utf-8"))
        return {
            origin: Head(
                int(one["size"]), base64.b64decode(one["root"], validate=True), int(one["time"]),
                str(one["note"]),
            )
            for origin, one in document.items()
        }  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError, binascii.Error):
        raise InputError(
            f"{path}: not the state of a witness, or not whole; put it back from a copy: with an"
            " empty one it would sign another history"
        ) from None


def witness_app(witness: Witness) -> Starlette:
    """The service (ASGI)."""

    async def add(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MOST_REQUEST_BYTES:
                break
        try:
            answer = await run_in_threadpool(witness.add, bytes(body))
        except OSError as error:
            _LOG.error("the state could not be kept: %s", error.strerror)
            answer = Answer(500, "the witness could not keep its state; nothing was signed\n")
        if answer.status not in (200, 409):
            _LOG.warning("refused with %d: %s", answer.status, shown(answer.body.strip()))
        return Response(answer.body, answer.status, {"content-type": answer.kind})

    async def tell(_: Request) -> Response:
        lines = [str(witness.key.public), ""]
        for origin in sorted(witness.logs):
            head = witness.heads().get(origin)
            lines.append(f"{origin} {head.size if head else 0}")
        return PlainTextResponse("\n".join(lines) + "\n")

    return Starlette(
        routes=[Route("/add-checkpoint", add, methods=["POST"]), Route("/", tell, methods=["GET"])]
    )


def serve_witness(witness: Witness, host: str, port: int) -> None:
    """Answers until it is stopped."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    uvicorn.run(
        witness_app(witness), host=host, port=port, access_log=False, log_level="info",
        server_header=False,
    )  # fmt: skip


def answer_by_hand(witness: Witness, request: bytes) -> str:
    """The checkpoint of a request with this witness's signature.

    Raises: InputError: it is not to be signed, or the state cannot be kept; says why.
    """
    try:
        answer = witness.add(request)
    except OSError as error:
        raise InputError(
            f"the witness could not keep its state ({error.strerror}); nothing was signed: make"
            " room, or mend the disk, and give it the same request again"
        ) from None
    if answer.status != 200:
        raise InputError(f"not signed ({answer.status}): {shown(answer.body.strip())}")
    note, _ = with_cosignature(read_request(request).checkpoint, answer.body, witness.key.public)
    return note_bytes(note).decode()


def make_key(path: Path, name: str) -> str:
    """Writes a fresh key to a new file, for its owner only; returns the public key.

    Raises: InputError: a file is there already, or cannot be written; InvalidValue: not a name.
    """
    key = new_key(name)
    try:
        handle = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise InputError(f"{path}: a file is there already; not overwritten") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    try:
        with os.fdopen(handle, "w", encoding="ascii") as stream:
            stream.write(key.line() + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        make_durable(path.parent)
    except OSError as error:
        path.unlink(missing_ok=True)  # nobody was told its public half
        raise InputError(f"{path}: cannot be written ({error.strerror})") from None
    return str(key.public)
