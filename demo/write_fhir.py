"""FHIR feeds: bulk NDJSON, a file per resource type, from the practice systems; one Bundle from the
out-of-hours service.

Rules:
- Two headings of one resource type (safeguarding and alerts are both Flags) share a file.
- Bundle entries carry a `fullUrl` of the form that bundles of documents have (`urn:uuid:`); items
  refer to their Patient by its relative address.
"""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import msgspec

from demo.fhir_resources import RESOURCES, Item, Resource, item_resource, patient
from demo.files import STAMP, write_feed
from demo.items import Items
from demo.records import View

BUNDLE_SYSTEMS = frozenset({"out_of_hours"})
"""FHIR systems that send one Bundle instead of NDJSON files."""
_LINES_PER_PIECE = 2_000
_encode = msgspec.json.Encoder().encode


def _patients(view: View) -> Iterator[Resource]:
    for row in range(len(view)):
        yield patient(view.columns, row)


def _resources(view: View, part: Items) -> Iterator[Resource]:
    c = view.columns
    for n, row in enumerate(part.row.tolist()):
        item = Item(part, n, c["local_id"][row], c["organisation"][row], c["as_at"][row])
        yield item_resource(part.heading, item)


def _lines(resources: Iterator[Resource]) -> Iterator[str]:
    piece: list[str] = []
    for resource in resources:
        piece.append(_encode(resource).decode())
        if len(piece) == _LINES_PER_PIECE:
            yield "\n".join(piece) + "\n"
            piece = []
    if piece:
        yield "\n".join(piece) + "\n"


def _bundle(resources: Iterator[Resource], stamp: str) -> Iterator[str]:
    yield f'{{"resourceType":"Bundle","type":"collection","timestamp":"{stamp}","entry":['
    separator = "\n"
    for resource in resources:
        address = uuid.uuid5(uuid.NAMESPACE_URL, f"{resource['resourceType']}/{resource['id']}")
        entry = {"fullUrl": f"urn:uuid:{address}", "resource": resource}
        yield separator + _encode(entry).decode()
        separator = ",\n"
    yield "\n]}\n"


def _all(view: View, items: list[Items]) -> Iterator[Resource]:
    yield from _patients(view)
    for part in items:
        yield from _resources(view, part)


def write_resources(folder: Path, view: View, items: list[Items]) -> list[Path]:
    """The feed of a FHIR system."""
    if view.system.id in BUNDLE_SYSTEMS:
        stamp = f"{STAMP[:4]}-{STAMP[4:6]}-{STAMP[6:]}T04:00:00+00:00"
        path = folder / f"cases_{STAMP}.json"
        return [write_feed(path, _bundle(_all(view, items), stamp))]
    paths = [write_feed(folder / f"Patient_{STAMP}.ndjson", _lines(_patients(view)))]
    by_type: dict[str, list[Items]] = {}
    for part in items:
        by_type.setdefault(_type_of(view, part), []).append(part)
    for kind, parts in by_type.items():
        resources = (resource for part in parts for resource in _resources(view, part))
        paths.append(write_feed(folder / f"{kind}_{STAMP}.ndjson", _lines(resources)))
    return paths


def write_night(folder: Path, view: View, deleted: list[str], stamp: str) -> list[Path]:
    """A later night's feed: the Patients of the view, and the local ids that are deleted."""
    moment = f"{stamp[:4]}-{stamp[4:6]}-{stamp[6:]}T04:00:00+00:00"
    paths: list[Path] = []
    if view.system.id in BUNDLE_SYSTEMS:
        pieces = _bundle(_patients(view), moment)
        return (
            [write_feed(folder / f"cases_{stamp}.json", pieces, stamp=stamp)] if len(view) else []
        )
    if len(view):
        patients = _lines(_patients(view))
        paths.append(write_feed(folder / f"Patient_{stamp}.ndjson", patients, stamp=stamp))
    if deleted:
        requests = [{"request": {"method": "DELETE", "url": f"Patient/{i}"}} for i in deleted]
        bundle: Resource = {
            "resourceType": "Bundle", "type": "transaction", "timestamp": moment, "entry": requests,
        }  # fmt: skip
        path = folder / f"Deleted_{stamp}.ndjson"
        paths.append(write_feed(path, _lines(iter([bundle])), stamp=stamp))
    return paths


def _type_of(view: View, part: Items) -> str:
    """The resource type of a heading, told by its first item."""
    row, c = int(part.row[0]), view.columns
    first = Item(part, 0, c["local_id"][row], c["organisation"][row], c["as_at"][row])
    return str(RESOURCES[part.heading](first)["resourceType"])
