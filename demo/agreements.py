"""The sharing agreements of the demo partnership, from one table.

Rules:
- Each member shares with each other: one agreement for care, one for safeguarding, because their
  legal grounds differ.
- The sexual health service shares with nobody; the housing charity provides and receives only what
  housing support needs.
"""

from __future__ import annotations

from dataclasses import dataclass

from demo.partnership import ORGANISATIONS, Member
from schemas.dates import PartialDate
from schemas.identifiers import OdsCode
from schemas.sharing import Agreement, Category

START, END = PartialDate("2025-04-01"), PartialDate("2031-03-31")
_ALL = frozenset(Category) - {Category.UNCLASSIFIED, Category.SAFEGUARDING}
_HOUSING = frozenset(
    {Category.DEMOGRAPHICS, Category.WHEREABOUTS, Category.ALERT, Category.PERSONAL_CONTACT,
     Category.PROFESSIONAL_CONTACT, Category.CASELOAD, Category.REFERRAL, Category.APPOINTMENT}
)  # fmt: skip


@dataclass(frozen=True)
class _Kind:
    """One kind of agreement: what it is for, and each part of its lawful basis."""

    name: str
    purposes: frozenset[str]
    categories: frozenset[Category]
    article_9: str
    schedule_1: str
    confidentiality: str
    gateway: str


_KINDS = (
    _Kind(
        "care",
        frozenset({"direct-care", "explicit-consent", "vital-interests"}),
        _ALL,
        "9(2)(h)",
        "Part 1, paragraph 2: health or social care purposes",
        "implied consent for direct care",
        "Health and Social Care Act 2012, section 251B",
    ),
    _Kind(
        "safeguarding",
        frozenset({"safeguarding", "direct-care", "vital-interests"}),
        frozenset({Category.SAFEGUARDING, Category.DEMOGRAPHICS, Category.WHEREABOUTS}),
        "9(2)(g)",
        "Part 2, paragraph 18: safeguarding of children and of individuals at risk",
        "overriding public interest",
        "Children Act 2004, section 11; Care Act 2014, section 45",
    ),
)
_CLOSED = "sexual_health"
_NARROW = "voluntary"


def agreements() -> list[Agreement]:
    """Every agreement, in its first version, signed by both."""
    return [
        _agreement(kind, provider, receiver)
        for kind in _KINDS
        for provider in ORGANISATIONS
        for receiver in ORGANISATIONS
        if provider is not receiver and provider.kind != _CLOSED
    ]


def _agreement(kind: _Kind, provider: Member, receiver: Member) -> Agreement:
    narrow = _NARROW in (provider.kind, receiver.kind)
    both = OdsCode(provider.code), OdsCode(receiver.code)
    return Agreement(
        agreement_id=f"{kind.name}-{provider.code}-{receiver.code}",
        version=1,
        provider=both[0],
        receiver=both[1],
        categories=kind.categories & _HOUSING if narrow else kind.categories,
        purposes=kind.purposes,
        start=START,
        end=END,
        article_6="6(1)(e)",
        article_9=kind.article_9,
        schedule_1=kind.schedule_1,
        confidentiality=kind.confidentiality,
        gateway=kind.gateway,
        signed_by=frozenset(both),
    )
