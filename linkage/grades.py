"""Grades of a match: how sure an answer to "who is this?" is, from one table.

The four are those of FHIR's match-grade extension, which IHE PDQm [ITI-119] asks for: certain,
probable, possible, certainly-not. A grade is what the evidence allows, never what the asker hopes:
it is for a program or a person who will act on it without seeing the alternatives.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Bits = npt.NDArray[np.float64]


class Grade(StrEnum):
    """Codes of FHIR's match-grade value set, the surest first."""

    CERTAIN = "certain"
    PROBABLE = "probable"
    POSSIBLE = "possible"
    CERTAINLY_NOT = "certainly-not"


@dataclass(frozen=True)
class GradeRule:
    """What a candidate must show for a grade; all of it.

    Attributes:
        probability: at least: of its being the person, all candidates and nobody weighed together.
        margin: bits, at least, by which its match weight exceeds the next person's.
        settled: a number or the birth date must be the very same.
        unforbidden: no guard rail may speak against any of its records.
    """

    grade: Grade
    probability: float
    margin: float
    settled: bool
    unforbidden: bool
    reason: str


GRADES: tuple[GradeRule, ...] = (
    GradeRule(
        Grade.CERTAIN, 0.999, 10.0, True, True,
        "one wrong in a thousand is the most that may be acted on unseen; a namesake, a twin or a "
        "second person for the same demographics must be a thousand times less likely; names and "
        "addresses alone settle nobody; and a guard rail against one record casts doubt on all",
    ),
    GradeRule(
        Grade.PROBABLE, 0.9, 3.0, False, False,
        "nine in ten: shown first, for a person to confirm",
    ),
    GradeRule(
        Grade.POSSIBLE, 0.05, float("-inf"), False, False,
        "worth a look where nothing better is found",
    ),
)  # fmt: skip
"""In order: the first whose conditions are met. A candidate all of whose records a guard rail
forbids is certainly not the person; one that meets no row is left out of the answer."""
SETTLING = ("nhs_number", "identifier", "birth_date")
"""Columns of which one value in common settles."""


def probabilities(bits: Bits) -> Bits:
    """For candidates of these match weights the probability that each is the person, all of them
    and nobody weighed together. Minus infinity for one that is forbidden."""
    odds: Bits = np.exp2(np.minimum(bits, 60.0))
    return odds / (1.0 + float(odds.sum()))


def grade_of(
    probability: float, margin: float, *, settled: bool, doubted: bool, forbidden: bool
) -> Grade | None:
    """The grade of a candidate, None where it is not worth naming.

    Args:
        margin: bits above the next candidate; infinite for the only one.
        doubted: a guard rail forbids one of its records; forbidden: all of them.
    """
    if forbidden:
        return Grade.CERTAINLY_NOT
    for rule in GRADES:
        if (
            probability >= rule.probability
            and margin >= rule.margin
            and (settled or not rule.settled)
            and not (doubted and rule.unforbidden)
        ):
            return rule.grade
    return None
