"""Limits against harvesting: how many searches and reads one asker makes a minute.

A bucket for each asker and kind fills steadily and holds a minute's worth; a request takes one from
it. Every worker has buckets of its own, each filled with its share.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field

from api.outcomes import Refused

MOST_ASKERS = 100_000
"""Buckets kept; above it, those that have filled up again are dropped."""


@dataclass
class Throttle:
    """Args: a_minute: kind → requests a minute; now: seconds that only grow."""

    a_minute: dict[str, float]
    now: Callable[[], float]
    _buckets: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def take(self, kind: str, asker: str) -> None:
        """Counts one request. Raises: Refused, with the seconds to wait."""
        most = self.a_minute[kind]
        with self._lock:
            now = self.now()
            held, at = self._buckets.get((kind, asker), (most, now))
            held = min(most, held + (now - at) * most / 60)
            if held < 1:
                self._buckets[kind, asker] = (held, now)
                seconds = int((1 - held) * 60 / most) + 1
                raise Refused(
                    "THROTTLED",
                    f"more than {most:g} requests of this kind in a minute; wait {seconds} s",
                    {"Retry-After": str(seconds)},
                )
            self._buckets[kind, asker] = (held - 1, now)
            if len(self._buckets) > MOST_ASKERS:
                self._drop_full(now)

    def _drop_full(self, now: float) -> None:
        self._buckets = {
            key: (held, at)
            for key, (held, at) in self._buckets.items()
            if held + (now - at) * self.a_minute[key[0]] / 60 < self.a_minute[key[0]]
        }
