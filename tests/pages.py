"""The pages of the documentation, read as tests need them: prose, sections, tables."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
SAFETY = sorted((ROOT / "docs" / "safety").glob("*.md"))
DRAWINGS = sorted((ROOT / "docs" / "img").glob("*.svg"))
LOCKS = sorted(ROOT.glob("*.lock"))


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def prose(page: Path) -> str:
    """A page without its fenced blocks."""
    return re.sub(r"^```.*?^```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)


def section(name: str, heading: str) -> str:
    """The prose under a heading, down to the next heading of any level."""
    found = re.search(
        rf"^#+ {re.escape(heading)}$(.*?)(?=^#+ |\Z)", prose(ROOT / name), re.M | re.S
    )
    assert found, f"{name}: no heading {heading!r}"
    return found.group(1)


def table(text: str) -> list[list[str]]:
    """The cells of every table row in the text, without headers and rulers."""
    rows = [
        [cell.strip() for cell in line.strip().strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("|")
    ]
    rulers = [at for at, row in enumerate(rows) if set("".join(row)) <= set("-: ")]
    return [row for at, row in enumerate(rows) if at not in rulers and at + 1 not in rulers]


def plain(cell: str) -> str:
    """A cell without its code marks."""
    return cell.strip("`")


def ticked(cell: str) -> tuple[str, ...]:
    """What stands between code marks in a cell."""
    return tuple(re.findall(r"`([^`]+)`", cell))


def listed(name: str, heading: str, *columns: int) -> list[tuple[str, ...]]:
    rows = table(section(name, heading))
    return [tuple(plain(row[c]) for c in columns) for row in rows]
