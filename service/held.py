"""Held runs and shadow runs: publishing what was held, and what another model would change.

Rules:
- An approval publishes just the partition that was held and reported on, not a newer one; records
  that were withdrawn since stay out of it. It is refused where an undo or a release was asked for
  since, or where people decided apart since what it would show as one: the next link sees to that.
- The approval of a held run that shows an undo brings the former ids back as that run would have.
- A shadow run computes and compares; it keeps nothing and publishes nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from audit.events import EventOutcome
from consent.commands import Action
from linkage.model import Model, uk_person
from schemas.dates import Clock
from schemas.errors import NeedsDecision, NotFound
from schemas.identifiers import PersonId
from schemas.settings import Settings
from service.access import Actor, about, permit, record
from service.identity import changes
from service.inputs import (
    active_undos,
    counting_records,
    in_force,
    key_of,
    restored,
    returned,
)
from service.linking import (
    LinkReport,
    Progress,
    compute,
    published_by,
    whole_report,
)
from service.looking import shown_record
from service.model_files import load_model
from service.ports import HeldRecord, Store
from service.protected import bound, partings
from service.publication import Difference, difference, over_limits
from service.reading import Ground
from service.runs import KeptState, NewRun, RunKind, RunRow, RunState
from service.shielded import seen_by


def approve_run(
    store: Store,
    run_id: int,
    clock: Clock,
    noted: Callable[[], None] = lambda: None,
    by: Actor | None = None,
) -> LinkReport:
    """Publishes a held run in full.

    Args:
        by: who has it published, for its event.
        noted: writes the approval down; called once it is certain, before anything is published.

    Raises:
        NotFound: it is not the latest run, not held, or what it computed was replaced.
        NeedsDecision: what was decided or undone since stands against it.
    """
    last, kept = store.last_run(), store.link_state()
    if last is None or last.run_id != run_id or last.state is not RunState.HELD:
        raise NotFound(
            f"run {run_id} is not held, or is not the latest run: {_why_not(store.runs(), run_id)}"
        )
    if kept is None or asdict(kept.key) != last.summary["key"]:
        raise NotFound(f"run {run_id}: what it computed was replaced since; run `link` again")
    _still_right(store, run_id, kept)
    noted()
    records = kept.state.records
    reference = restored(store, kept.delta)
    now = store.match_columns()
    place = pc.index_in(records["record_id"], value_set=now["record_id"].combine_chunks())
    live = place.combine_chunks().is_valid()
    known = records.filter(live)
    ids, members = known["record_id"].to_numpy(), store.memberships()
    change = changes(
        ids,
        now["founder"].combine_chunks().take(place.combine_chunks().drop_null()),
        known["label"].to_numpy(),
        members,
        store.founded_counts(),
        kept.state.tasks,
        reference,
        returning=returned(store, ids, members),
        parting=partings(store),
    )
    at = np.where(live.to_numpy(zero_copy_only=False), np.cumsum(live) - 1, 0)
    persons = change.persons.take(pa.array(at, mask=pc.invert(live).to_numpy(zero_copy_only=False)))
    state_id = store.save_link_state(replace(kept, persons=pa.chunked_array([persons])))
    report = whole_report(kept, change)
    summary = {k: v for k, v in asdict(report).items() if k not in ("seconds", "run_id")}
    summary |= {"inputs": last.summary["inputs"], "key": last.summary["key"], "approves": run_id}
    summary |= {"protected": last.summary.get("protected", {})}
    run = NewRun(
        model_hash=last.model_hash,
        generation=last.generation,
        summary=summary,
        kind=RunKind.APPROVAL if reference is None else RunKind.UNDO,
        state_id=state_id,
        delta=kept.delta,
    )
    report.run_id = store.publish(published_by(run, by), change.publication, clock())
    return report


def _why_not(runs: Sequence[RunRow], run_id: int) -> str:
    """Why a run cannot be approved, and what can be done instead."""
    found = next((run for run in runs if run.run_id == run_id), None)
    if found is None:
        return f"there is no such run; the latest is {runs[-1].run_id if runs else 'none'}"
    if found.state is not RunState.HELD:
        return "it was published, so there is nothing to approve"
    last = runs[-1]
    if last.state is RunState.HELD:
        return (
            f"it was held, but run {last.run_id} is held since: read"
            f" `commonthread person difference {last.run_id}`, then approve that"
        )
    return f"it was held, but run {last.run_id} was published since: nothing is held now"


def _still_right(store: Store, run_id: int, kept: KeptState) -> None:
    """Raises: NeedsDecision where what was asked for since stands against publishing a state."""
    if store.undo_sequence() != kept.key.holds:
        raise NeedsDecision(
            f"run {run_id}: an undo or a release was asked for since it was held; nothing was"
            " published. Run `link` first, then read what that holds"
        )
    apart = bound(store, store.match_columns, store.decided()).decided.apart
    ids, labels = (kept.state.records[name].combine_chunks() for name in ("record_id", "label"))
    left, right = (
        pc.take(labels, pc.index_in(apart[side], value_set=ids)) for side in ("left", "right")
    )
    against = pc.sum(pc.equal(left, right)).as_py() or 0
    if against:
        raise NeedsDecision(
            f"run {run_id}: it would show {against:,} pairs of records as one person that were"
            " decided apart since it was held; nothing was published. Run `link` again: it takes"
            " the decisions in"
        )


def shadow_run(
    store: Store,
    settings: Settings,
    model_file: Path,
    *,
    model: Model | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Difference:
    """What a link from nothing would change, under another model or the workspace's own."""
    undone = active_undos(store)
    if model is None:
        model = load_model(model_file) if model_file.exists() else uk_person()
    inputs = replace(in_force(settings, model.hash, undone), model=model.hash)
    table = counting_records(store, undone)
    held_to = bound(store, lambda: table, store.decided())
    key, last = key_of(store, inputs), store.last_run()
    ground = Ground(table, inputs, key, held_to, None, last, table.slice(0, 0))
    computed = compute(ground, model, full=True, threads=threads, progress=progress)
    label = computed.state.records["label"].to_numpy()
    members = store.memberships()
    change = changes(
        table["record_id"].to_numpy(),
        table["founder"].combine_chunks(),
        label,
        members,
        store.founded_counts(),
        computed.state.tasks,
        parting=partings(store),
    )
    persons = len(members["person_id"].unique())
    over = over_limits(settings.link, change, persons, len(members))
    return difference(table, label, members, change, over, persons)


def show_difference(store: Store, actor: Actor, run_id: int, clock: Clock) -> dict[str, Any]:
    """The difference report of a held run, its examples with minimum demographics.

    Raises: NotPermitted; NotFound: no such run, or it was not held.
    """
    permit(actor, Action.PERSON_DIFFERENCE, store, clock)
    everything, store = store, seen_by(actor, store)
    run = next((run for run in store.runs() if run.run_id == run_id), None)
    if run is None or "difference" not in run.summary:
        record(actor, Action.PERSON_DIFFERENCE, store, clock, outcome=EventOutcome.FAILED)
        why = "there is no such run" if run is None else "it was not held"
        raise NotFound(f"run {run_id}: {why}; only a held run has a difference report")
    report = dict(run.summary["difference"])
    named = {record_id for example in report["examples"] for record_id in example["records"]}
    held = {one.record_id: one for one in store.held(named)}
    unseen = {one.record_id for one in everything.held(named)} - held.keys()
    persons = sorted({one.person_id for one in held.values() if one.person_id})
    record(actor, Action.PERSON_DIFFERENCE, store, clock, run=run_id, **about(held.values()))
    members = store.held(store.members(set(persons)))
    hidden = {one.person_id for one in members if one.record.restricted}
    report["examples"] = [
        {"kind": example["kind"], "records": _shown(example["records"], held, hidden)}
        for example in report["examples"]
        if unseen.isdisjoint(example["records"])
    ]
    return {"run_id": run_id, "at": run.started_at, **report}


def _shown(
    record_ids: list[int], held: dict[int, HeldRecord], hidden: Collection[PersonId | None]
) -> list[dict[str, Any]]:
    """Minimum demographics of an example's records that are live still.

    Args:
        hidden: persons who are restricted by any of their records, those of no example included.
    """
    records = [held[record_id] for record_id in record_ids if record_id in held]
    restricted = any(one.record.restricted or one.person_id in hidden for one in records)
    return [
        {"record": one.record_id, "person_id": one.person_id, **shown_record(one, restricted)}
        for one in records
    ]
