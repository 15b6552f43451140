"""The audit log: proving it, watching it, reporting from it, keeping it."""

from __future__ import annotations

import click


@click.group()
def audit() -> None:
    """The log of who looked at whom: prove it, read it, act on it."""
