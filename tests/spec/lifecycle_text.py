"""The scenarios of `lifecycle.txt`, and the page that is made of them.

    python -m tests.spec.lifecycle_text > docs/lifecycle.md

Rules of the file:
- A line without a margin names a scenario, and one that begins with `==` a chapter. Lines with a
  margin belong to the scenario: `given`, `when`, `then` or `and`, then a sentence of
  `lifecycle_steps.STEPS`.
- `also on PostgreSQL` runs it on that database too.
- Records are `source/local id`; letters after `NHS number` stand for numbers, and those that ids
  are noted as for ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

SPEC = Path(__file__).with_name("lifecycle.txt")


@dataclass(frozen=True)
class Line:
    """One step: `given`, `when`, `then` or `and`, and its sentence."""

    word: str
    sentence: str


@dataclass
class Scenario:
    """One scenario of the file."""

    chapter: str
    name: str
    lines: list[Line] = field(default_factory=list)
    on_postgresql: bool = False


def scenarios(text: str | None = None) -> list[Scenario]:
    """The scenarios, in order."""
    found: list[Scenario] = []
    chapter = ""
    for line in (text or SPEC.read_text("utf-8")).splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("=="):
            chapter = line.strip("= ")
        elif not line.startswith(" "):
            found.append(Scenario(chapter, line.strip()))
        else:
            _take(found[-1], line.strip())
    return found


def _take(scenario: Scenario, line: str) -> None:
    word, _, sentence = line.partition(" ")
    if line == "also on PostgreSQL":
        scenario.on_postgresql = True
    elif word in ("given", "when", "then", "and"):
        scenario.lines.append(Line(word, sentence.strip()))
    else:
        raise ValueError(f"not a line of a scenario: {line}")


HEAD = """# Lives of records, persons and ids

What becomes of people's records as they change, and of the ids under which other systems know the
persons. Each scenario is run by the tests, as it stands here, against a real database and a real
link under the shipped model.

`pas` is the hospital, `gp` the practice, `soc` social care: each holds its own records to be
different people. `clinic` does not. A record is named by its system and the id that it has there.
Letters stand for NHS numbers, and for ids of persons that somebody has noted. Ann, Bob and Cat are
of the data team.
"""


def page(found: list[Scenario]) -> str:
    """The scenarios as a page."""
    return HEAD + "\n".join(_paragraphs(found))


def _paragraphs(found: list[Scenario]) -> Iterator[str]:
    for chapter, some in groupby(found, key=lambda one: one.chapter):
        yield f"\n## {chapter}"
        for scenario in some:
            yield f"\n### {scenario.name}\n"
            for line in scenario.lines:
                yield f"- {line.word} {line.sentence}"
    yield ""


if __name__ == "__main__":
    print(page(scenarios()), end="")
