"""A match's answer for people and for scripts: plain lines, plain values."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from service.candidates import PersonMatch
from service.matching import Caution, MatchResult

CAUTIONS = {
    Caution.TOO_COMMON: "so many records share some of this that not all were looked at: give more",
    Caution.OMITTED: "more persons were matched than are shown",
}


def match_document(result: MatchResult) -> dict[str, Any]:
    """The answer as JSON takes it."""
    return {
        "matches": [_document(one) for one in result.matches],
        "cautions": [caution.value for caution in result.cautions],
    }


def _document(one: PersonMatch) -> dict[str, Any]:
    return {
        "person_id": one.person_id,
        "grade": one.grade,
        "score": round(one.score, 6),
        "bits": round(one.bits, 2),
        **asdict(one.demographics),
    }


def match_lines(result: MatchResult) -> list[str]:
    """The answer for people."""
    lines = [_line(one) for one in result.matches] or ["nobody"]
    return [*lines, *(f"note: {CAUTIONS[caution]}" for caution in result.cautions)]


def _line(one: PersonMatch) -> str:
    who = one.demographics
    number = f"NHS {who.nhs_number}" if who.nhs_number else "no NHS number"
    told = [*who.names[:1], f"born {who.birth_date or 'unknown'}", who.gender or "", number]
    told += ["died"] if who.died else []
    told += ["restricted"] if who.restricted else []
    text = ", ".join(part for part in told if part)
    return f"{one.grade or '-':9} {one.score:8.4f}  {one.person_id}  {text}"
