"""Who may run which command, for which purpose. Decisions are values with reasons.

Every command that shows a person is a disclosure path: it needs a role, a purpose and a permit.
The table `GRANTS` is the whole of the rule: what it does not grant is refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from schemas.codes import PURPOSES


class Action(StrEnum):
    """What can be asked for on the command line, beside work in a workspace of one's own."""

    INGEST = "ingest"
    LISTEN = "listen"
    LINK = "link"
    NIGHTLY = "nightly"
    TRAIN = "train"
    EVALUATE = "evaluate"
    EXPLAIN = "explain"
    PERSON_SHOW = "person-show"
    PERSON_EXPORT = "person-export"
    QUARANTINE_LIST = "quarantine-list"
    MATCH = "match"
    SOURCE_CHECK = "source-check"
    SOURCE_NEW = "source-new"
    LINK_APPROVE = "link-approve"
    LINK_SHADOW = "link-shadow"
    PERSON_HISTORY = "person-history"
    PERSON_DIFFERENCE = "person-difference"
    PERSON_UNDO = "person-undo"
    PERSON_SPLIT = "person-split"
    PERSON_MERGE = "person-merge"
    PERSON_WRONG = "person-wrong"
    REVIEW_LIST = "review-list"
    REVIEW_SHOW = "review-show"
    REVIEW_DECIDE = "review-decide"
    REVIEW_REVOKE = "review-revoke"
    REVIEW_DECISIONS = "review-decisions"
    REVIEW_SAMPLE = "review-sample"
    REVIEW_AGREEMENT = "review-agreement"
    PERSON_ERASE = "person-erase"
    BACKUP = "backup"
    RESTORE = "restore"
    CONSENT_LIST = "consent-list"
    CONSENT_WRITE = "consent-write"
    CONSENT_CHECK = "consent-check"
    AGREEMENT_LIST = "agreement-list"
    AGREEMENT_WRITE = "agreement-write"
    BREAK_GLASS_LIST = "break-glass-list"
    BREAK_GLASS_REVIEW = "break-glass-review"
    AUDIT_STATUS = "audit-status"
    AUDIT_VERIFY = "audit-verify"
    AUDIT_CHECKPOINT = "audit-checkpoint"
    AUDIT_PROVE = "audit-prove"
    AUDIT_BUNDLE = "audit-bundle"
    AUDIT_KEYS = "audit-keys"
    AUDIT_MEND = "audit-mend"
    AUDIT_REPORT = "audit-report"
    AUDIT_DETECT = "audit-detect"
    AUDIT_ALERT_LIST = "audit-alert-list"
    AUDIT_ALERT_SHOW = "audit-alert-show"
    AUDIT_ALERT_WRITE = "audit-alert-write"
    AUDIT_WATCH = "audit-watch"
    AUDIT_RETENTION = "audit-retention"
    AUDIT_HOLD = "audit-hold"
    AUDIT_HOLD_LIST = "audit-hold-list"
    AUDIT_HOLD_RELEASE = "audit-hold-release"


class Role(StrEnum):
    """Roles an operating-system account can be mapped to."""

    DATA_TEAM = "data_team"
    IG_OFFICER = "ig_officer"
    OPERATOR = "operator"


_QUALITY = frozenset({"data-quality"})
_QUALITY_OR_SAFEGUARDING = frozenset({"data-quality", "safeguarding"})
_AUDIT = frozenset({"audit"})

GRANTS: dict[Role, dict[Action, frozenset[str]]] = {
    Role.DATA_TEAM: {
        Action.INGEST: _QUALITY,
        Action.LISTEN: _QUALITY,
        Action.LINK: _QUALITY,
        Action.NIGHTLY: _QUALITY,
        Action.TRAIN: _QUALITY,
        Action.EVALUATE: _QUALITY,
        Action.EXPLAIN: _QUALITY_OR_SAFEGUARDING,
        Action.PERSON_SHOW: _QUALITY_OR_SAFEGUARDING,
        Action.PERSON_EXPORT: _QUALITY,
        Action.QUARANTINE_LIST: _QUALITY,
        Action.MATCH: _QUALITY_OR_SAFEGUARDING,
        Action.SOURCE_CHECK: _QUALITY,
        Action.SOURCE_NEW: _QUALITY,
        Action.LINK_APPROVE: _QUALITY,
        Action.LINK_SHADOW: _QUALITY,
        Action.PERSON_HISTORY: _QUALITY_OR_SAFEGUARDING,
        Action.PERSON_DIFFERENCE: _QUALITY,
        Action.PERSON_UNDO: _QUALITY,
        Action.PERSON_SPLIT: _QUALITY_OR_SAFEGUARDING,
        Action.PERSON_MERGE: _QUALITY_OR_SAFEGUARDING,
        Action.PERSON_WRONG: _QUALITY_OR_SAFEGUARDING,
        Action.REVIEW_LIST: _QUALITY,
        Action.REVIEW_SHOW: _QUALITY,
        Action.REVIEW_DECIDE: _QUALITY,
        Action.REVIEW_REVOKE: _QUALITY,
        Action.REVIEW_DECISIONS: _QUALITY,
        Action.REVIEW_SAMPLE: _QUALITY,
        Action.REVIEW_AGREEMENT: _QUALITY,
        Action.BACKUP: _QUALITY,
        Action.RESTORE: _QUALITY,
        Action.AUDIT_STATUS: _QUALITY,
        Action.AUDIT_VERIFY: _QUALITY,
        Action.AUDIT_CHECKPOINT: _QUALITY,
        Action.AUDIT_MEND: _QUALITY,
    },
    Role.OPERATOR: {
        Action.INGEST: _QUALITY,
        Action.LISTEN: _QUALITY,
        Action.LINK: _QUALITY,
        Action.NIGHTLY: _QUALITY,
        Action.BACKUP: _QUALITY,
        Action.RESTORE: _QUALITY,
        Action.AUDIT_STATUS: _QUALITY,
        Action.AUDIT_VERIFY: _QUALITY,
        Action.AUDIT_CHECKPOINT: _QUALITY,
        Action.AUDIT_KEYS: _QUALITY,
        Action.AUDIT_MEND: _QUALITY,
    },
    Role.IG_OFFICER: {
        Action.PERSON_SHOW: _AUDIT,
        Action.EXPLAIN: _AUDIT,
        Action.QUARANTINE_LIST: _AUDIT,
        Action.PERSON_HISTORY: _AUDIT,
        Action.REVIEW_DECISIONS: _AUDIT,
        Action.REVIEW_AGREEMENT: _AUDIT,
        Action.PERSON_ERASE: _QUALITY,
        Action.CONSENT_LIST: _AUDIT,
        Action.CONSENT_WRITE: _AUDIT,
        Action.CONSENT_CHECK: _AUDIT,
        Action.AGREEMENT_LIST: _AUDIT,
        Action.AGREEMENT_WRITE: _AUDIT,
        Action.BREAK_GLASS_LIST: _AUDIT,
        Action.BREAK_GLASS_REVIEW: _AUDIT,
        Action.AUDIT_STATUS: _AUDIT,
        Action.AUDIT_VERIFY: _AUDIT,
        Action.AUDIT_CHECKPOINT: _AUDIT,
        Action.AUDIT_PROVE: _AUDIT,
        Action.AUDIT_BUNDLE: _AUDIT,
        Action.AUDIT_KEYS: _AUDIT,
        Action.AUDIT_REPORT: _AUDIT,
        Action.AUDIT_DETECT: _AUDIT,
        Action.AUDIT_ALERT_LIST: _AUDIT,
        Action.AUDIT_ALERT_SHOW: _AUDIT,
        Action.AUDIT_ALERT_WRITE: _AUDIT,
        Action.AUDIT_WATCH: _AUDIT,
        Action.AUDIT_RETENTION: _AUDIT,
        Action.AUDIT_HOLD: _AUDIT,
        Action.AUDIT_HOLD_LIST: _AUDIT,
        Action.AUDIT_HOLD_RELEASE: _AUDIT,
    },
}
"""Role → action → purposes it may be done for."""


@dataclass(frozen=True)
class Decision:
    """Whether it may be done, and why, in words for the person who asked."""

    permitted: bool
    reason: str


def decide(role: str | None, action: Action, purpose: str) -> Decision:
    """Whether a role may do an action for a purpose."""
    if purpose not in PURPOSES:
        return Decision(False, f"'{purpose}' is no purpose; choose one of {', '.join(PURPOSES)}")
    if role is None:
        return Decision(False, "this account has no role; see [actors] in partnership.toml")
    if role not in set(Role):
        return Decision(False, f"'{role}' is no role; roles are {', '.join(Role)}")
    purposes = GRANTS[Role(role)].get(action)
    if purposes is None:
        others = ", ".join(one for one in Role if action in GRANTS[one])
        return Decision(
            False,
            f"the role {role} does not include {action.value}; it belongs to: {others}."
            " Ask one of them, or see [actors] in partnership.toml",
        )
    if purpose not in purposes:
        allowed = ", ".join(sorted(purposes))
        return Decision(False, f"the role {role} may do {action.value} only for: {allowed}")
    return Decision(True, f"granted to the role {role} for {purpose}")
