"""Undo of a run: its records and its model stand as they were before it, until it is released.

Rules:
- An undo adds inputs and takes nothing away: the next link reads the former versions and the
  former model, so it gives the partition of before, and its publication brings the former ids
  back. History keeps all of it.
- Only the newest run that is not undone can be undone: those after it hang on what it did.
- What people decided, what a source withdrew and what was erased stays as it is; so does a record
  that has become another person (service/inputs.py).
- What an undo that was released since had shown is not what was before.
- A release lifts the undo: the next link gives what the run gave, ids included.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from schemas.dates import Instant
from schemas.errors import InvalidValue, NotFound
from service.inputs import former_inputs, former_run
from service.ports import Store
from service.runs import RunKind, RunRow, RunState, Undo


def undo_run(
    store: Store, run_id: int, now: Instant, noted: Callable[[], None] = lambda: None
) -> Undo:
    """Undoes a run, from the next link on.

    Args:
        noted: writes the undo down; called once it is certain, before it is kept.

    Raises: NotFound, InvalidValue: not one to be undone.
    """
    runs = store.runs()
    found = next((run for run in runs if run.run_id == run_id), None)
    if found is None:
        latest = runs[-1].run_id if runs else "none"
        raise NotFound(f"no run {run_id} was published; the latest is {latest}")
    undos = store.undos()
    newest = newest_undoable(runs, undos)
    if newest is None or found.run_id != newest.run_id:
        raise InvalidValue(f"run {run_id} cannot be undone: {_why(found, newest)}")
    if not found.summary.get("undoable"):
        raise InvalidValue(
            f"run {run_id} cannot be undone: what the records were before it is not known, because"
            " the run before it left no link state"
        )
    noted()
    inputs = former_inputs(runs, undos, run_id) or found.summary["inputs"]
    return store.undo_run(run_id, former_run(undos, run_id), inputs, now)


def newest_undoable(runs: Sequence[RunRow], undos: Sequence[Undo]) -> RunRow | None:
    """The newest run that is not undone, brought nothing back, and shows something of its own."""
    undone = {undo.run_id for undo in undos if undo.active}
    last = runs[-1].run_id if runs else 0
    for run in reversed(runs):
        shows = run.state is RunState.PUBLISHED or run.run_id == last
        if shows and run.kind is not RunKind.UNDO and run.run_id not in undone:
            return run
    return None


def _why(found: RunRow, newest: RunRow | None) -> str:
    if found.kind is RunKind.UNDO:
        return "it shows an undo or a release; release the run that was undone, or undo that again"
    if newest is None:
        return "no run is left that could be"
    return f"only the newest run that is not undone can be, and that is run {newest.run_id}"


def release_run(
    store: Store, run_id: int, now: Instant, noted: Callable[[], None] = lambda: None
) -> Undo:
    """Lifts the undo of a run, from the next link on. `noted` as in `undo_run`. Raises: NotFound:
    it is not undone."""
    if not any(undo.active and undo.run_id == run_id for undo in store.undos()):
        raise NotFound(f"run {run_id} is not undone: there is nothing to release")
    noted()
    return store.release_run(run_id, now)
