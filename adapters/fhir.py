"""The FHIR R4 reader: a feed of resources into columnar batches.

Rules:
- A unit is one resource; Bundles are only envelopes (adapters/fhir_units.py).
- Every resource is checked (adapters/fhir_check.py) before anything is read from it.
- A Patient becomes a client record and its merges (adapters/fhir_patient.py). Anything else becomes
  a care item, a PractitionerRole a staff entry as well (adapters/fhir_items.py). Types that we do
  not know are kept unclassified.
- A DELETE of a Patient is a withdrawal. A Patient that is not active is none: it is a record that
  its source still holds, of a client whom it sees no longer, who died, or who was merged (then a
  link says into whom). Deletions of other resources are not taken.
- When a unit stood so: `meta.lastUpdated`, else the Bundle's timestamp, else as the feed says.
- A fault quarantines one resource; FeedRefused means that the file as a whole cannot be read.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from adapters.batches import BatchBuilder
from adapters.fhir_check import Checker
from adapters.fhir_directory import Directory, Meant
from adapters.fhir_items import ItemReader
from adapters.fhir_patient import PatientReader
from adapters.fhir_units import FhirFeed, Unit
from adapters.fhir_values import instant, obj
from schemas.columns import UnitBatch
from schemas.dates import Instant
from schemas.errors import InvalidValue
from schemas.records import Withdrawal, WithdrawalReason
from schemas.settings import Limits, SourceSettings
from service.ports import FeedFile


def read_fhir(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    """Reads FHIR R4 as NDJSON, a JSON or XML Bundle, a JSON list, or one resource.

    Raises: FeedRefused.
    """
    fhir_feed = FhirFeed(feed, limits)
    builder = BatchBuilder(limits.batch_units)
    reader = _UnitReader(feed, source, fhir_feed, builder)
    for unit in fhir_feed.units():
        if builder.full:
            yield builder.take()
        builder.next_unit()
        reader.read(unit)
    yield builder.take()


class _UnitReader:
    """Puts one unit after another into the builder."""

    def __init__(
        self, feed: FeedFile, source: SourceSettings, fhir_feed: FhirFeed, builder: BatchBuilder
    ) -> None:
        directory = Directory(source, fhir_feed.heads)
        today = feed.as_at[:10]
        self._builder = builder
        self._checker = Checker()
        self._patients = PatientReader(source, directory, today, builder.issue)
        self._items = ItemReader(directory, today, builder.issue)
        self._directory = directory

    def read(self, unit: Unit) -> None:
        """Checks and maps one unit, or quarantines it."""
        if unit.reason:
            self._reject(unit, "", unit.reason, unit.message)
            return
        if unit.deleted is not None:
            self._deleted(unit, unit.deleted)
            return
        verdict = self._checker.check(unit.value, unit.raw, unit.suspect)
        if verdict.reason:
            self._reject(unit, verdict.field, verdict.reason, verdict.message)
            return
        resource: dict[str, Any] = unit.value
        try:
            loaded = (
                self._patient(unit, resource)
                if resource["resourceType"] == "Patient"
                else self._other(unit, resource)
            )
        except InvalidValue as error:
            self._reject(unit, "", "bad_value", error.reason)
            return
        if loaded:
            for place, reason in verdict.issues:
                self._builder.issue(place, reason)

    def _patient(self, unit: Unit, resource: dict[str, Any]) -> bool:
        local_id = self._patients.local_id(resource)
        if local_id is None:
            message = "expected an identifier of the source's system, or an id"
            self._reject(unit, "local_id", "missing_value", message)
            return False
        record, merges = self._patients.read(resource, local_id)
        changes = self._patients.identity_changes(resource, local_id)
        as_at = self._as_at(unit, resource)
        self._builder.record(record, as_at)
        for change in changes:
            self._builder.identity_change(change, as_at)
        for merge in merges:
            self._builder.merge(merge, as_at)
        return True

    def _deleted(self, unit: Unit, address: str) -> None:
        subject = self._directory.subject({"reference": address}, {})
        if subject.local_id is not None:
            withdrawal = Withdrawal(subject.local_id, WithdrawalReason.DELETED)
            self._builder.withdrawal(withdrawal, self._as_at(unit, {}))
        elif subject.meant is Meant.OTHER:
            message = "the deletion of a resource that is no Patient is not taken"
            self._reject(unit, "", "not_supported", message)
        else:
            message = "deletes a patient whose local id cannot be told from this feed"
            self._reject(unit, "local_id", "missing_value", message)

    def _other(self, unit: Unit, resource: dict[str, Any]) -> bool:
        subject = self._items.subject(resource)
        if subject.meant is Meant.UNRESOLVED:
            message = "names a patient whose local id cannot be told from this feed"
            self._reject(unit, "subject", "missing_value", message)
            return False
        as_at = self._as_at(unit, resource)
        if resource["resourceType"] == "PractitionerRole":
            entry = self._items.staff(resource)
            if entry is not None:
                self._builder.staff(entry, as_at)
        self._builder.item(self._items.item(resource, subject.local_id, unit.full_url), as_at)
        return True

    def _as_at(self, unit: Unit, resource: dict[str, Any]) -> Instant | None:
        sent = obj(resource.get("meta")).get("lastUpdated") or unit.stamp
        if sent is None:
            return None
        read = instant(sent)
        if read is None:
            self._builder.issue("as_at", "bad_value")
        return read

    def _reject(self, unit: Unit, field: str, reason: str, message: str) -> None:
        self._builder.reject(unit.where, field, reason, message, unit.raw)
