"""The layers really are held: a planted import breaks the check that `make check` runs."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = (
    "schemas", "linkage", "adapters", "consent", "audit", "store", "service", "api", "web", "demo",
    "commands",
)  # fmt: skip
PLANTED = [
    ("linkage/planted.py", "import sqlalchemy\n", "linkage"),
    ("linkage/planted.py", "from store import tables\n", "linkage"),
    ("api/planted.py", "from store import tables\n", "api"),
    ("store/planted.py", "from adapters import batches\n", "store"),
    ("schemas/planted.py", "import cli\n", "schemas"),
    ("commands/planted.py", "import cli\n", "commands"),
    ("service/planted.py", "from commands import common\n", "service"),
]


def lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    """Runs import-linter over a copy of the packages."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-cache"]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The packages and settings, without anything else."""
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    for name in ("pyproject.toml", "cli.py", "wiring.py"):
        shutil.copy(ROOT / name, tmp_path / name)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize(("path", "line", "package"), PLANTED)
def test_a_planted_import_breaks_the_layers(copy: Path, path: str, line: str, package: str) -> None:
    (copy / path).write_text(line)
    found = lint_imports(copy)
    assert found.returncode == 1, found.stdout
    assert "BROKEN" in found.stdout
    assert f"{package}.planted" in found.stdout


@pytest.mark.slow
def test_the_layers_hold_as_they_stand(copy: Path) -> None:
    found = lint_imports(copy)
    assert found.returncode == 0, found.stdout
