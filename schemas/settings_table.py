"""Reading one TOML table: typed getters that collect faults instead of raising. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class Checker:
    """Collects faults."""

    def __init__(self) -> None:
        self.faults: list[str] = []

    def fault(self, where: str, what: str) -> None:
        """Notes a fault at a place."""
        self.faults.append(f"{where}: {what}" if where else what)


class Table:
    """One TOML table being read: typed getters that collect faults instead of raising."""

    def __init__(self, values: Mapping[str, Any], where: str, checker: Checker) -> None:
        self.values, self.where, self.checker = values, where, checker
        self.seen: set[str] = set()

    def at(self, key: str) -> str:
        """The full name of a key, for messages."""
        return f"{self.where}.{key}" if self.where else key

    def fault(self, key: str, what: str) -> None:
        """Notes a fault of this table."""
        self.checker.fault(self.at(key), what)

    def get(self, key: str, kind: type | tuple[type, ...], default: Any, expected: str) -> Any:
        """The value, or `default` (... where it must be there); of another kind: a fault."""
        self.seen.add(key)
        if key not in self.values:
            if default is ...:
                self.fault(key, f"missing; expected {expected}")
                return None
            return default
        value = self.values[key]
        if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
            self.fault(key, f"expected {expected}; got {type(value).__name__}")
            return None if default is ... else default
        return value

    def text(self, key: str, default: Any = ...) -> str:
        """A text; required if no default is given."""
        value = self.get(key, str, default, "text")
        if value == "" and default is ...:
            self.fault(key, "expected text; got nothing")
        return value if value is not None or default is None else ""

    def flag(self, key: str, default: bool) -> bool:
        """True or false."""
        return bool(self.get(key, bool, default, "true or false"))

    def number(self, key: str, default: float, low: float, high: float) -> float:
        """A number from low to high."""
        value = self.get(key, (int, float), default, "a number")
        if not low <= value <= high:
            self.fault(key, f"expected {low:g} to {high:g}; got {value:g}")
            return default
        return float(value)

    def whole(self, key: str, default: int, low: int, high: int) -> int:
        """A whole number from low to high."""
        value = self.get(key, int, default, "a whole number")
        if not low <= value <= high:
            self.fault(key, f"expected {low} to {high}; got {value}")
            return default
        return int(value)

    def texts(self, key: str, default: tuple[str, ...] | None = ()) -> tuple[str, ...]:
        """A text or a list of texts, as a tuple."""
        value = self.get(
            key, (str, list), default if default is not None else ..., "text or a list of texts"
        )
        entries = [value] if isinstance(value, str) else list(value or ())
        if not all(isinstance(v, str) for v in entries):
            self.fault(key, "expected a list of texts")
            return default or ()
        return tuple(entries)

    def choice(self, key: str, choices: tuple[str, ...], default: Any = ...) -> str:
        """One of the choices."""
        value = self.text(key, default)
        if value and value not in choices:
            self.fault(key, f"expected one of {', '.join(choices)}")
            return choices[0]
        return value

    def mapping(self, key: str) -> dict[str, str]:
        """A table of texts."""
        table = self.get(key, dict, {}, "a table of texts")
        bad = [k for k, v in table.items() if not isinstance(v, str)]
        if bad:
            self.fault(key, f"expected texts; {', '.join(bad)} are not")
        return {k: v for k, v in table.items() if isinstance(v, str)}

    def table(self, key: str) -> Table:
        """A table inside this one."""
        return Table(self.get(key, dict, {}, "a table"), self.at(key), self.checker)

    def tables(self, key: str) -> list[Table]:
        """A list of tables."""
        entries = self.get(key, list, [], "a list of tables")
        if not all(isinstance(e, dict) for e in entries):
            self.fault(key, "expected a list of tables ([[...]])")
            return []
        return [Table(e, f"{self.at(key)}[{n}]", self.checker) for n, e in enumerate(entries)]

    def done(self) -> None:
        """Notes every key that nobody asked for: a misspelt setting is a fault."""
        for key in sorted(set(self.values) - self.seen):
            self.fault(key, "unknown setting")
