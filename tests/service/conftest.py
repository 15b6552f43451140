"""What tests of the use cases share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from service.sharing import Sharing
from tests.service.sharing_world import world


@pytest.fixture
def sharing(tmp_path: Path) -> Iterator[Sharing]:
    """The small partnership, opened."""
    with world(tmp_path) as opened:
        yield opened
