"""The tutorial runs as it stands: every block of Python in order, then its commands.

What a block prints is what the page shows after it. `python -m tests.test_tutorial` writes both
the texts and the pictures anew, to be read before they are kept.
"""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from click.testing import CliRunner

from cli import commonthread
from tests.pages import ROOT

PAGE = ROOT / "docs" / "linking-your-own-data.md"
PICTURES = PAGE.parent / "images"
LARGEST_PICTURE = 100_000
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", re.M | re.S)


class Step(NamedTuple):
    """A block, what the page says that it prints, and what it printed."""

    code: str
    shown: str
    printed: str


def run(text: str, folder: Path) -> list[Step]:
    """All blocks of the page, in one namespace and one folder."""
    names: dict[str, Any] = {"__name__": "tutorial"}
    steps = []
    with contextlib.chdir(folder):
        for code, shown in BLOCK.findall(text):
            out = io.StringIO()
            with contextlib.redirect_stdout(out):
                exec(compile(code, PAGE.name, "exec"), names)
            printed = "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())
            steps.append(Step(code, shown, printed))
    return steps


def commands(text: str) -> list[str]:
    return [
        line.removeprefix("$ ")
        for block in re.findall(r"^```console\n(.*?)^```", text, re.M | re.S)
        for line in block.splitlines()
        if line.startswith("$ ")
    ]


def pictures(text: str) -> list[str]:
    return re.findall(r"!\[[^\]]+\]\(images/([\w-]+\.png)\)", text)


@pytest.fixture(scope="module")
def text() -> str:
    return PAGE.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def ran(text: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, list[Step]]]:
    folder = tmp_path_factory.mktemp("tutorial")
    return folder, run(text, folder)


def test_every_block_prints_what_the_page_shows(ran: tuple[Path, list[Step]]) -> None:
    _, steps = ran
    assert len(steps) > 15
    for step in steps:
        assert step.printed == step.shown, step.code


def test_no_block_is_left_out(text: str) -> None:
    assert text.count("```python\n") == len(BLOCK.findall(text))
    assert text.count("```text\n") == sum(bool(shown) for _, shown in BLOCK.findall(text))


def test_every_picture_is_drawn_by_the_page(text: str, ran: tuple[Path, list[Step]]) -> None:
    folder, _ = ran
    assert pictures(text)
    for name in pictures(text):
        drawn, kept = (folder / name).read_bytes(), (PICTURES / name).read_bytes()
        # Width and height of a PNG stand at bytes 16 to 24: one chart, whatever fonts there are.
        assert drawn[:8] == kept[:8] == b"\x89PNG\r\n\x1a\n"
        sizes = [[int.from_bytes(png[at : at + 4]) for at in (16, 20)] for png in (drawn, kept)]
        assert sizes[0] == pytest.approx(sizes[1], rel=0.1)
        assert len(kept) < LARGEST_PICTURE


def test_every_command_ends_well(text: str, ran: tuple[Path, list[Step]]) -> None:
    folder, _ = ran
    told = commands(text)
    assert told
    with contextlib.chdir(folder):
        for command in told:
            program, *words = shlex.split(command)
            assert program == "commonthread"
            done = CliRunner().invoke(commonthread, words)
            assert done.exit_code == 0, f"{command}: {done.output} {done.exception!r}"


def packed(png: bytes) -> bytes:
    """The same picture in fewer bytes: its pixels compressed as hard as can be."""
    head, data, place = png[:8], b"", 8
    while place < len(png):
        size, kind = int.from_bytes(png[place : place + 4]), png[place + 4 : place + 8]
        if kind == b"IDAT":
            data += png[place + 8 : place + 8 + size]
        elif kind != b"IEND":
            head += png[place : place + 12 + size]
        place += 12 + size
    return head + _chunk(b"IDAT", zlib.compress(zlib.decompress(data), 9)) + _chunk(b"IEND", b"")


def _chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG: length, kind, data, CRC-32 (PNG specification, section 5.3)."""
    check = zlib.crc32(kind + data).to_bytes(4)
    return len(data).to_bytes(4) + kind + data + check


def refresh() -> None:
    """Writes what the blocks print and draw into the page and beside it."""
    page = PAGE.read_text(encoding="utf-8")
    with tempfile.TemporaryDirectory() as name:
        steps = iter(run(page, Path(name)))

        def renewed(_: re.Match[str]) -> str:
            step = next(steps)
            out = f"\n```text\n{step.printed}```\n" if step.printed else ""
            return f"```python\n{step.code}```\n{out}"

        PAGE.write_text(BLOCK.sub(renewed, page), encoding="utf-8")
        for picture in pictures(page):
            (PICTURES / picture).write_bytes(packed((Path(name) / picture).read_bytes()))


if __name__ == "__main__":
    refresh()
