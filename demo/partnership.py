"""The partnership of the demo: its organisations, its client record systems, its calendar. Tables.

Rules:
- Every name and code is invented. Codes begin with `ZZ`, which no English practice code does
  (tests compare them with the published list of practice codes).
- The model is a city, a coastal district and a rural district around an estuary that share records
  (17 organisations, 14 systems), like the partnerships that exist; none of them is depicted.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

EXTRACT_DATE = date(2026, 3, 1)
"""When every feed was extracted. The demo has one night, the same for every seed."""

AREAS = ("Avonmere", "Northmoor", "Southcote")
"""The three council areas, and the share of the people that lives in each."""
AREA_SHARES = (0.48, 0.27, 0.25)


@dataclass(frozen=True)
class Member:
    """An organisation of the partnership."""

    code: str
    name: str
    kind: str


ORGANISATIONS: tuple[Member, ...] = (
    Member("ZZC01", "Avonmere City Council", "council"),
    Member("ZZC02", "Northmoor Council", "council"),
    Member("ZZC03", "Southcote District Council", "council"),
    Member("ZZR01", "Avonmere Royal Hospitals", "acute"),
    Member("ZZR02", "Northmoor General Hospital", "acute"),
    Member("ZZR03", "Southcote Infirmary", "acute"),
    Member("ZZA01", "Two Rivers Ambulance Service", "ambulance"),
    Member("ZZM01", "Estuary Mental Health", "mental_health"),
    Member("ZZN01", "Meadowbank Community Health", "community"),
    Member("ZZS01", "The Quay Sexual Health Service", "sexual_health"),
    Member("ZZG01", "Harbour Family Practices", "general_practice"),
    Member("ZZG02", "Hillside Medical Group", "general_practice"),
    Member("ZZG03", "Moorland Surgeries", "general_practice"),
    Member("ZZG04", "Vale Health Centres", "general_practice"),
    Member("ZZU01", "Lantern Out of Hours", "out_of_hours"),
    Member("ZZH01", "Saint Aldhelm's Lodge Hospice", "hospice"),
    Member("ZZV01", "Open Door Housing Support", "voluntary"),
)
"""Seventeen members. The sexual health service and the housing charity keep their clients in the
systems of the community provider and of Avonmere's adult services."""


@dataclass(frozen=True)
class System:
    """One client record system.

    Attributes:
        id: the source id in partnership.toml.
        organisations: codes of the members it serves; the first holds most of its clients.
        format: how its feed is written.
        area: index into `AREAS` of the people it mostly serves, or None for all three.
        local_id: format of its client ids, filled with a number.
        keeps_people_apart: the system weeds its own doubles, so two of its records are two people.
        shares: another system whose client ids it holds for some of its clients.
    """

    id: str
    name: str
    organisations: tuple[str, ...]
    format: str
    area: int | None
    local_id: str
    keeps_people_apart: bool
    shares: str | None = None


_COUNCILS = ("ZZC01", "ZZC02", "ZZC03")

SYSTEMS: tuple[System, ...] = (
    System("adult_avonmere", "Avonmere adult social care", ("ZZC01", "ZZV01"),
           "delimited", 0, "{:07d}", False),
    System("adult_northmoor", "Northmoor adult social care", ("ZZC02",),
           "delimited", 1, "NM-{:06d}", False),
    System("adult_southcote", "Southcote adult social care", ("ZZC03",),
           "delimited", 2, "S{:06d}", False),
    System("childrens", "Children's services and early help", _COUNCILS,
           "delimited", None, "CH{:06d}", False),
    System("acute_royal", "Avonmere Royal patient administration", ("ZZR01",),
           "hl7v2", 0, "R{:07d}", True),
    System("acute_northmoor", "Northmoor General patient administration", ("ZZR02",),
           "hl7v2", 1, "{:08d}", False, "acute_royal"),
    System("acute_southcote", "Southcote Infirmary patient index", ("ZZR03",),
           "delimited", 2, "SI/{:06d}", False),
    System("ambulance", "Ambulance patient reports", ("ZZA01",),
           "delimited", None, "TRA{:08d}", False),
    System("mental_health", "Mental health records", ("ZZM01",),
           "delimited", None, "E{:06d}", True),
    System("community", "Community health records", ("ZZN01", "ZZS01"),
           "delimited", None, "{:06d}C", False, "acute_royal"),
    System("gp_harbour", "Practice system of Harbour and Hillside", ("ZZG01", "ZZG02"),
           "fhir", None, "h-{:07d}", True),
    System("gp_moorland", "Practice system of Moorland and Vale", ("ZZG03", "ZZG04"),
           "fhir", None, "mv{:07d}", True),
    System("out_of_hours", "Out-of-hours cases", ("ZZU01",),
           "fhir", None, "lantern-{:06d}", False),
    System("hospice", "Hospice register", ("ZZH01",),
           "delimited", None, "H{:d}", False, "acute_royal"),
)  # fmt: skip
"""Fourteen systems, in the order in which their feeds are made."""

SYSTEM_IDS: tuple[str, ...] = tuple(system.id for system in SYSTEMS)

STAFF_DIRECTORY = "staff_directory"
"""The source id of the staff directory's feed, which stands beside the fourteen."""

AGE_BANDS: tuple[tuple[str, int], ...] = (
    ("0-4", 0), ("5-17", 5), ("18-29", 18), ("30-49", 30), ("50-64", 50), ("65-79", 65), ("80+", 80)
)  # fmt: skip
"""Age bands with their lowest age in years."""

PRESENCE: dict[str, tuple[float, ...]] = {
    #                    0-4   5-17  18-29 30-49 50-64 65-79 80+
    "adult_avonmere":   (0.00, 0.00, 0.04, 0.06, 0.10, 0.20, 0.45),
    "adult_northmoor":  (0.00, 0.00, 0.04, 0.06, 0.10, 0.20, 0.45),
    "adult_southcote":  (0.00, 0.00, 0.03, 0.05, 0.09, 0.19, 0.42),
    "childrens":        (0.16, 0.22, 0.03, 0.00, 0.00, 0.00, 0.00),
    "acute_royal":      (0.83, 0.53, 0.57, 0.59, 0.71, 0.87, 0.97),
    "acute_northmoor":  (0.71, 0.50, 0.53, 0.57, 0.68, 0.85, 0.97),
    "acute_southcote":  (0.65, 0.47, 0.50, 0.54, 0.66, 0.83, 0.97),
    "ambulance":        (0.09, 0.06, 0.12, 0.12, 0.16, 0.28, 0.56),
    "mental_health":    (0.00, 0.10, 0.14, 0.12, 0.10, 0.10, 0.17),
    "community":        (0.43, 0.15, 0.18, 0.16, 0.21, 0.35, 0.62),
    "gp_harbour":       (0.98, 0.99, 0.93, 0.96, 0.98, 0.99, 0.99),
    "gp_moorland":      (0.98, 0.99, 0.93, 0.96, 0.98, 0.99, 0.99),
    "out_of_hours":     (0.35, 0.20, 0.18, 0.18, 0.18, 0.24, 0.36),
    "hospice":          (0.00, 0.00, 0.00, 0.00, 0.02, 0.04, 0.08),
}  # fmt: skip
"""Share of the people of an age band whom a system knows (for a system with an area: of the people
of that area; for a practice system: of the people of its practices). Assumed, so that a person has
about 2.5 records, as in such partnerships."""

OUTSIDE_AREA = 0.12
"""How much less likely a system of one area knows the people of another."""
