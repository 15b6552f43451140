"""Any bytes and any mangled resource: FeedRefused or rejected units, never another exception, never
a value in a message, never a unit lost."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.errors import FeedRefused
from tests.adapters.fhir_feeds import Read, full_patient, observation, read_bytes

SECRET = "Zebedee-7731"
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(10**20), 10**20), st.floats(allow_nan=False),
    st.sampled_from([SECRET, f"{SECRET}\n", "", "2020-13-01", "\0", "urn:uuid:x", "Patient/p1"]),
)  # fmt: skip
KEYS = st.sampled_from(
    ["resourceType", "id", "name", "identifier", "subject", "reference", "extension", "url", "link",
     "contained", "entry", "resource", "_birthDate", "period", "start", "code", "coding", SECRET]
)  # fmt: skip
VALUES = st.recursive(
    LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=4), max_leaves=12
)
STARTS = [full_patient(), observation(),
          {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": observation()}]},
          {"resourceType": "Appointment", "id": "a", "status": "booked", "participant": [
              {"status": "accepted", "actor": {"reference": "Patient/p1"}}]}]  # fmt: skip


@st.composite
def mangled(draw: st.DrawFn) -> Any:
    """A good resource of which one to four places are dropped, replaced or added to."""
    resource = json.loads(json.dumps(draw(st.sampled_from(STARTS))))
    for _ in range(draw(st.integers(1, 4))):
        node = resource
        while True:
            inner = list(node) if isinstance(node, dict) else list(range(len(node)))
            key = draw(st.sampled_from(inner)) if inner else None
            if key is None or not isinstance(node[key], dict | list) or draw(st.booleans()):
                break
            node = node[key]
        action = draw(st.sampled_from(["drop", "replace", "add"]))
        if key is not None and action == "drop":
            del node[key]
        elif key is not None and action == "replace":
            node[key] = draw(VALUES)
        elif isinstance(node, dict):
            node[draw(KEYS)] = draw(VALUES)
        else:
            node.append(draw(VALUES))
    return resource


def read(data: bytes, **changes: Any) -> Read | None:
    """The feed read, its units accounted for; None if it is refused."""
    with tempfile.TemporaryDirectory() as folder:
        try:
            return read_bytes(Path(folder), data, **changes)
        except FeedRefused as refused:
            shown = refused.message
    assert SECRET not in shown
    return None


def check_messages(found: Read | None) -> None:
    for rejected in found.rejected if found else ():
        assert SECRET not in rejected.message + rejected.field + rejected.where
    for field, _ in found.issues if found else ():
        assert SECRET not in field


@settings(max_examples=120, deadline=None)
@given(st.lists(mangled(), min_size=1, max_size=3), st.sampled_from([None, "urn:x"]))
def test_mangled_resources(resources: list[Any], system: str | None) -> None:
    lines = "\n".join(json.dumps(resource) for resource in resources).encode()
    check_messages(read(lines, local_id_system=system))
    check_messages(read(json.dumps(resources, indent=1).encode(), local_id_system=system))


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_mangled_bytes(data: st.DataObject) -> None:
    good = json.dumps(full_patient()).replace("Smith", SECRET).encode() + b"\n"
    raw = bytearray(good * data.draw(st.integers(1, 3)))
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(raw) - 1))
        raw[place : place + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3))
    check_messages(read(bytes(raw)))


XML = (
    b'<Patient xmlns="http://hl7.org/fhir"><id value="p"/>'
    b'<name><family value="S"/></name></Patient>'
)
PUT = [b"", b"<", b'"', b"&a;", b"&#0;", b"<x/>", b"\xff", b"\0", b"<![CDATA[x]]>", b"a", b"<div/>"]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, len(XML) - 1), st.integers(0, 6), st.sampled_from(PUT))
def test_mangled_xml(place: int, length: int, put: bytes) -> None:
    check_messages(read(XML[:place] + put + XML[place + length :]))
