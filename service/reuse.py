"""Records that have become another person: a source gave the local id to somebody else.

Rules:
- What counts as another person is `schemas.decisions.another_person`: no name, birth date or number
  in common. Somebody who marries, moves or is given another number is the same.
- So does a record whose source declares a change of identity under one local id: its versions from
  then on are another person's than those before, whatever they have in common.
- A version that was erased tells nothing: its record is not said to be another person's.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.dates import PartialDate
from schemas.decisions import another_person
from schemas.demographics import HumanName, NhsNumberClaim
from schemas.identifiers import LocalId, NhsNumber
from schemas.records import ClientRecord
from service.ports import Store
from service.runs import DELTA_SCHEMA

_COLUMNS = ["given", "family", "name_text", "birth_date", "nhs_number"]
_KNOWN = ["version_id", *_COLUMNS]


def become_another(
    store: Store,
    delta: pa.Table,
    known: Sequence[pa.Table] = (),
    born_alike: Callable[[pa.Table], npt.NDArray[np.bool_]] | None = None,
) -> npt.NDArray[np.int64]:
    """Ids of the records that another person stands in now, ascending.

    Args:
        delta: of `service.runs.DELTA_SCHEMA`.
        known: match columns of versions that are at hand, and need not be opened.
        born_alike: which rows of a delta have one birth date before and after, for certain: they
            are not opened either.
    """
    delta = delta.filter(pc.and_(delta["before"].is_valid(), delta["after"].is_valid()))
    renamed = _renamed(store, delta)
    if born_alike is not None:
        delta = delta.filter(pa.array(~born_alike(delta)))
    held = _columns_of(store, [*delta["before"].chunks, *delta["after"].chunks], known)
    was, now = (
        pc.index_in(delta[side], value_set=held["version_id"].combine_chunks())
        for side in ("before", "after")
    )
    born = held["birth_date"]
    differs = pc.fill_null(pc.not_equal(pc.take(born, was), pc.take(born, now)), False)
    delta, was, now = (part.filter(differs) for part in (delta, was, now))
    both = (held.select(_COLUMNS).take(place).to_pylist() for place in (was, now))
    found = [another_person(_record(a), _record(b)) for a, b in zip(*both, strict=True)]
    ids: npt.NDArray[np.int64] = delta["record_id"].to_numpy()[np.array(found, bool)]
    return np.union1d(ids, renamed)


def _columns_of(store: Store, versions: Sequence[pa.Array], known: Sequence[pa.Table]) -> pa.Table:
    """What identifies the person of each of the versions that are held."""
    wanted = pc.unique(pa.chunked_array(versions, pa.int64()))
    parts = []
    for table in known:
        place = pc.index_in(wanted, value_set=table["version_id"].combine_chunks())
        parts.append(table.select(_KNOWN).take(place.drop_null()))
        wanted = wanted.filter(place.is_null())
    parts.append(store.past_columns(wanted.to_pylist()).select(_KNOWN))
    return pa.concat_tables(parts)


def _renamed(store: Store, delta: pa.Table) -> npt.NDArray[np.int64]:
    """Ids of the records that have gone over to a new identity."""
    own = (one.old_versions for one in store.former_identities() if one.own)
    former = pa.array(sorted(frozenset[int]().union(*own)), pa.int64())
    was, now = (pc.is_in(delta[side], value_set=former) for side in ("before", "after"))
    ids: npt.NDArray[np.int64] = delta["record_id"].filter(pc.and_not(was, now)).to_numpy()
    return ids


def same_still(store: Store, members: pa.Table, since: pa.Table) -> pa.Table:
    """A former partition without the records that have become another person since.

    Args:
        members: `record_id` ascending, `person_id`.
        since: how the records that count differ from those of then, of `DELTA_SCHEMA`.
    """
    another = pa.array(become_another(store, since.select(DELTA_SCHEMA.names)))
    return members.filter(pc.invert(pc.is_in(members["record_id"], value_set=another)))


def _record(row: dict[str, Any]) -> ClientRecord:
    """What identifies a person, from its match columns."""
    words = [word for name in _COLUMNS[:3] for word in row[name] or () if word]
    number = row["nhs_number"]
    return ClientRecord(
        local_id=LocalId("-"),
        names=(HumanName(text=" ".join(words)),) if words else (),
        birth_date=PartialDate(row["birth_date"]),
        nhs_number=NhsNumberClaim(NhsNumber(number)) if number else None,
    )
