"""From settings and a way to the records to an application that is ready to serve.

Rules:
- What a first request would wait for is open before the process listens. Where nothing was
  published yet it listens all the same, and `/readyz` says that it is not ready.
- What is there by then stays: the collector of cycles leaves it alone (`gc.freeze`). Looking
  through it took up to 200 ms each time, and everybody waited.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path

from fastapi import FastAPI

from api.app import build_app
from api.cursors import Cursors
from api.demo_issuer import demo_keys
from api.metrics import Metrics
from api.providers import Fetch, ProviderKeys, fetch_json
from api.render_lists import Naming
from api.route import Desk
from api.sign_in import Service
from api.throttle import Throttle
from api.tokens import TokenCheck
from schemas.dates import Clock, to_instant
from schemas.errors import CommonthreadError
from schemas.settings import Settings
from service.sharing import Sharing

log = logging.getLogger("commonthread.api")

Opened = Callable[[], AbstractContextManager[Sharing]]
"""Opens the way to the records, and closes it at the end."""
YOUNG = 10_000
"""New objects after which the collector looks for cycles among them: a whole record makes some
thousands, hardly any of them in cycles."""


def serving_app(opened: Opened, settings: Settings, keys: Path, workers: int = 1) -> FastAPI:
    """An application over a workspace, which it closes when it ends.

    Args:
        keys: the workspace's folder of keys.
        workers: how many processes share the limits.
    """
    context = opened()
    sharing = context.__enter__()
    app = build_app(service_over(sharing, settings, keys, workers))

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        with _left_alone():
            await asyncio.to_thread(_open_index, sharing)
            _leave_alone()
            yield
        context.__exit__(None, None, None)

    app.router.lifespan_context = life
    return app


def _open_index(sharing: Sharing) -> None:
    try:
        sharing.ready()
    except CommonthreadError as error:
        log.warning("not ready for searches yet: %s", error)


def _leave_alone() -> None:
    gc.collect()
    gc.freeze()


@contextmanager
def _left_alone() -> Iterator[None]:
    """The collector leaves alone what is there now, and looks at what is new less often."""
    before = gc.get_threshold()
    _leave_alone()
    gc.set_threshold(YOUNG, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def service_over(
    sharing: Sharing,
    settings: Settings,
    keys: Path,
    workers: int = 1,
    *,
    clock: Clock = lambda: to_instant(datetime.now(UTC)),
    fetch: Fetch = fetch_json,
) -> Service:
    """What an application is made of, over open records. Times are the system's.

    Args:
        fetch: how identity providers' documents are got.
    """
    providers = [ProviderKeys(one, time.monotonic, fetch) for one in settings.providers]
    if settings.demo:
        providers.append(demo_keys(settings, keys, time.monotonic))
    limits = {
        "searches": settings.api.searches_per_minute / workers,
        "reads": settings.api.reads_per_minute / workers,
    }
    cursor_key = sha256(sharing.sign(b"page cursors of the API").encode()).digest()
    desk = Desk(sharing, settings, Cursors(cursor_key, time.time), clock, _naming(settings))
    return Service(
        desk,
        TokenCheck(tuple(providers), time.time),
        Throttle(limits, time.monotonic),
        Metrics(),
    )


def _naming(settings: Settings) -> Naming:
    """Names of organisations, with the number to ring, and of sources, for people to read; what
    has none stands as it is."""
    telephones = settings.sharing.telephones
    names: dict[str, str] = {
        one.code: f"{one.name} ({telephones[one.code]})" if one.code in telephones else one.name
        for one in settings.organisations
    }
    names |= {source.id: source.name for source in settings.sources}
    return lambda code: settings.name if code is None else names.get(code, code)
