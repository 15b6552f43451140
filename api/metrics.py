"""Counts and times for Prometheus. Labels are names of routes and codes, never ids or values."""

from __future__ import annotations

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Environment variable: the folder where workers share their counts."""
CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_SECONDS = (0.002, 0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.0)


class Metrics:
    """The counts of one process."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "commonthread_requests", "Requests answered", ["route", "status"],
            registry=self._registry,
        )  # fmt: skip
        self._seconds = Histogram(
            "commonthread_request_seconds", "Time to answer", ["route"], buckets=_SECONDS,
            registry=self._registry,
        )  # fmt: skip
        self._outcomes = Counter(
            "commonthread_outcomes", "Answers that were not what was asked for", ["code"],
            registry=self._registry,
        )  # fmt: skip

    def answered(self, route: str, status: int, seconds: float, code: str | None) -> None:
        """Counts one answer; `code` is that of its outcome, where it had one."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)
        if code:
            self._outcomes.labels(code).inc()

    def shown(self) -> bytes:
        """The counts of all workers, as text."""
        if MULTIPROCESS not in os.environ:
            return generate_latest(self._registry)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return generate_latest(registry)
