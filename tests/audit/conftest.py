"""What the tests of the audit log share: a small log with its database, as it was last Tuesday."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.audit.kept import Kept, make, opened


@pytest.fixture(scope="session")
def kept_log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("attacked") / "kept")


@pytest.fixture
def kept(kept_log: Path, tmp_path: Path) -> Iterator[Kept]:
    """A copy of one's own."""
    found = opened(Path(shutil.copytree(kept_log, tmp_path / "kept")))
    yield found
    found.store.close()
    found.ring.close()
