"""Whom the warm index names for what is known of somebody, as the store knows them now.

Rules:
- A gate says of whom there may be an answer, and gives their records as they are now. Whom it
  leaves out leaves no trace: the others are ranked, weighed and graded as if it were not there.
- Of a restricted person what says where they are is no evidence (linkage/lookup.py).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from linkage.asked import Value
from linkage.grades import SETTLING, Grade, grade_of, probabilities
from linkage.lookup import FLOOR_BITS, Answer, Candidate
from schemas.columns import match_row
from schemas.demographics import HumanName
from schemas.identifiers import NhsNumber, PersonId
from service.ports import HeldRecord
from service.warm_index import WarmIndex

MOST = 50
"""Persons that one question can name."""


@dataclass(frozen=True)
class MinimumDemographics:
    """Enough to recognise a person by, no more; from the record that says most and is newest."""

    names: tuple[str, ...]
    birth_date: str | None
    gender: str | None
    nhs_number: NhsNumber | None
    nhs_number_verified: bool
    died: bool
    restricted: bool


@dataclass(frozen=True)
class PersonMatch:
    """One person matched.

    Attributes:
        score: 0 to 1, for ranking: the probability of being the person asked about; in a search 1
            where every parameter is met by what is current.
    """

    person_id: PersonId
    grade: Grade | None
    score: float
    bits: float
    demographics: MinimumDemographics


@dataclass(frozen=True)
class Standing:
    """A person who may be among the answers.

    Attributes:
        records: the live ones. restricted: the person is, or somebody they live with.
        history: what is no longer so of them may be what found them.
    """

    records: Sequence[HeldRecord]
    restricted: bool
    history: bool = True

    @classmethod
    def of(cls, records: Sequence[HeldRecord]) -> Standing:
        """That which the records themselves tell."""
        return cls(records, any(held.record.restricted for held in records))


Gate = Callable[[Sequence[PersonId]], Mapping[PersonId, Standing]]
"""Persons → those who may be among the answers; whom it leaves out is as if there were no such
person."""


@dataclass(frozen=True)
class Looked:
    """What the index found, with what the store says of it now."""

    answer: Answer
    matched: tuple[PersonMatch, ...]
    standing: Mapping[PersonId, Standing]


_UNASKED = Standing((), False)


def look(
    gate: Gate, index: WarmIndex, row: pa.Table, *, everyone: bool = False, hides: bool = False
) -> Looked:
    """Candidates that are present persons still, and that the gate lets through. Where one turns
    out to be restricted, the question is asked again without what says where it is, until none
    does; where one is left out, the others are weighed as if it were not there.

    Args:
        everyone: those too that are too unlikely for a grade.
        hides: the gate may leave present persons out: even those too unlikely to be named are put
            before it, because they weigh on the others.
    """
    restricted: set[int] = set()
    known: dict[int, Standing | None] = {}
    wide = everyone or hides
    while True:
        answer = index.lookup.ask(
            row,
            restricted=restricted,
            everyone=wide,
            floor=-math.inf if everyone else FLOOR_BITS,
        )
        likely = [one for one in answer.candidates if one.grade is not Grade.CERTAINLY_NOT]
        shown = _let_through(gate, index, likely, known, all_of_them=wide and not everyone)
        standing = {one.person: of for one in shown if (of := known[one.person]) is not None}
        found = {number for number, one in standing.items() if one.restricted}
        left_out = any(known.get(one.person, _UNASKED) is None for one in likely)
        if found <= restricted and (wide or not left_out):
            break
        restricted |= found
        wide |= left_out
    if left_out or hides:
        shown = _weighed_anew(index, row, shown, standing, everyone=everyone)
    return Looked(
        answer,
        tuple(_match(index, one, standing[one.person].records) for one in shown),
        {index.person_id(number): one for number, one in standing.items()},
    )


def _let_through(
    gate: Gate,
    index: WarmIndex,
    likely: Sequence[Candidate],
    known: dict[int, Standing | None],
    *,
    all_of_them: bool,
) -> list[Candidate]:
    """The first of the candidates that the gate lets through, one more than can be shown, or all
    of them; `known` learns of all that were asked about how they stand, None for those left out."""
    shown: list[Candidate] = []
    for start in range(0, len(likely), MOST + 1):
        part = likely[start : start + MOST + 1]
        unknown = {
            one.person: index.person_id(one.person) for one in part if one.person not in known
        }
        if unknown:
            held = gate(list(unknown.values()))
            known |= {number: held.get(name) for number, name in unknown.items()}
        shown += [one for one in part if known[one.person] is not None]
        if len(shown) > MOST and not all_of_them:
            break
    return shown if all_of_them else shown[: MOST + 1]


def _weighed_anew(
    index: WarmIndex,
    row: pa.Table,
    candidates: Sequence[Candidate],
    standing: Mapping[int, Standing],
    *,
    everyone: bool,
) -> list[Candidate]:
    """The candidates' probabilities and grades among themselves (linkage/lookup.py)."""
    asked = index.lookup.read(row).columns
    chances = probabilities(np.array([one.bits for one in candidates])).tolist()
    weighed = []
    for at, (one, probability) in enumerate(zip(candidates, chances, strict=True)):
        rivals = [other.bits for n, other in enumerate(candidates) if n != at]
        grade = grade_of(
            probability,
            one.bits - max(rivals, default=-math.inf),
            settled=_settled(index, asked, standing[one.person].records),
            doubted=one.guard is not None,
            forbidden=False,
        )
        if everyone or grade is not None:
            weighed.append(replace(one, probability=probability, grade=grade))
    return weighed[: MOST + 1]


def _settled(
    index: WarmIndex, asked: Mapping[str, tuple[Value, ...]], records: Sequence[HeldRecord]
) -> bool:
    """Whether one of the records shares a number or a birth date with what was asked."""
    held = [index.lookup.read_row(match_row(h.record)).columns for h in records]
    return any(set(asked.get(c, ())) & set(one.get(c, ())) for c in SETTLING for one in held)


def _match(index: WarmIndex, one: Candidate, records: Sequence[HeldRecord]) -> PersonMatch:
    return PersonMatch(
        index.person_id(one.person), one.grade, one.probability, one.bits, minimum(records)
    )


def minimum(records: Sequence[HeldRecord]) -> MinimumDemographics:
    """A person's minimum demographics: each from the newest of the records that have it, those with
    a traced number before the others. Requires: at least one record."""
    ordered = sorted(records, key=lambda h: (_verified(h), h.as_at, -h.record_id), reverse=True)
    named = next((h.record.names for h in ordered if h.record.names), ())
    numbered = next((h.record.nhs_number for h in ordered if h.record.nhs_number), None)
    return MinimumDemographics(
        names=tuple(_written(name) for name in named[:1]),
        birth_date=next((h.record.birth_date for h in ordered if h.record.birth_date), None),
        gender=next((h.record.gender for h in ordered if h.record.gender), None),
        nhs_number=numbered.value if numbered else None,
        nhs_number_verified=bool(ordered) and _verified(ordered[0]),
        died=any(h.record.death is not None for h in records),
        restricted=any(h.record.restricted for h in records),
    )


def _verified(held: HeldRecord) -> bool:
    number = held.record.nhs_number
    return number is not None and number.status == "01"


def _written(name: HumanName) -> str:
    return " ".join([*name.given, name.family or ""]).strip() or name.text or ""
