"""What stands ready before a process listens."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path
from unittest import mock

import httpx
import pytest

from api.serving import YOUNG, serving_app
from tests.api.small_demo import SmallDemo
from tests.functional import small
from wiring import open_workspace


def test_the_index_is_open_and_left_alone_by_the_collector_before_anybody_asks(
    served: SmallDemo,
) -> None:
    workspace = served.workspace
    app = serving_app(workspace.sharing, workspace.settings, workspace.keys)
    before = gc.get_threshold(), gc.get_freeze_count()

    async def serve() -> httpx.Response:
        async with app.router.lifespan_context(app):
            assert gc.get_threshold()[0] == YOUNG
            assert gc.get_freeze_count() > before[1]
            with mock.patch("service.sharing.open_index", side_effect=AssertionError("too late")):
                return await _asked(app, "/readyz")

    assert asyncio.run(serve()).status_code == 200
    assert gc.get_threshold() == before[0]


def test_where_nothing_was_published_it_serves_and_says_that_it_is_not_ready(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    root = small.new_workspace(tmp_path / "partnership")
    settings = root / "partnership.toml"
    text = settings.read_text("utf-8").replace("[partnership]\n", "[partnership]\ndemo = true\n")
    settings.write_text(text, "utf-8")
    workspace = open_workspace(root)
    app = serving_app(workspace.sharing, workspace.settings, workspace.keys)

    async def serve() -> tuple[int, int]:
        async with app.router.lifespan_context(app):
            health, ready = await _asked(app, "/healthz"), await _asked(app, "/readyz")
            return health.status_code, ready.status_code

    assert asyncio.run(serve()) == (200, 503)
    assert "not ready for searches yet: " in caplog.text


async def _asked(app: object, path: str) -> httpx.Response:
    transport = httpx.ASGITransport(app=app)  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://here") as client:
        return await client.get(path)
