"""What the tests of the API over HTTP share: one served demo in small."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.api.small_demo import SmallDemo, served_small


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallDemo]:
    folder = tmp_path_factory.mktemp("api") / "partnership"
    with served_small(folder, searches_per_minute=10_000, reads_per_minute=10_000) as running:
        yield running
