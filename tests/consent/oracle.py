"""A second opinion: who may see what, worked out from the rules in plain Python over plain words.

It shares no code with `consent` and knows none of its types: a case is words, the answer is words.
What the rules say is written here once more, from the rules, as tables and a list of refusals.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache

# Who reads what. Five kinds of reader, then what differs.
HEADINGS = {
    "encounter", "admission", "condition", "medication", "allergy", "observation", "procedure",
    "immunisation", "care_plan", "assessment", "safeguarding", "alert", "referral", "appointment",
    "caseload", "registration", "professional_contact", "personal_contact", "document",
    "sharing_preference",
}  # fmt: skip
WHO = {"demographics"}
WHERE = {"whereabouts"}
ILLNESS = {"condition", "procedure", "observation"}
DRUGS = {"medication", "allergy", "immunisation"}
TRAFFIC = {"encounter", "admission", "referral", "caseload", "registration"}
CONTACTS = {"professional_contact", "personal_contact"}
EVERYTHING = HEADINGS | WHO | WHERE
CLINICIAN = EVERYTHING - {"safeguarding"}
THERAPIST = CLINICIAN - {"document", "sharing_preference"}

READS = {
    "doctor": CLINICIAN,
    "gp": CLINICIAN,
    "psychiatrist": CLINICIAN,
    "nurse": CLINICIAN,
    "care_coordinator": CLINICIAN,
    "health_visitor": EVERYTHING,
    "safeguarding_lead": EVERYTHING - {"appointment"},
    "paramedic": THERAPIST - {"appointment"},
    "physiotherapist": THERAPIST,
    "occupational_therapist": THERAPIST,
    "pharmacist": WHO | ILLNESS | DRUGS | {"alert"},
    "social_worker": EVERYTHING - {"appointment", "document"},
    "early_help_worker": WHO | WHERE | CONTACTS | {"care_plan", "assessment", "alert"},
    "team_manager": WHO | WHERE | TRAFFIC | CONTACTS
    | {"care_plan", "assessment", "alert", "sharing_preference"},
    "support_worker": WHO | WHERE | CONTACTS | {"care_plan", "alert"},
    "housing_officer": WHO | CONTACTS | {"alert"},
    "volunteer_coordinator": WHO | CONTACTS | {"alert"},
    "call_handler": WHO | WHERE | DRUGS | {"alert"},
    "control_room": WHO | WHERE | DRUGS | {"alert"},
    "receptionist": WHO | WHERE | {"alert", "appointment"},
    "practice_manager": WHO | WHERE | {"alert", "appointment", "sharing_preference"},
    "integration": WHO | ILLNESS | DRUGS | TRAFFIC | {"care_plan", "alert"},
    "ig_officer": set(),
    "data_team": set(),
    "analyst": ILLNESS | DRUGS | TRAFFIC,
    "person": EVERYTHING - {"safeguarding"},
    "proxy": EVERYTHING - {"safeguarding"},
}  # fmt: skip
ONLY_WHEN = {
    "paramedic": {"appointment"},
    "social_worker": {"appointment"},
    "safeguarding_lead": {"appointment"},
    "early_help_worker": TRAFFIC | {"appointment"},
    "team_manager": {"appointment"},
    "support_worker": TRAFFIC | {"appointment"},
    "volunteer_coordinator": {"appointment"},
    "pharmacist": TRAFFIC,
    "receptionist": TRAFFIC,
    "practice_manager": TRAFFIC,
    "integration": {"appointment"},
}
TOLD_OF_SAFEGUARDING = {
    "doctor", "gp", "psychiatrist", "nurse", "care_coordinator", "paramedic",
    "occupational_therapist", "early_help_worker", "team_manager",
}  # fmt: skip

CARE, LIFE, GUARD = {"direct-care", "explicit-consent"}, {"vital-interests"}, {"safeguarding"}
PURPOSES = {
    **dict.fromkeys(
        ("doctor", "gp", "psychiatrist", "nurse", "health_visitor", "paramedic",
         "occupational_therapist", "care_coordinator", "social_worker", "safeguarding_lead"),
        CARE | LIFE | GUARD,
    ),
    **dict.fromkeys(("pharmacist", "physiotherapist", "call_handler", "control_room"), CARE | LIFE),
    **dict.fromkeys(("early_help_worker", "team_manager"), CARE | GUARD),
    **dict.fromkeys(
        ("support_worker", "housing_officer", "volunteer_coordinator", "receptionist",
         "practice_manager", "integration"),
        CARE,
    ),
    "ig_officer": {"audit"},
    "data_team": {"data-quality"},
    "analyst": {"planning", "research"},
    "person": {"own-record"},
    "proxy": {"own-record"},
}  # fmt: skip
BREAKS_GLASS = {
    "doctor", "gp", "psychiatrist", "nurse", "health_visitor", "paramedic", "pharmacist",
    "care_coordinator", "social_worker", "safeguarding_lead",
}  # fmt: skip
DECLARES = {"paramedic", "call_handler", "control_room"}
CLAIMS = {
    "doctor", "gp", "psychiatrist", "nurse", "health_visitor", "pharmacist", "physiotherapist",
    "occupational_therapist", "care_coordinator", "social_worker", "early_help_worker",
    "safeguarding_lead", "team_manager", "support_worker",
}  # fmt: skip
TOLD_OF_FLAGS = TOLD_OF_SAFEGUARDING | {"health_visitor", "social_worker", "safeguarding_lead"}
OWN_LABELS = {
    "doctor": {"sexual-health", "fertility"},
    "nurse": {"sexual-health", "fertility"},
    "gp": {"sexual-health"},
    "person": {"sexual-health", "fertility", "gender-recognition"},
}
BARRED_BY_LAW = {"sexual-health", "fertility", "adoption", "gender-recognition"}
GIVES_PLACE_AWAY = {
    "appointment", "registration", "caseload", "referral", "document", "professional_contact",
    "personal_contact",
}  # fmt: skip
NOT_FOR_OWN_EYES = {
    "serious-harm", "third-party", "child-abuse", "crime", "adoption", "restricted", "unknown",
}  # fmt: skip


@dataclass(frozen=True)
class Asks:
    """Who asks, of whom. `ties`, `wishes` and `person` hold words; `cases.py` says what each means
    in records."""

    role: str
    purpose: str
    ties: frozenset[str] = frozenset()
    wishes: frozenset[str] = frozenset()
    person: frozenset[str] = frozenset()
    active: bool = True
    scope: str = "all"


@dataclass(frozen=True)
class Thing:
    """What is asked for: a category, under whose hand (as a word for the agreement), labelled."""

    category: str
    agreement: str
    label: str | None = None


@dataclass(frozen=True)
class Answer:
    """`permit`, `silent` or `told`, with what a permit obliges to."""

    word: str
    obliges: frozenset[str] = field(default_factory=frozenset)


def staff(asks: Asks) -> bool:
    return asks.role not in {"person", "proxy"}


def tied(asks: Asks) -> bool:
    """A relationship that counts for this role."""
    return bool(
        asks.ties & {"related", "team", "named"}
        or ("claimed" in asks.ties and asks.role in CLAIMS)
        or ("declared" in asks.ties and asks.role in DECLARES)
        or glass(asks)
    )


def glass(asks: Asks) -> bool:
    broken = {"glass", "glass with second", "glass with oneself"}
    return bool(asks.ties & broken) and asks.role in BREAKS_GLASS


def consent_given(asks: Asks) -> bool:
    return bool(asks.wishes & {"permit us", "permit us allergies"})


def out_of_sharing(asks: Asks) -> bool:
    return bool(asks.wishes & {"opt-out", "gp-dissent"}) or "opted out" in asks.person


def harmful(asks: Asks) -> bool:
    """Barred from this record, with no second person behind a broken glass."""
    excused = "glass with second" in asks.ties and asks.role in BREAKS_GLASS
    return staff(asks) and "bar me" in asks.wishes and not excused


def unknown_person(asks: Asks) -> bool:
    if "former identity" in asks.person and "in identity team" not in asks.person:
        return True
    return not staff(asks) and "somebody else" in asks.person


@lru_cache(maxsize=4)
def opening(asks: Asks) -> Answer:
    """Whether the record may be opened."""
    if unknown_person(asks) or harmful(asks):
        return Answer("silent")
    if told_shut(asks):
        return Answer("told")
    return Answer("permit", frozenset(obligations(asks)))


def told_shut(asks: Asks) -> bool:
    reads = READS[asks.role] or ONLY_WHEN.get(asks.role)
    if asks.purpose not in PURPOSES[asks.role] or not reads:
        return True
    if asks.purpose in {"planning", "research"}:
        return True
    if asks.role == "person" and "child of ten" in asks.person:
        return True
    if asks.role == "proxy" and (
        asks.person & {"restricted", "household", "dead long", "dead lately", "no proxy"}
    ):
        return True
    if not staff(asks):
        return False
    if not asks.active or "own" in asks.person:
        return True
    if "dead long" in asks.person and asks.purpose != "safeguarding":
        return True
    named = "investigator" in asks.person and asks.role in TOLD_OF_FLAGS
    if out_of_sharing(asks) and not (named and asks.purpose == "safeguarding"):
        return True
    if asks.purpose == "explicit-consent":
        return not consent_given(asks)
    return not tied(asks)


def obligations(asks: Asks) -> set[str]:
    found = set()
    related = asks.ties & {"related", "team", "named"}
    if "claimed" in asks.ties and asks.role in CLAIMS and not related:
        found.add("check-claim")
    if "declared" in asks.ties and asks.role in DECLARES and not related:
        found.add("sample-emergency")
    if glass(asks):
        found.add("alert-privacy-officer")
    if asks.person & {"restricted", "household"}:
        found.add("strip-places")
    if "changed identity" in asks.person and "in identity team" not in asks.person:
        found.add("strip-history")
    if flags(asks).word == "permit" and "flag of a stranger" in asks.person:
        found.add("alarm-ig-officer")
    return found


def flags(asks: Asks) -> Answer:
    """Whether statutory safeguarding flags are told. Opting out plays no part."""
    refused = (
        unknown_person(asks)
        or harmful(asks)
        or asks.role not in TOLD_OF_FLAGS
        or asks.purpose not in PURPOSES[asks.role]
        or (asks.purpose != "safeguarding" and not tied(asks))
    )
    if refused:
        return Answer("silent")
    if not asks.active or "own" in asks.person:
        return Answer("told")
    return Answer("permit")


def reading(asks: Asks, thing: Thing) -> Answer:
    """Whether one thing may be read."""
    whole = opening(asks)
    if whole.word != "permit":
        return whole
    if unseen(asks, thing):
        return Answer("silent")
    how = grant(asks, thing.category)
    if how is None or withheld(asks, thing):
        return Answer("told")
    return Answer("permit", frozenset(how))


def grant(asks: Asks, category: str) -> set[str] | None:
    """None: nothing. Else what is to be cut away."""
    if category in READS[asks.role]:
        return set()
    if category in ONLY_WHEN.get(asks.role, ()):
        return {"attendance-only"}
    if category == "safeguarding" and asks.role in TOLD_OF_SAFEGUARDING:
        return set() if asks.purpose == "safeguarding" else {"presence-only"}
    return None


def unseen(asks: Asks, thing: Thing) -> bool:
    """What is as if it were not there."""
    label, ours = thing.label, thing.agreement == "own"
    if label in BARRED_BY_LAW and not permitted_by_law(asks, label, ours=ours):
        return True
    if label == "former-identity" and "in identity team" not in asks.person:
        return True
    if asks.person & {"restricted", "household"} and thing.category in (WHERE | GIVES_PLACE_AWAY):
        return True
    sealed = "seal allergies invisibly" in asks.wishes and thing.category == "allergy"
    if sealed and asks.role != "person":
        return True
    if staff(asks):
        return "deny us invisibly" in asks.wishes
    if asks.role == "proxy" and "competent on conditions" in asks.person:
        return thing.category == "condition" or own_view_gap(thing)
    return own_view_gap(thing)


def own_view_gap(thing: Thing) -> bool:
    return thing.label in NOT_FOR_OWN_EYES or thing.category == "safeguarding"


def permitted_by_law(asks: Asks, label: str, *, ours: bool) -> bool:
    if f"permission {label}" in asks.wishes:
        return True
    here = ours or asks.role == "person"
    return here and label in OWN_LABELS.get(asks.role, ())


def withheld(asks: Asks, thing: Thing) -> bool:
    """What is withheld, and may be said to be."""
    if asks.scope == "allergies" and thing.category != "allergy":
        return True
    sealed = "seal allergies" in asks.wishes and thing.category == "allergy"
    if sealed and asks.role != "person" and not glass(asks):
        return True
    if not staff(asks):
        return thing.category == "document"
    if thing.agreement not in {"own", "agreed", "renewed"}:
        return True
    if thing.label in {"restricted", "unknown"} and thing.agreement != "own":
        return True
    if "deny us" in asks.wishes:
        return True
    if "deny our role allergies" in asks.wishes and thing.category == "allergy":
        return True
    if asks.purpose == "explicit-consent" and "permit us" not in asks.wishes:
        return thing.category != "allergy"
    return False
