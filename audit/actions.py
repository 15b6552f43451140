"""What can stand in the log: every action with its class, its IHE pattern and its words. No I/O.

Rules:
- An action that is not in the table cannot be written: `class_of` refuses it.
- The class says who reviews an event and how long it is kept: events are sealed by class.
- The pattern is the IHE Basic Audit Log Patterns (BALP) profile that an event of it renders by;
  None where IHE has none for it: a bare AuditEvent that names action, agents and persons.
- The words end a sentence that begins with who did it.

Who adds an action adds its row here, in its class, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.errors import InvalidValue


class EventClass(StrEnum):
    """Kinds of event by who reviews them and how long they are kept."""

    ACCESS = "access"
    """A person's record opened, or tried."""
    SEARCH = "search"
    """Persons looked for; the event names everybody who was matched."""
    BREAK_GLASS = "break-glass"
    """A record opened on somebody's own word: emergencies and claimed relationships."""
    CONSENT = "consent"
    """What was laid down about a person, and agreements between organisations."""
    LINKAGE = "linkage"
    """Which records are one person: nights, decisions, corrections."""
    EXPORT = "export"
    """What left the partnership, or can."""
    ADMINISTRATION = "administration"
    """Settings, policies, keys, backups."""
    SYSTEM = "system"
    """What the program did of itself."""
    AUDIT = "audit"
    """The log read, proved, reported from, kept."""


class Pattern(StrEnum):
    """IHE BALP profiles that events render by."""

    READ = "IHE.BasicAudit.Read"
    PATIENT_READ = "IHE.BasicAudit.PatientRead"
    PATIENT_QUERY = "IHE.BasicAudit.PatientQuery"
    PATIENT_CREATE = "IHE.BasicAudit.PatientCreate"
    QUERY = "IHE.BasicAudit.Query"
    CONSENT = "IHE.BasicAudit.AuthZconsent"
    DISCLOSURE = "IHE.BasicAudit.PrivacyDisclosure.Source"
    IMPORT = "IHE.BasicAudit.PrivacyDisclosure.Recipient"


@dataclass(frozen=True)
class ActionRow:
    """One action.

    Attributes:
        event_class: see `EventClass`. pattern: see `Pattern`.
        words: what was done, in words that follow who did it.
    """

    event_class: EventClass
    pattern: Pattern | None
    words: str


PROGRAM = "commonthread"
"""The actor of what the program does of itself."""
_ACCESS, _SEARCH, _GLASS = EventClass.ACCESS, EventClass.SEARCH, EventClass.BREAK_GLASS
_CONSENT, _LINKAGE, _EXPORT = EventClass.CONSENT, EventClass.LINKAGE, EventClass.EXPORT
_ADMIN, _SYSTEM, _AUDIT = EventClass.ADMINISTRATION, EventClass.SYSTEM, EventClass.AUDIT

ACTIONS: dict[str, ActionRow] = {
    # --- the API: a person's record ------------------------------------------------------------
    "read": ActionRow(_ACCESS, Pattern.PATIENT_READ, "opened who the person is"),
    "everything": ActionRow(_ACCESS, Pattern.PATIENT_QUERY, "opened the whole record"),
    "items": ActionRow(_ACCESS, Pattern.PATIENT_QUERY, "opened a part of the record"),
    "item": ActionRow(_ACCESS, Pattern.PATIENT_READ, "opened one item of the record"),
    # --- the API: persons looked for -----------------------------------------------------------
    "search": ActionRow(_SEARCH, Pattern.PATIENT_QUERY, "searched for a person"),
    "match": ActionRow(_SEARCH, Pattern.PATIENT_QUERY, "matched a description with persons"),
    "identify": ActionRow(_SEARCH, Pattern.PATIENT_QUERY, "looked a person up by an identifier"),
    # --- the API: records opened on somebody's own word ----------------------------------------
    "break-glass": ActionRow(_GLASS, Pattern.CONSENT, "broke the glass"),
    "claim": ActionRow(_GLASS, Pattern.CONSENT, "claimed to be caring for the person"),
    # --- the API: wishes -----------------------------------------------------------------------
    "directives": ActionRow(_CONSENT, Pattern.PATIENT_QUERY, "read the person's wishes"),
    "directive-write": ActionRow(_CONSENT, Pattern.PATIENT_CREATE, "wrote a wish down"),
    "directive-end": ActionRow(_CONSENT, None, "ended a wish"),
    # --- the API: the log ----------------------------------------------------------------------
    "audit-events": ActionRow(_AUDIT, Pattern.QUERY, "searched the log"),
    "audit-event": ActionRow(_AUDIT, Pattern.READ, "read one event of the log"),
    # --- commands: consent and agreements ------------------------------------------------------
    "consent-list": ActionRow(_CONSENT, None, "listed what was laid down about the person"),
    "consent-write": ActionRow(_CONSENT, None, "laid something down about the person"),
    "consent-check": ActionRow(_CONSENT, None, "checked what a member of staff would see"),
    "agreement-list": ActionRow(_CONSENT, None, "read the sharing agreements"),
    "agreement-write": ActionRow(_CONSENT, None, "wrote a sharing agreement"),
    "break-glass-list": ActionRow(_GLASS, None, "listed broken glass and claims"),
    "break-glass-review": ActionRow(_GLASS, None, "followed a declaration up"),
    # --- commands: persons ---------------------------------------------------------------------
    "person-show": ActionRow(_ACCESS, None, "showed a person's records to the data team"),
    "person-history": ActionRow(_ACCESS, None, "read what became of a person"),
    "explain": ActionRow(_ACCESS, None, "had the match of two records explained"),
    "quarantine-list": ActionRow(_ACCESS, None, "listed what feeds were quarantined for"),
    "person-export": ActionRow(_EXPORT, None, "exported who is in which person"),
    "person-difference": ActionRow(_LINKAGE, None, "read how a run changes the persons"),
    "person-undo": ActionRow(_LINKAGE, None, "undid a change of persons"),
    "person-split": ActionRow(_LINKAGE, None, "parted a person"),
    "person-merge": ActionRow(_LINKAGE, None, "joined two persons"),
    "person-wrong": ActionRow(_LINKAGE, None, "said that records are of somebody else"),
    "person-erase": ActionRow(_ADMIN, None, "erased a record"),
    # --- commands: linkage ---------------------------------------------------------------------
    "ingest": ActionRow(_LINKAGE, None, "read feeds"),
    "source-new": ActionRow(_LINKAGE, None, "drafted a source's settings from a file"),
    "source-check": ActionRow(_LINKAGE, None, "looked at a file before it was loaded"),
    "listen": ActionRow(_LINKAGE, None, "listened for messages, or had them loaded"),
    "link": ActionRow(_LINKAGE, None, "linked the records"),
    "link-approve": ActionRow(_LINKAGE, None, "published a held run"),
    "link-shadow": ActionRow(_LINKAGE, None, "asked what a link would change"),
    "nightly": ActionRow(_LINKAGE, None, "ran the night"),
    "train": ActionRow(_LINKAGE, None, "trained the model"),
    "evaluate": ActionRow(_LINKAGE, None, "measured the persons against the truth"),
    "review-list": ActionRow(_LINKAGE, None, "listed review tasks"),
    "review-show": ActionRow(_LINKAGE, None, "looked at a review task"),
    "review-decide": ActionRow(_LINKAGE, None, "decided about records"),
    "review-revoke": ActionRow(_LINKAGE, None, "revoked a decision"),
    "review-decisions": ActionRow(_LINKAGE, None, "read decisions"),
    "review-sample": ActionRow(_LINKAGE, None, "drew a sample for review"),
    "review-agreement": ActionRow(_LINKAGE, None, "read how far reviewers agree"),
    # --- commands: administration --------------------------------------------------------------
    "backup": ActionRow(_ADMIN, None, "made a backup"),
    "restore": ActionRow(_ADMIN, None, "restored a backup"),
    "demo": ActionRow(_ADMIN, None, "made a demo workspace"),
    "serve": ActionRow(_SYSTEM, None, "started to answer queries"),
    "token": ActionRow(_ADMIN, None, "minted an access token of a demo"),
    "settings-changed": ActionRow(_ADMIN, None, "works under changed settings"),
    "policies-changed": ActionRow(_ADMIN, None, "works under changed policies"),
    "model-changed": ActionRow(_ADMIN, None, "works under another linkage model"),
    # --- the night, step by step ---------------------------------------------------------------
    "feed": ActionRow(_SYSTEM, Pattern.IMPORT, "took a feed in"),
    "publish": ActionRow(_SYSTEM, None, "published a link run"),
    # --- the log itself ------------------------------------------------------------------------
    "journal-reconciled": ActionRow(_AUDIT, None, "brought the second journal into the log"),
    "journal-damaged": ActionRow(_AUDIT, None, "found the second journal damaged"),
    "log-broken": ActionRow(_AUDIT, None, "found the log other than it was signed"),
    "audit-report": ActionRow(_AUDIT, None, "made a report of the log"),
    "audit-status": ActionRow(_AUDIT, None, "asked how it stands with the log"),
    "audit-verify": ActionRow(_AUDIT, None, "checked the whole log"),
    "audit-checkpoint": ActionRow(_AUDIT, None, "had the log signed"),
    "audit-prove": ActionRow(_AUDIT, None, "proved that an entry is in the log"),
    "audit-bundle": ActionRow(_EXPORT, Pattern.DISCLOSURE, "exported events with their proofs"),
    "audit-keys": ActionRow(_ADMIN, None, "looked at the log's keys, or changed them"),
    "audit-mend": ActionRow(_ADMIN, None, "wrote the log's files anew"),
    "audit-witness": ActionRow(_AUDIT, None, "noted how it stands with a witness of the log"),
    "audit-detect": ActionRow(_AUDIT, None, "had the log searched for misuse"),
    "audit-alert-list": ActionRow(_AUDIT, None, "listed alerts"),
    "audit-alert-show": ActionRow(_AUDIT, None, "looked at an alert"),
    "audit-alert-write": ActionRow(_AUDIT, None, "worked an alert"),
    "audit-watch": ActionRow(_AUDIT, None, "read or changed the watch list"),
    "audit-retention": ActionRow(_AUDIT, None, "asked what of the log is over its time"),
    "audit-erase": ActionRow(_AUDIT, None, "erased events whose time was over"),
    "audit-hold": ActionRow(_AUDIT, None, "laid a hold on events"),
    "audit-hold-list": ActionRow(_AUDIT, None, "listed the holds"),
    "audit-hold-release": ActionRow(_AUDIT, None, "released a hold"),
}
"""Action → what kind of event it is."""

_FORMER_WORDS: dict[str, str] = {
    "read": "item",
    "search": "items",
    "match": "match",
    "cross-reference": "identify",
    "everything": "everything",
    "break": "break-glass",
    "claim": "claim",
    "create": "directive-write",
    "end": "directive-end",
}
"""First word of a route's name → its action: refusals at the door were once written by that."""
_FORMER: dict[str, str] = {
    "read Patient": "read",
    "search Patient": "search",
    "read Consent": "directives",
    "search Consent": "directives",
    "search AuditEvent": "audit-events",
}


def row_of(action: str) -> ActionRow:
    """The action's row. Raises: InvalidValue for an unknown action."""
    row = ACTIONS.get(action)
    if row is None:
        first, space, _ = action.partition(" ")
        former = _FORMER.get(action) or (_FORMER_WORDS.get(first) if space else None)
        row = ACTIONS.get(former or "")
    if row is None:
        raise InvalidValue("no action of that name may be written; see audit/actions.py")
    return row


def class_of(action: str) -> EventClass:
    """The action's class. Raises: InvalidValue for an unknown action."""
    return row_of(action).event_class


def words_of(action: str) -> str:
    """What was done, in words. Raises: InvalidValue for an unknown action."""
    return row_of(action).words
