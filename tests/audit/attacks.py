"""The list of attacks: what each is called, what detects it, whether that needs a witness.

A test names the attack that it carries out; tests/audit/test_attacks_listed.py compares the list
with the tests and with docs/audit-log.md.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar

NO, YES = "no", "yes"
Test = TypeVar("Test", bound=Callable[..., object])


class Attack(NamedTuple):
    """One row: what detects it, and whether a witness or a checkpoint kept elsewhere is needed."""

    detected_by: str
    witness: str


ATTACKS: dict[str, Attack] = {
    "a byte of any file of the log is flipped": Attack(
        "`audit verify`, the standalone verifier", NO
    ),
    "an entry is taken out of the files": Attack("`audit verify`, the standalone verifier", NO),
    "entries of the files change places": Attack("`audit verify`, the standalone verifier", NO),
    "an entry of the files stands twice": Attack("`audit verify`, the standalone verifier", NO),
    "the files are cut short": Attack("`audit verify`, the standalone verifier", NO),
    "a checkpoint is signed with a key that is not the log's": Attack(
        "`audit verify`, every reader that knows the key", NO
    ),
    "an event is deleted from the database": Attack("`audit verify`", NO),
    "events of the database change places": Attack("`audit verify`", NO),
    "an event of the database is replaced by another": Attack("`audit verify`, the sequencer", NO),
    "an event is put in between, or added with no number of its own": Attack("`audit verify`", NO),
    "the latest events are deleted from the database": Attack("`audit verify`, the sequencer", NO),
    "a payload is taken away, and no event says that it was erased": Attack("`audit verify`", NO),
    "a payload is taken away, and the event that says so is not the log's": Attack(
        "`audit verify`", NO
    ),
    "a payload is taken away, and a false erasure is logged as true ones are": Attack(
        "no check; `audit report integrity` lists the erasure, for people to judge", NO
    ),
    "what stands in clear is changed": Attack("`audit verify`", NO),
    "the clock is set back": Attack("`audit verify` lists the events", NO),
    "two writers sign at once": Attack("the lock: one signs, the other leaves it", NO),
    "the log and the database are rolled back together": Attack(
        "`audit status`, `audit verify --held`", YES
    ),
    "an administrator with key and database writes last Tuesday anew": Attack(
        "`audit status`, `audit verify --held`", YES
    ),
    "two readers are shown two histories": Attack("the witness signs one only", YES),
    "old signatures of a witness are shown as new": Attack(
        "`audit status`: the last signature is too old", YES
    ),
    "a stranger signs as the witness": Attack("`audit status`, the standalone verifier", YES),
    "typed text holds line ends, ANSI sequences or direction marks": Attack(
        "shown as escapes by every command", NO
    ),
    "typed text holds a formula for a spreadsheet": Attack("an apostrophe before it in CSV", NO),
}
SHOWN: dict[str, list[str]] = {name: [] for name in ATTACKS}
"""Attack → names of the tests that carry it out."""


def shows(name: str) -> Callable[[Test], Test]:
    """Marks a test as one that carries this attack out. Raises: KeyError: it is not in the list."""

    def mark(test: Test) -> Test:
        SHOWN[name].append(test.__name__)
        return test

    return mark
