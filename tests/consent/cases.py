"""What the words of a case mean in records: the other half of the oracle's language."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from itertools import product

from schemas.dates import Instant, PartialDate
from schemas.held import (
    Competence,
    FlagKind,
    PersonFacts,
    Proxy,
    ProxyBasis,
    SafeguardingFlag,
)
from schemas.identifiers import OdsCode, PersonId, SourceId
from schemas.items import Heading
from schemas.sharing import (
    AccessClass,
    Agreement,
    BreakGlass,
    Category,
    ClassId,
    Directive,
    DirectiveKind,
    Effect,
    Label,
    Relationship,
    RelationshipKind,
    Requester,
    Targets,
)
from tests.consent.oracle import Asks, Thing

AT = Instant("2026-03-01T10:00:00Z")
OURS = OdsCode("ZZR01")
ELSEWHERE = OdsCode("ZZR09")
ME = "ST0001"
PERSON = PersonId("p-1")

CUSTODIANS: dict[str, OdsCode | None] = {
    "own": OURS,
    "agreed": OdsCode("ZZX01"),
    "none": OdsCode("ZZX02"),
    "unsigned": OdsCode("ZZX03"),
    "over": OdsCode("ZZX04"),
    "not yet": OdsCode("ZZX05"),
    "other purpose": OdsCode("ZZX06"),
    "narrowed": OdsCode("ZZX07"),
    "renewed": OdsCode("ZZX08"),
    "for another": OdsCode("ZZX09"),
    "nobody named": None,
}
"""Word for an agreement → the custodian with whom it stands so."""
PURPOSES = ("direct-care", "explicit-consent", "vital-interests", "safeguarding")


def agreement(word: str, **more: object) -> Agreement:
    provider = CUSTODIANS[word]
    assert provider is not None
    first = Agreement(
        agreement_id=f"a-{word}", version=1, provider=provider, receiver=OURS,
        categories=frozenset(Category), purposes=frozenset(PURPOSES),
        start=PartialDate("2025-01-01"), end=PartialDate("2026-12-31"),
        article_6="6(1)(e)", article_9="9(2)(h)", schedule_1="paragraph 2",
        confidentiality="implied consent for direct care", gateway="none needed",
        signed_by=frozenset({provider, OURS}),
    )  # fmt: skip
    return replace(first, **more)  # type: ignore[arg-type]


def agreements(purpose: str) -> tuple[Agreement, ...]:
    other = frozenset(PURPOSES) - {purpose}
    second = PartialDate("2026-01-01")
    return (
        agreement("agreed"),
        agreement("unsigned", signed_by=frozenset({OURS})),
        agreement("over", end=PartialDate("2026-02-28")),
        agreement("not yet", start=PartialDate("2026-03-02")),
        agreement("other purpose", purposes=other),
        agreement("narrowed"),
        agreement("narrowed", version=2, start=second, purposes=other),
        agreement("renewed", purposes=other),
        agreement("renewed", version=2, start=second),
        agreement("for another", receiver=ELSEWHERE,
                  signed_by=frozenset({OdsCode("ZZX09"), ELSEWHERE})),
    )  # fmt: skip


def tie(**more: object) -> Relationship:
    first = Relationship(
        kind=RelationshipKind.REFERRAL, organisation=OURS, start=PartialDate("2026-02-01"),
        basis=Heading.REFERRAL,
    )  # fmt: skip
    return replace(first, **more)  # type: ignore[arg-type]


TIES: dict[str, Relationship] = {
    "related": tie(),
    "team": tie(team="North"),
    "named": tie(staff_id=ME),
    "ended": tie(end=PartialDate("2026-02-28")),
    "not begun": tie(start=PartialDate("2026-03-02")),
    "of another organisation": tie(organisation=ELSEWHERE),
    "of another team": tie(team="South"),
    "of a colleague": tie(staff_id="ST0002"),
    "claimed": tie(kind=RelationshipKind.CLAIMED, staff_id=ME, basis=None),
    "claimed by a colleague": tie(kind=RelationshipKind.CLAIMED, staff_id="ST0002", basis=None),
}
_BEGAN, _ENDS = Instant("2026-03-01T09:30:00Z"), Instant("2026-03-01T10:30:00Z")
GLASSES: dict[str, BreakGlass] = {
    "glass": BreakGlass("life-at-risk", "unconscious in resus", PERSON, _BEGAN, _ENDS),
    "glass with second": BreakGlass(
        "life-at-risk", "unconscious in resus", PERSON, _BEGAN, _ENDS, "ST0777"
    ),
    "glass with oneself": BreakGlass(
        "life-at-risk", "unconscious in resus", PERSON, _BEGAN, _ENDS, ME
    ),
    "glass of another person": BreakGlass(
        "life-at-risk", "unconscious in resus", PersonId("p-2"), _BEGAN, _ENDS
    ),
    "glass mended": BreakGlass("life-at-risk", "unconscious in resus", PERSON, _BEGAN, AT),
}
TIE_WORDS = ("", *TIES, *GLASSES, "declared")


def wish(kind: DirectiveKind, effect: Effect = Effect.DENY, **more: object) -> Directive:
    targets = more.pop("targets", Targets())
    return Directive(
        directive_id=f"d-{kind}", kind=kind, effect=effect, start=PartialDate("2026-01-01"),
        made_by="person", targets=targets, **more,  # type: ignore[arg-type]
    )  # fmt: skip


_K, _ALLERGY = DirectiveKind, frozenset({Category.ALLERGY})
_US = frozenset({OURS})


def wishes(word: str, role: str) -> Directive:
    """The directive that a word means."""
    table = {
        "opt-out": wish(_K.OPT_OUT),
        "opt-out taken back": wish(_K.OPT_OUT, end=PartialDate("2026-02-28")),
        "opt-out not begun": replace(wish(_K.OPT_OUT), start=PartialDate("2026-03-02")),
        "opt-out for planning": wish(
            _K.OPT_OUT, targets=Targets(purposes=frozenset({"planning", "research"}))
        ),
        "gp-dissent": wish(_K.GP_DISSENT),
        "seal allergies": wish(_K.SEAL, targets=Targets(categories=_ALLERGY)),
        "seal allergies invisibly": wish(
            _K.SEAL, targets=Targets(categories=_ALLERGY), invisible=True
        ),
        "seal allergies from another": wish(
            _K.SEAL, targets=Targets(categories=_ALLERGY, organisations=frozenset({ELSEWHERE}))
        ),
        "deny us": wish(_K.PARTY, targets=Targets(organisations=_US)),
        "deny us invisibly": wish(_K.PARTY, targets=Targets(organisations=_US), invisible=True),
        "deny another": wish(_K.PARTY, targets=Targets(organisations=frozenset({ELSEWHERE}))),
        "deny our role allergies": wish(
            _K.PARTY, targets=Targets(roles=frozenset({role}), categories=_ALLERGY)
        ),
        "permit us": wish(_K.PARTY, Effect.PERMIT, targets=Targets(organisations=_US)),
        "permit us allergies": wish(
            _K.PARTY, Effect.PERMIT, targets=Targets(organisations=_US, categories=_ALLERGY)
        ),
        "permit another": wish(
            _K.PARTY, Effect.PERMIT, targets=Targets(organisations=frozenset({ELSEWHERE}))
        ),
        "bar me": wish(_K.BAR_STAFF, targets=Targets(staff=frozenset({ME}))),
        "bar a colleague": wish(_K.BAR_STAFF, targets=Targets(staff=frozenset({"ST0002"}))),
        "type-1": wish(_K.TYPE_1),
        "national-data-opt-out": wish(_K.NATIONAL_DATA_OPT_OUT),
        **{
            f"permission {label}": wish(
                _K.PERMISSION, Effect.PERMIT, targets=Targets(labels=frozenset({label}))
            )
            for label in (Label.SEXUAL_HEALTH, Label.FERTILITY, Label.ADOPTION)
        },
    }
    return table[word]


WISH_WORDS = (
    "", "opt-out", "opt-out taken back", "opt-out not begun", "opt-out for planning", "gp-dissent",
    "seal allergies", "seal allergies invisibly", "seal allergies from another", "deny us",
    "deny us invisibly", "deny another", "deny our role allergies", "permit us",
    "permit us allergies", "permit another", "bar me", "bar a colleague", "type-1",
    "national-data-opt-out", "permission sexual-health", "permission fertility",
    "permission adoption",
)  # fmt: skip
PERSON_WORDS = (
    "", "restricted", "household", "opted out", "own", "dead lately", "dead long",
    "former identity", "changed identity", "somebody else", "no proxy", "child of ten",
    "competent on conditions", "flag", "flag of a stranger", "former identity + in identity team",
    "changed identity + in identity team", "opted out + investigator",
)  # fmt: skip
LABEL_WORDS = (None, *(label.value for label in Label))


def facts(words: frozenset[str]) -> PersonFacts:
    child = words & {"child of ten", "competent on conditions"}
    basis = ProxyBasis.PARENTAL_RESPONSIBILITY if child else ProxyBasis.LASTING_POWER
    acting = Proxy(
        proxy_id=ME, basis=basis, evidenced=True, orders_checked=True,
        start=PartialDate("2020-01-01"), reviewed_on=PartialDate("2025-12-01"),
    )  # fmt: skip
    born = "2016-01-01" if "child of ten" in words else "2012-01-01" if child else "1970-01-01"
    found = Competence(frozenset({Category.CONDITION}), "ST0500", PartialDate("2026-01-01"))
    dead = {"dead long": "2025-06-01", "dead lately": "2026-02-20"}
    whose = CUSTODIANS["none"] if "flag of a stranger" in words else CUSTODIANS["agreed"]
    flag = SafeguardingFlag(FlagKind.LOOKED_AFTER_CHILD, whose or OURS, PartialDate("2025-01-01"))
    return PersonFacts(
        person=PERSON,
        restricted="restricted" in words,
        restricted_household="household" in words,
        opted_out="opted out" in words,
        birth_dates=frozenset({PartialDate(born)}),
        deceased_on=next((PartialDate(day) for word, day in dead.items() if word in words), None),
        competences=(found,) if "competent on conditions" in words else (),
        proxies=() if "no proxy" in words else (acting,),
        investigators=frozenset({ME}) if "investigator" in words else frozenset(),
        identity_team=frozenset({ME}) if "in identity team" in words else frozenset(),
        safeguarding_flags=(flag,) if words & {"flag", "flag of a stranger"} else (),
        protected_change="changed identity" in words,
        former_identity="former identity" in words,
    )


def requester(asks: Asks) -> Requester:
    broken = next((GLASSES[word] for word in asks.ties if word in GLASSES), None)
    own_view = asks.role in {"person", "proxy"}
    subject = PersonId("p-2") if "somebody else" in asks.person else PERSON
    return Requester(
        staff_id=ME,
        organisation=OURS,
        role=asks.role,
        purpose=asks.purpose,
        active=asks.active,
        team="North",
        scopes=None if asks.scope == "all" else frozenset({"user/AllergyIntolerance.rs"}),
        own_persons=frozenset({PERSON}) if "own" in asks.person else frozenset(),
        subject=subject if own_view else None,
        emergency_declared="declared" in asks.ties,
        break_glass=broken,
    )


def relationships(asks: Asks) -> tuple[Relationship, ...]:
    return tuple(TIES[word] for word in sorted(asks.ties) if word in TIES)


def directives(asks: Asks) -> tuple[Directive, ...]:
    return tuple(wishes(word, asks.role) for word in sorted(asks.wishes) if word)


@lru_cache(maxsize=200)
def things(labels: tuple[str | None, ...]) -> dict[ClassId, tuple[Thing, AccessClass]]:
    """Every category with every agreement, with each of these labels."""
    found = {}
    for number, (category, word, label) in enumerate(product(Category, CUSTODIANS, labels)):
        held = AccessClass(
            category, SourceId(f"s-{word}"), CUSTODIANS[word],
            frozenset({Label(label)}) if label else frozenset(),
        )  # fmt: skip
        found[ClassId(number)] = (Thing(category.value, word, label), held)
    return found
