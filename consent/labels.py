"""Which security labels an item bears, in policy's words, from senders' words and from codes.

Rules:
- A label that nobody has mapped is `unknown`, and policy treats it as confidential: a sender's
  word is never dropped because it is not understood.
- An item about sexual health, fertility, adoption or gender recognition bears that label whether
  or not its sender labelled it, where its code is known or its text says so: whatever part of what
  was sent says so, a reason, a note, an extension.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Protocol

from schemas.items import Coding
from schemas.sharing import Label

VERSION = 2
"""Raised when a table here changes: what is held is labelled anew."""

LEGALLY_BARRED = frozenset(
    {Label.SEXUAL_HEALTH, Label.FERTILITY, Label.ADOPTION, Label.GENDER_RECOGNITION}
)
"""Never travel without a specific permission: NHS Trusts and Primary Care Trusts (Sexually
Transmitted Diseases) Directions 2000; Human Fertilisation and Embryology Act 1990, section 33A;
Adoption and Children Act 2002, sections 56 to 65; Gender Recognition Act 2004, section 22."""

ORDINARY = frozenset({"n", "normal", "u", "unrestricted", "l", "low", "m", "moderate", "open"})
"""Senders' words that say "nothing special" (v3-Confidentiality N, U, L, M)."""

SENT: dict[str, Label] = {
    "r": Label.RESTRICTED,
    "restricted": Label.RESTRICTED,
    "v": Label.RESTRICTED,
    "very restricted": Label.RESTRICTED,
    "confidential": Label.RESTRICTED,
    "protected": Label.RESTRICTED,
    "secret": Label.RESTRICTED,
    "sex": Label.SEXUAL_HEALTH,
    "sexualhealth": Label.SEXUAL_HEALTH,
    "sexual health": Label.SEXUAL_HEALTH,
    "hiv": Label.SEXUAL_HEALTH,
    "std": Label.SEXUAL_HEALTH,
    "sti": Label.SEXUAL_HEALTH,
    "gum": Label.SEXUAL_HEALTH,
    "fertility": Label.FERTILITY,
    "ivf": Label.FERTILITY,
    "adoption": Label.ADOPTION,
    "adopted": Label.ADOPTION,
    "gender": Label.GENDER_RECOGNITION,
    "gender recognition": Label.GENDER_RECOGNITION,
    "genderrecognition": Label.GENDER_RECOGNITION,
    "formeridentity": Label.FORMER_IDENTITY,
    "former identity": Label.FORMER_IDENTITY,
    "seriousharm": Label.SERIOUS_HARM,
    "serious harm": Label.SERIOUS_HARM,
    "thirdparty": Label.THIRD_PARTY,
    "third party": Label.THIRD_PARTY,
    "childabuse": Label.CHILD_ABUSE,
    "child abuse": Label.CHILD_ABUSE,
    "crime": Label.CRIME,
    "police": Label.CRIME,
}
"""Senders' words, folded, → label. SEX, HIV, STD: v3-ActCode sensitivity values."""

CODES: dict[str, Label] = {
    "86406008": Label.SEXUAL_HEALTH,
    "62479008": Label.SEXUAL_HEALTH,
    "8098009": Label.SEXUAL_HEALTH,
    "240589008": Label.SEXUAL_HEALTH,
    "15628003": Label.SEXUAL_HEALTH,
    "76272004": Label.SEXUAL_HEALTH,
    "52637005": Label.FERTILITY,
    "407376001": Label.GENDER_RECOGNITION,
    "407377005": Label.GENDER_RECOGNITION,
    "407378000": Label.GENDER_RECOGNITION,
    "407379008": Label.GENDER_RECOGNITION,
}
"""Codes (SNOMED CT concept ids) → label."""

WORDS: tuple[tuple[re.Pattern[str], Label], ...] = tuple(
    (re.compile(rf"\b(?:{words})\b", re.IGNORECASE), label)
    for words, label in (
        (
            r"sexual health|hiv|syphilis|gonorrh(?:o?ea|eal)|chlamydia\w*|genitourinary medicine"
            r"|gum clinic|human immunodeficiency virus|acquired immune deficiency",
            Label.SEXUAL_HEALTH,
        ),
        (r"ivf|in vitro fertili[sz]ation|donor insemination|embryo transfer", Label.FERTILITY),
        (
            r"adoption (?:order|panel|placement|agency|record)s?|placed for adoption"
            r"|adopted (?:child|person|son|daughter)|(?:was|is|been) adopted"
            r"|adoptive (?:parent|mother|father|famil)\w*",
            Label.ADOPTION,
        ),
        (
            r"gender recognition|gender reassignment|gender dysphoria|gender incongruence"
            r"|gender identity clinic|transsexual\w*",
            Label.GENDER_RECOGNITION,
        ),
    )
)


class Labelled(Protocol):
    """What labels are read from; a care item is one."""

    @property
    def codes(self) -> tuple[Coding, ...]: ...
    @property
    def text(self) -> str | None: ...
    @property
    def sensitivity(self) -> tuple[str, ...]: ...


def labels_of(item: Labelled) -> frozenset[Label]:
    """The labels that an item bears: those sent, those of its codes, those of its words."""
    found = {_sent(word) for word in item.sensitivity if _folded(word) not in ORDINARY}
    found |= {CODES[one.code] for one in item.codes if one.code in CODES}
    texts = [item.text or "", *(one.display or "" for one in item.codes)]
    for text in texts:
        found |= {label for pattern, label in WORDS if text and pattern.search(text)}
    return frozenset(found)


HINTS: tuple[str, ...] = (
    *CODES, "sexual health", "hiv", "syphilis", "gonorr", "chlamydia", "genitourinary",
    "gum clinic", "immunodeficiency", "immune deficiency", "ivf", "in vitro", "donor", "embryo",
    "adopt", "gender", "transsexual",
)  # fmt: skip
"""Of these, in small letters, one stands in every text that gives a label: a quick look at what was
sent tells whether it has to be read."""
_NOT_TOLD = frozenset({"id", "meta", "contained", "data", "system", "url", "reference", "linkId"})
"""Elements of a FHIR resource that are not shown, or are no words about the person."""


def labels_within(sent: Any) -> frozenset[Label]:
    """The labels that what a source sent around an item asks for, wherever in it: as decoded JSON,
    lists and objects. What a questionnaire asks is no word about the person; the answer is."""
    words = dict.fromkeys(_words(sent))
    found = {CODES[word] for word in words if word in CODES}
    found |= {label for word in words for pattern, label in WORDS if pattern.search(word)}
    return frozenset(found)


def _words(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for one in value:
            yield from _words(one)
    elif isinstance(value, dict):
        asked = {"text"} if "linkId" in value else frozenset()
        for name, held in value.items():
            if name not in _NOT_TOLD and name not in asked and name != "div":
                yield from _words(held)


def _sent(word: str) -> Label:
    return SENT.get(_folded(word), Label.UNKNOWN)


def _folded(word: str) -> str:
    return " ".join(word.casefold().replace("-", " ").replace("_", " ").split())
