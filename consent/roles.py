"""What each role may see, for which purposes: one table, from job roles to headings.

Rules:
- What the table does not grant is refused. The table grants; policies then take away.
- The columns group the headings of schemas.items; `COLUMNS` says how. Unclassified items are
  granted to nobody.
- The roles follow the NHS's national role-based access control (its job role codes are in
  `JOB_ROLES`) and the roles that councils, hospices and charities have.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType

from schemas.sharing import Category, Label

COLUMNS: dict[str, tuple[Category, ...]] = {
    "who": (Category.DEMOGRAPHICS,),
    "where": (Category.WHEREABOUTS,),
    "problems": (Category.CONDITION, Category.PROCEDURE, Category.OBSERVATION),
    "medicines": (Category.MEDICATION, Category.ALLERGY, Category.IMMUNISATION),
    "contacts": (
        Category.ENCOUNTER, Category.ADMISSION, Category.REFERRAL, Category.CASELOAD,
        Category.REGISTRATION,
    ),
    "people": (Category.PROFESSIONAL_CONTACT, Category.PERSONAL_CONTACT),
    "plans": (Category.CARE_PLAN,),
    "needs": (Category.ASSESSMENT,),
    "alerts": (Category.ALERT,),
    "safeguard": (Category.SAFEGUARDING,),
    "appoint": (Category.APPOINTMENT,),
    "papers": (Category.DOCUMENT,),
    "wishes": (Category.SHARING_PREFERENCE,),
}  # fmt: skip
"""Column of `GRANTS` → the categories it stands for."""

PURPOSE_LETTERS: dict[str, frozenset[str]] = {
    "c": frozenset({"direct-care", "explicit-consent"}),
    "v": frozenset({"vital-interests"}),
    "s": frozenset({"safeguarding"}),
    "o": frozenset({"own-record"}),
    "q": frozenset({"data-quality"}),
    "a": frozenset({"audit"}),
    "p": frozenset({"planning", "research"}),
}
"""Letters of the column `for`."""


class Power(StrEnum):
    """What a role may do beside reading. Letters of the column `may`."""

    TRACE = "t"
    """Look for a person by name, birth date, gender, number."""
    LOCATE = "l"
    """Also by address, postcode, telephone, practice; and be shown them in a trace."""
    BREAK_GLASS = "b"
    EMERGENCY = "e"
    """Declare an emergency relationship without break-glass; a sample is checked."""
    CLAIM = "k"
    """Claim a relationship; somebody checks it."""
    FLAGS = "f"
    """Be told of statutory safeguarding flags, whatever was opted out of."""
    WISHES = "w"
    """Write down the person's wishes."""
    BAR = "x"
    """Bar named staff from a person's record."""
    ADMINISTER = "g"
    """Agreements, break-glass, the audit log."""
    DISCLOSE = "d"
    """Draw extracts for planning and research."""


GRANTS = """
role                   for   may     who where problems medicines contacts people plans needs alerts safeguard appoint papers wishes
doctor                 cvs   tlbkfw  R   R     R        R         R        R      R     R     R      P         R       R      R
gp                     cvs   tlbkfw  R   R     R        R         R        R      R     R     R      P         R       R      R
psychiatrist           cvs   tlbkfw  R   R     R        R         R        R      R     R     R      P         R       R      R
nurse                  cvs   tlbkfw  R   R     R        R         R        R      R     R     R      P         R       R      R
health_visitor         cvs   tlbkfw  R   R     R        R         R        R      R     R     R      R         R       R      R
paramedic              cvs   tlbef   R   R     R        R         R        R      R     R     R      P         A       .      .
pharmacist             cv    tbk     R   .     R        R         A        .      .     .     R      .         .       .      .
physiotherapist        cv    tk      R   R     R        R         R        R      R     R     R      .         R       .      .
occupational_therapist cvs   tlkf    R   R     R        R         R        R      R     R     R      P         R       .      .
care_coordinator       cvs   tlbkfw  R   R     R        R         R        R      R     R     R      P         R       R      R
social_worker          cvs   tlbkfw  R   R     R        R         R        R      R     R     R      R         A       .      R
early_help_worker      cs    tlkf    R   R     .        .         A        R      R     R     R      P         A       .      .
safeguarding_lead      cvs   tlbkfwx R   R     R        R         R        R      R     R     R      R         A       R      R
team_manager           cs    tlkfw   R   R     .        .         R        R      R     R     R      P         A       .      R
support_worker         c     tk      R   R     .        .         A        R      R     .     R      .         A       .      .
housing_officer        c     t       R   .     .        .         .        R      .     .     R      .         .       .      .
volunteer_coordinator  c     t       R   .     .        .         .        R      .     .     R      .         A       .      .
call_handler           cv    tle     R   R     .        R         .        .      .     .     R      .         .       .      .
control_room           cv    tle     R   R     .        R         .        .      .     .     R      .         .       .      .
receptionist           c     tl      R   R     .        .         A        .      .     .     R      .         R       .      .
practice_manager       c     tlw     R   R     .        .         A        .      .     .     R      .         R       .      R
integration            c     t       R   .     R        R         R        .      R     .     R      .         A       .      .
ig_officer             a     gwx     .   .     .        .         .        .      .     .     .      .         .       .      .
data_team              q     .       .   .     .        .         .        .      .     .     .      .         .       .      .
analyst                p     d       .   .     R        R         R        .      .     .     .      .         .       .      .
person                 o     w       R   R     R        R         R        R      R     R     R      .         R       R      R
proxy                  o     w       R   R     R        R         R        R      R     R     R      .         R       R      R
"""  # noqa: E501
"""Role by column. R: reads. A: only that and when it was. P: that there is something and whom to
ring; it reads the content for the purpose `safeguarding`. A dot: nothing."""

TITLES: dict[str, str] = {
    "doctor": "Doctor",
    "gp": "General practitioner",
    "psychiatrist": "Psychiatrist",
    "nurse": "Nurse or midwife",
    "health_visitor": "Health visitor",
    "paramedic": "Paramedic",
    "pharmacist": "Pharmacist",
    "physiotherapist": "Physiotherapist",
    "occupational_therapist": "Occupational therapist",
    "care_coordinator": "Care coordinator",
    "social_worker": "Social worker",
    "early_help_worker": "Early help worker",
    "safeguarding_lead": "Safeguarding lead",
    "team_manager": "Team manager, social care",
    "support_worker": "Support worker",
    "housing_officer": "Housing officer",
    "volunteer_coordinator": "Volunteer coordinator",
    "call_handler": "Call handler",
    "control_room": "Ambulance control room",
    "receptionist": "Receptionist",
    "practice_manager": "Practice manager",
    "integration": "A system by itself",
    "ig_officer": "Information governance officer",
    "data_team": "Data team",
    "analyst": "Analyst",
    "person": "The person",
    "proxy": "One who acts for the person",
}

OWN_LABELS: dict[str, frozenset[Label]] = {
    "doctor": frozenset({Label.SEXUAL_HEALTH, Label.FERTILITY}),
    "nurse": frozenset({Label.SEXUAL_HEALTH, Label.FERTILITY}),
    "gp": frozenset({Label.SEXUAL_HEALTH}),
    "person": frozenset({Label.SEXUAL_HEALTH, Label.FERTILITY, Label.GENDER_RECOGNITION}),
}
"""Role → labels barred by law that it may see where nothing travels: what its own organisation
holds, or, for the person, the own record."""

JOB_ROLES: dict[str, str] = {
    "R8000": "doctor",
    "R0050": "doctor",
    "R1981": "psychiatrist",
    "R0260": "gp",
    "R0270": "gp",
    "R6300": "gp",
    "R8001": "nurse",
    "R8002": "nurse",
    "R8016": "nurse",
    "R8017": "nurse",
    "R8003": "physiotherapist",
    "R8009": "receptionist",
    "R8010": "receptionist",
    "R8014": "social_worker",
    "R0001": "ig_officer",
    "R5105": "ig_officer",
}
"""Job role codes of the NHS's national role-based access control → role."""

_WORDS: dict[str, str] = {
    "general practitioner": "gp",
    "consultant": "doctor",
    "midwife": "nurse",
    "staff nurse": "nurse",
    "district nurse": "nurse",
    "hospice nurse": "nurse",
    "information governance officer": "ig_officer",
    "caldicott guardian": "ig_officer",
    "privacy officer": "ig_officer",
}


@dataclass(frozen=True)
class Role:
    """One row of `GRANTS`.

    Attributes:
        reads, attends, notices: categories read in full; only when and that; only that there is
            something. `notices` are read in full for the purpose safeguarding.
    """

    key: str
    title: str
    purposes: frozenset[str]
    powers: frozenset[Power]
    reads: frozenset[Category]
    attends: frozenset[Category]
    notices: frozenset[Category]
    own_labels: frozenset[Label]

    def may(self, power: Power) -> bool:
        """Whether the role has this power."""
        return power in self.powers

    def reads_for(self, purpose: str) -> frozenset[Category]:
        """Categories read in full for a purpose, one of the role's own."""
        return self.reads | self.notices if purpose == "safeguarding" else self.reads

    def notices_for(self, purpose: str) -> frozenset[Category]:
        """Categories of which only the presence is told for a purpose."""
        return frozenset() if purpose == "safeguarding" else self.notices


def _row(columns: list[str], line: str) -> Role:
    key, purposes, powers, *cells = line.split()
    marked: dict[str, set[Category]] = {"R": set(), "A": set(), "P": set(), ".": set()}
    for column, cell in zip(columns, cells, strict=True):
        marked[cell].update(COLUMNS[column])
    return Role(
        key,
        TITLES[key],
        frozenset().union(*(PURPOSE_LETTERS[letter] for letter in purposes)),
        frozenset(Power(letter) for letter in powers if letter != "."),
        frozenset(marked["R"]),
        frozenset(marked["A"]),
        frozenset(marked["P"]),
        OWN_LABELS.get(key, frozenset()),
    )


def _table() -> dict[str, Role]:
    header, *lines = GRANTS.strip().splitlines()
    columns = header.split()[3:]
    rows = (_row(columns, line) for line in lines)
    return {row.key: row for row in rows}


ROLES = MappingProxyType(_table())
"""Key → role."""


def role_of_directory(text: str) -> str | None:
    """The role that a staff directory or an identity provider means by its words or by a job role
    code (`S8000:G8000:R8001` or `R8001`); None where it means none of `ROLES`."""
    words = text.strip()
    code = words.rsplit(":", 1)[-1].upper()
    if code in JOB_ROLES:
        return JOB_ROLES[code]
    spoken = " ".join(words.casefold().replace("_", " ").replace("-", " ").split())
    if spoken.replace(" ", "_") in ROLES:
        return spoken.replace(" ", "_")
    return _WORDS.get(spoken)
