"""What care items say: codes and texts under every heading, and which system sends which. Tables.

Rules:
- Clinical codes are SNOMED CT concept ids; administrative ones are the senders' own; dissent codes
  are Read v2, as practice systems send them.
- `ITEM_MIX` covers every heading of schemas.items but `unclassified`.
"""

from __future__ import annotations

from dataclasses import dataclass

SNOMED = "http://snomed.info/sct"
READ = "http://read.info/readv2"
LOCAL = "https://demo.invalid/codes"


@dataclass(frozen=True)
class Entry:
    """One thing that an item can be about. `sensitivity` is a security label, empty for none;
    `value` a range of results with its unit."""

    code: str
    display: str
    system: str = LOCAL
    sensitivity: str = ""
    low: float = 0.0
    high: float = 0.0
    unit: str = ""


def _snomed(*pairs: tuple[str, str]) -> tuple[Entry, ...]:
    return tuple(Entry(code, display, SNOMED) for code, display in pairs)


def _local(*pairs: tuple[str, str]) -> tuple[Entry, ...]:
    return tuple(Entry(code, display) for code, display in pairs)


CATALOGUE: dict[str, tuple[Entry, ...]] = {
    "encounter": _local(("F2F", "Face to face contact"), ("TEL", "Telephone contact"),
                        ("HOME", "Home visit"), ("ED", "Emergency department attendance")),
    "admission": _local(("EMER", "Emergency admission"), ("ELEC", "Planned admission"),
                        ("MAT", "Maternity admission")),
    "condition": (
        *_snomed(("73211009", "Diabetes mellitus"), ("38341003", "Hypertensive disorder"),
                 ("195967001", "Asthma"), ("13645005", "Chronic obstructive lung disease"),
                 ("35489007", "Depressive disorder"), ("52448006", "Dementia"),
                 ("396275006", "Osteoarthritis"), ("49436004", "Atrial fibrillation"),
                 ("128613002", "Seizure disorder"), ("84757009", "Epilepsy")),
        Entry("86406008", "Human immunodeficiency virus infection", SNOMED, "SEXUALHEALTH"),
    ),
    "medication": _snomed(("387517004", "Paracetamol"), ("387207008", "Ibuprofen"),
                          ("372687004", "Amoxicillin"), ("372567009", "Metformin"),
                          ("373444002", "Atorvastatin"), ("386864001", "Amlodipine"),
                          ("372897005", "Salbutamol"), ("387137007", "Omeprazole")),
    "allergy": _snomed(("91936005", "Allergy to penicillin"), ("91935009", "Allergy to peanut"),
                       ("300916003", "Latex allergy"), ("716186003", "No known allergy")),
    "observation": (
        Entry("271649006", "Systolic blood pressure", SNOMED, "", 95, 180, "mmHg"),
        Entry("27113001", "Body weight", SNOMED, "", 45, 120, "kg"),
        Entry("364075005", "Heart rate", SNOMED, "", 50, 110, "/min"),
        Entry("431314004", "Peripheral oxygen saturation", SNOMED, "", 88, 100, "%"),
    ),
    "procedure": _snomed(("80146002", "Appendectomy"), ("54885007", "Extraction of cataract"),
                         ("52734007", "Total replacement of hip"),
                         ("29303009", "Electrocardiogram")),
    "immunisation": _snomed(("86198006", "Influenza vaccination"),
                            ("12866006", "Pneumococcal vaccination"),
                            ("38598009", "Measles, mumps and rubella vaccination")),
    "care_plan": _local(("CSP", "Care and support plan"), ("EOL", "End of life care plan"),
                        ("ESC", "Treatment escalation plan"), ("CRISIS", "Crisis plan")),
    "assessment": _local(("CARE", "Care needs assessment"), ("CARER", "Carer's assessment"),
                         ("FALLS", "Falls risk assessment"), ("RISK", "Risk assessment")),
    "safeguarding": _local(("CPP", "Child protection plan"), ("LAC", "Looked-after child"),
                           ("S42", "Adult safeguarding enquiry"),
                           ("UNBORN", "Plan for an unborn child")),
    "alert": _local(("KEYSAFE", "Key safe: ask the duty team"), ("DOG", "Dog at the address"),
                    ("TWO", "Visit in pairs"), ("INTERP", "Needs an interpreter")),
    "referral": _local(("OT", "Occupational therapy"), ("PHYSIO", "Physiotherapy"),
                       ("REABLE", "Reablement"), ("CARDIO", "Cardiology"), ("MH", "Mental health"),
                       ("HOSP", "Hospice at home")),
    "appointment": (
        *_local(("CLINIC", "Clinic appointment"), ("REVIEW", "Review"), ("VISIT", "Visit at home")),
        Entry("SHC", "Sexual health clinic", LOCAL, "SEXUALHEALTH"),
    ),
    "caseload": _local(("DN", "District nursing"), ("SW", "Social work"),
                       ("CMHT", "Community mental health team"),
                       ("HV", "Health visiting"), ("EH", "Early help")),
    "registration": _local(("R", "Registered for general medical services")),
    "professional_contact": _local(("KEY", "Key worker"), ("COORD", "Care coordinator"),
                                   ("NAMEDGP", "Named general practitioner")),
    "personal_contact": _local(("NOK", "Next of kin"), ("CARER", "Carer"), ("PARENT", "Parent")),
    "document": _local(("DISCH", "Discharge summary"), ("LETTER", "Clinic letter"),
                       ("REPORT", "Attendance report")),
    "sharing_preference": (
        Entry("93C1.", "Refused consent for upload to local shared electronic record", READ),
        Entry("9Nu0.", "Dissent from secondary use of general practice data", READ),
        Entry("93C0.", "Consent given for upload to local shared electronic record", READ),
    ),
}  # fmt: skip
"""Heading → what its items can be about, each as likely as the others."""

_ADULT = {"assessment": 0.5, "care_plan": 0.5, "referral": 0.6, "appointment": 0.5, "caseload": 0.7,
          "safeguarding": 0.06, "alert": 0.15, "personal_contact": 0.3,
          "professional_contact": 0.3}  # fmt: skip
_ACUTE = {"admission": 0.5, "encounter": 0.3, "appointment": 0.5, "condition": 0.4, "allergy": 0.25,
          "procedure": 0.2, "observation": 0.4, "personal_contact": 0.25, "document": 0.2,
          "referral": 0.15}  # fmt: skip
_PRACTICE = {"registration": 0.9, "condition": 0.5, "medication": 0.6, "allergy": 0.3,
             "observation": 0.5, "procedure": 0.1, "immunisation": 0.3, "encounter": 0.4,
             "appointment": 0.3, "referral": 0.15, "care_plan": 0.05, "assessment": 0.08,
             "safeguarding": 0.01, "alert": 0.04, "professional_contact": 0.1,
             "personal_contact": 0.1, "document": 0.1, "sharing_preference": 0.03}  # fmt: skip

ITEM_MIX: dict[str, dict[str, float]] = {
    "adult_avonmere": _ADULT, "adult_northmoor": _ADULT, "adult_southcote": _ADULT,
    "childrens": {"safeguarding": 0.25, "assessment": 0.4, "caseload": 0.6, "referral": 0.4,
                  "care_plan": 0.2, "professional_contact": 0.3, "personal_contact": 0.4},
    "acute_royal": _ACUTE, "acute_northmoor": _ACUTE,
    "acute_southcote": _ACUTE | {"medication": 0.1},
    "ambulance": {"encounter": 1.0, "observation": 0.6, "alert": 0.05},
    "mental_health": {"caseload": 0.6, "appointment": 0.8, "care_plan": 0.4, "referral": 0.5,
                      "condition": 0.3, "medication": 0.3, "professional_contact": 0.3,
                      "alert": 0.1, "assessment": 0.3, "document": 0.1},
    "community": {"appointment": 1.0, "referral": 0.6, "caseload": 0.6, "encounter": 0.6,
                  "assessment": 0.3, "immunisation": 0.2, "alert": 0.1},
    "gp_harbour": _PRACTICE, "gp_moorland": _PRACTICE,
    "out_of_hours": {"encounter": 1.0, "observation": 0.3, "condition": 0.3, "medication": 0.2,
                     "document": 0.2},
    "hospice": {"referral": 0.8, "care_plan": 0.7, "caseload": 0.6, "medication": 0.4,
                "personal_contact": 0.4},
}  # fmt: skip
"""System → heading → items per record, before scaling to the wished number per person. Assumed."""

STATUSES: dict[str, tuple[str, ...]] = {
    "appointment": ("booked", "fulfilled", "fulfilled", "noshow", "cancelled"),
    "admission": ("finished", "finished", "finished", "in-progress"),
    "encounter": ("finished",),
    "referral": ("active", "completed"),
    "caseload": ("active", "finished"),
    "registration": ("active",),
    "procedure": ("completed",),
    "immunisation": ("completed",),
    "observation": ("final",),
    "assessment": ("completed",),
    "document": ("current",),
    "medication": ("active", "completed"),
    "professional_contact": ("active",),
}
"""FHIR status codes per heading; a heading not listed has `active` and `inactive`."""

ONCE = frozenset({"registration"})
"""Headings under which a record has at most one item."""
