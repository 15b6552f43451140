"""The one error tree. Every error that commonthread raises on purpose is one of these.

    CommonthreadError
    ├── SettingsError        partnership.toml (or an option) is wrong; carries every fault found
    ├── InputError           a file given by the user cannot be used as a whole
    │   ├── FeedRefused      one feed cannot be read at all (missing column, bomb, not its format)
    │   └── NotUsable        a table to be linked has nothing to link on
    ├── InvalidValue         one field's text is not what its type says
    │   └── InvalidSearch    what a search asks for cannot be searched by; carries a code
    ├── NotFound             an id that names nothing
    │   └── PersonGone       an id that named a person before, and names none now
    ├── NotPermitted         the actor may not do this for this purpose
    ├── WorkspaceBusy        another run holds the workspace
    ├── WorkspaceMissing     no workspace where one was expected
    ├── StoreError           the database does not hold what it must (schema, key, seal)
    │   ├── RowRefused       the database takes others, and never this: a value it cannot hold
    │   ├── LogFailed        what was asked could not be written down, so nothing is shown
    │   └── AuditBroken      the audit log is not what was signed: it was altered, cut short, forked
    └── NeedsDecision        a guarded step stopped and asks a person

Rules:
- A message says where, what was expected, what kind of thing came, and what to do about it.
- A message never contains a person's value: it tells its length and the kinds of character in it
  (`shape_of`), never the characters.
- Only the edges (cli, api, web) turn errors into exit codes or HTTP answers: from the tables here
  and there, never by hand.
"""

from __future__ import annotations

from collections.abc import Sequence


class CommonthreadError(Exception):
    """Base of all errors raised on purpose."""


class SettingsError(CommonthreadError):
    """The settings are wrong. `faults` holds every fault found, each with its place."""

    def __init__(self, where: str, faults: Sequence[str]) -> None:
        self.where = where
        self.faults = tuple(faults)
        lines = "\n".join(f"  - {fault}" for fault in self.faults)
        super().__init__(f"{where}: {len(self.faults)} fault(s)\n{lines}")


class InputError(CommonthreadError):
    """A file given by the user cannot be used as a whole."""


class FeedRefused(InputError):
    """One feed cannot be read at all; the whole file is the quarantined unit.

    Args:
        reason: a code from `schemas.records.REASONS`.
        message: where, what was expected, what came. Never a person's value.
    """

    def __init__(self, reason: str, message: str) -> None:
        self.reason = reason
        self.message = message
        super().__init__(f"{reason}: {message}")


class NotUsable(InputError):
    """A table to be linked has no field to link on."""


class InvalidValue(CommonthreadError):
    """One field's text is not what its type says. `reason` never holds the text itself."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__(reason)


class InvalidSearch(InvalidValue):
    """A search that cannot be made as it was asked for.

    Args:
        code: INVALID_SEARCH_DATA, INVALID_VALUE, ADDITIONAL_PROPERTIES or UNSUPPORTED_SERVICE, as
            the Personal Demographics Service names them.
        message: which parameter, and what is wanted. Never a person's value.
    """

    def __init__(self, code: str, message: str) -> None:
        self.code = code
        super().__init__(f"{code}: {message}")


class NotFound(CommonthreadError):
    """An id that names nothing here."""


class PersonGone(NotFound):
    """An id of a person that was split, emptied or undone: whoever holds it must identify the
    person again, because what it led to might be a stranger."""


class NotPermitted(CommonthreadError):
    """The actor may not do this for this purpose."""


class WorkspaceBusy(CommonthreadError):
    """Another run holds the workspace."""


class WorkspaceMissing(CommonthreadError):
    """No workspace where one was expected."""


class StoreError(CommonthreadError):
    """The database does not hold what it must: schema version, key, or seal."""


class RowRefused(StoreError):
    """The database takes others, and never this: a value that it cannot hold."""


class LogFailed(StoreError):
    """The audit log could not be written: nothing is shown or done. Says whom to ring."""


class AuditBroken(StoreError):
    """The audit log is not what it was when it was signed: altered, cut short, or of two kinds."""


class NeedsDecision(CommonthreadError):
    """A guarded step stopped and asks a person."""


EXIT_CODES: dict[type[CommonthreadError], int] = {
    SettingsError: 3,
    InputError: 4,
    InvalidValue: 4,
    NotFound: 5,
    NotPermitted: 6,
    WorkspaceBusy: 7,
    WorkspaceMissing: 8,
    StoreError: 9,
    NeedsDecision: 10,
}
"""Exit code of the command line per class of error (its nearest listed ancestor counts).

0 is success, 1 an error nobody foresaw, 2 a wrong command line, 11 a run that ended well but
quarantined or refused something when `--strict` was asked for, 130 an interrupt.
"""


def exit_code(error: CommonthreadError) -> int:
    """The exit code for an error: that of its nearest ancestor in `EXIT_CODES`."""
    for cls in type(error).__mro__:
        if cls in EXIT_CODES:
            return EXIT_CODES[cls]
    return 1


_SHAPES = (
    ("letters", str.isalpha),
    ("digits", str.isnumeric),
    ("spaces", str.isspace),
)


def shape_of(text: str) -> str:
    """Describes a text without showing it, e.g. `11 characters: digits, punctuation`."""
    if not text:
        return "empty"
    kinds = [name for name, test in _SHAPES if any(test(c) for c in text)]
    if any(not (c.isalnum() or c.isspace()) for c in text):
        kinds.append("punctuation")
    return f"{len(text)} character{'s' if len(text) != 1 else ''}: {', '.join(kinds)}"
