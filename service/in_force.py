"""What the program works under, watched: settings and policies.

Rules:
- Whoever opens the workspace first after a change leaves its event, before anything else is done:
  a change by an editor is written down like one by a command.
- The log is the memory: what was in force before is what the last such event says.
- The linkage model is watched where it works: the run that publishes under another one says so, in
  the transaction that shows it (store/publishing.py).
- Events hold digests and names of sections and files, nothing of what stands in them.
"""

from __future__ import annotations

import hashlib
import tomllib
from collections.abc import Mapping
from importlib import resources

import msgspec

from audit.actions import class_of
from schemas.dates import Clock
from service.access import Actor, event
from service.audit_ports import AuditQuery, AuditStore

Parts = Mapping[str, str]
"""Name of a section or file → digest of what stands there."""


def settings_parts(text: str) -> Parts:
    """Of a settings file, section by section. Requires: it was parsed."""
    read = tomllib.loads(text)
    return {name: _digest(msgspec.json.encode(read[name], order="sorted")) for name in sorted(read)}


def policy_parts() -> Parts:
    """Of the policies, file by file."""
    folder = resources.files("consent") / "policies"
    files = sorted((one for one in folder.iterdir() if one.is_file()), key=lambda one: one.name)
    return {one.name: _digest(one.read_bytes()) for one in files}


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()[:32]


def note_changes(
    store: AuditStore, actor: Actor, clock: Clock, watched: Mapping[str, Parts]
) -> list[str]:
    """Writes down what has changed since it was last written down; returns the actions written.

    Args: `watched`: action of the event → what is in force now.
    """
    written = []
    for action, parts in watched.items():
        before = _last(store, action)
        if parts != before:
            changed = sorted(
                name
                for name in {*parts, *(before or ())}
                if parts.get(name) != (before or {}).get(name)
            )
            told = event(
                actor, action, clock, parts=dict(parts), changed=changed, first=before is None
            )
            store.append_event(told)
            written.append(action)
    return written


def _last(store: AuditStore, action: str) -> Parts | None:
    query = AuditQuery(
        actions=frozenset({action}), classes=frozenset({class_of(action)}),
        newest_first=True, limit=1,
    )  # fmt: skip
    for page in store.find_numbered(query):
        for one in page:
            return {str(k): str(v) for k, v in one.event.details.get("parts", {}).items()}
    return None
