"""How a person came to be what it is, as sentences: founded, joined, split, undone, by which run.

Rules:
- Sentences name runs, times, numbers of records and other persons' ids; no record, no source, no
  value: whose history it is can be told of a restricted person too.
- What decided a change is named where a person's decision or an undo did: other changes are the
  matching run's own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from schemas.decisions import Verdict
from schemas.identifiers import PersonId
from service.ports import Store
from service.runs import Fate, PersonPast, RunKind, RunRow, Stay, Undo

_KINDS = {
    RunKind.LINK: "matching run",
    RunKind.APPROVAL: "the approval of a held run, run",
    RunKind.UNDO: "an undo or its release, run",
}


@dataclass(frozen=True)
class Said:
    """One sentence of a history."""

    run: int
    at: str
    text: str


def person_history(store: Store, person: PersonId) -> list[Said] | None:
    """The sentences, oldest first; None for an unknown id."""
    past = store.person_past(person)
    if past is None:
        return None
    undos = store.undos()
    told = [*_beginnings(past, undos), *_movements(past), *_mergers(past), *_erasures(past)]
    told += [*_decisions(store, past), *_endings(past, undos)]
    return [Said(run, past.runs[run].started_at, text) for run, _, text in sorted(told)]


_Told = tuple[int, int, str]
"""Run, place among the sentences of that run, text."""


def _beginnings(past: PersonPast, undos: Sequence[Undo]) -> Iterator[_Told]:
    first, *returns = past.stays
    by = _by(past.runs[first.from_run])
    came = past.arrivals.get(first.from_run, 0)
    origin = f", taking on the larger part of {past.continues}" if past.continues else ""
    yield first.from_run, 0, f"founded by {by} with {_records(came)}{origin}"
    for stay in returns:
        cause = _cause(undos, stay.from_run) or _by(past.runs[stay.from_run])
        came = past.arrivals.get(stay.from_run, 0)
        yield stay.from_run, 0, f"present again with {_records(came)}, because of {cause}"


def _cause(undos: Sequence[Undo], run_id: int) -> str:
    """The undo or release that a run shows, in words."""
    for undo in reversed(undos):
        if undo.released_by == run_id:
            return f"the release of run {undo.run_id}, shown by run {run_id}"
        if undo.undone_by == run_id:
            return f"the undo of run {undo.run_id}, shown by run {run_id}"
    return ""


_DECIDED = {
    Verdict.SAME: "to be one person",
    Verdict.DIFFERENT: "to be two people",
}


def _decisions(store: Store, past: PersonPast) -> Iterator[_Told]:
    """What people decided about its records, at the run that first saw it and changed the
    person."""
    times = {run.run_id: run.started_at for run in store.runs()}
    for decision in store.decisions():
        verdict = _DECIDED.get(decision.verdict)
        if verdict is None or not past.records & set(decision.pair):
            continue
        for at, what in (
            (decision.decided_at, f"somebody decided two records {verdict}"),
            (decision.revoked_at, f"somebody revoked the decision that held two records {verdict}"),
        ):
            run = next((run for run, began in times.items() if at and began >= at), None)
            if run is not None and run in past.runs:
                yield run, -1, f"{what}, decision {decision.decision_id}"


def _movements(past: PersonPast) -> Iterator[_Told]:
    begun = {stay.from_run for stay in past.stays}
    ended = {stay.to_run for stay in past.stays}
    for run, number in past.arrivals.items():
        if run not in begun:
            yield run, 2, f"{_records(number)} came with {_by(past.runs[run])}"
    for run, number in past.departures.items():
        if run not in ended:
            yield run, 3, f"{_records(number)} left with {_by(past.runs[run])}"


def _mergers(past: PersonPast) -> Iterator[_Told]:
    for run, other in past.merged:
        yield run, 1, f"{other} was joined to it by {_by(past.runs[run])}"


def _erasures(past: PersonPast) -> Iterator[_Told]:
    for run, at in past.erased:
        yield run, 4, f"a record of it was erased on instruction, {at}"


def _endings(past: PersonPast, undos: Sequence[Undo]) -> Iterator[_Told]:
    for stay in past.stays:
        if stay.to_run is not None:
            yield stay.to_run, 5, _ending(past, stay, undos)


def _ending(past: PersonPast, stay: Stay, undos: Sequence[Undo]) -> str:
    run = past.runs[stay.to_run or 0]
    if stay.ending is Fate.MERGED:
        return f"joined to {stay.merged_into} by {_by(run)}; the id leads there"
    if stay.ending is Fate.SPLIT:
        parts = ", ".join(part for at, part in past.parts if at == run.run_id)
        return f"split by {_by(run)} into {parts}; the id leads nowhere"
    if stay.ending is Fate.EMPTIED:
        return f"emptied by {_by(run)}: no record of it was left; the id leads nowhere"
    cause = _cause(undos, run.run_id) or _by(run)
    return f"gone, because of {cause}; the id leads nowhere"


def _by(run: RunRow) -> str:
    return f"{_KINDS[run.kind]} {run.run_id}"


def _records(number: int) -> str:
    return "1 record" if number == 1 else f"{number:,} records"
