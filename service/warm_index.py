"""The warm index: the last published run's persons, ready to be asked (linkage/lookup.py).

Rules:
- It is opened from sealed match columns and memberships, and notes the run that it follows. When
  another run is published, `fresh` opens it anew; nothing is patched in place.
- A record that no published person holds is not found: it waits for the night like the others.
- Nothing about consent, restriction or a person's present state is kept here: whoever shows a
  person asks the store for that, each time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from linkage.features import build_features
from linkage.lookup import Lookup
from linkage.lookup_index import Bearers
from linkage.model import Model
from schemas.errors import InputError, NotFound
from schemas.identifiers import PersonId
from schemas.settings import Settings
from service.model_files import load_model
from service.ports import Store

DRIVING = frozenset(("family", "birth_date"))
"""Columns of features one of which every search without slips asks for."""
ATTEMPTS = 3
"""How often reading is begun again because a run was published meanwhile."""


@dataclass(frozen=True)
class WarmIndex:
    """An open index.

    Attributes:
        run_id: the published run that it follows; model_hash: of the model that it scores with.
        persons: ids of persons, by the numbers that the lookup gives.
        row_persons: number of the person of each row of the lookup's features; -1 for none.
        rows_of: the rows of each person. bearers: of each of `DRIVING`, which rows bear a value.
    """

    run_id: int
    model_hash: str
    lookup: Lookup
    persons: pa.Array
    row_persons: npt.NDArray[np.int64]
    rows_of: Bearers
    bearers: Mapping[str, Bearers]

    def person_id(self, number: int) -> PersonId:
        """The id of a person of the lookup."""
        return PersonId(self.persons[number].as_py())

    def is_fresh(self, store: Store) -> bool:
        """Whether the run that it follows is the one published now."""
        return store.published_run() == self.run_id

    def fresh(self, store: Store, settings: Settings, model_file: Path) -> WarmIndex:
        """This index, or one of the run published now. Raises: as `open_index`."""
        return self if self.is_fresh(store) else open_index(store, settings, model_file)


def open_index(store: Store, settings: Settings, model_file: Path) -> WarmIndex:
    """An index over all records of published persons.

    Raises: NotFound where no run was published; InputError where there is no model.
    """
    if not model_file.exists():
        raise InputError("no model yet: run `commonthread link` first")
    model = load_model(model_file)
    for _ in range(ATTEMPTS):
        published = store.published_run()
        if not published:
            raise NotFound("no run has been published: run `commonthread nightly` first")
        table, members = store.match_columns(), store.memberships()
        index = _built(table, members, published, settings, model)
        if index.is_fresh(store):
            return index
    raise NotFound("runs are being published faster than they can be read; try again")


def _built(
    table: pa.Table, members: pa.Table, run_id: int, settings: Settings, model: Model
) -> WarmIndex:
    features = build_features(
        table,
        keeps_apart=frozenset(s.id for s in settings.sources if s.keeps_people_apart),
        accept_test_numbers=settings.link.accept_test_numbers,
        extra=model.columns,
    )
    encoded = members["person_id"].combine_chunks().dictionary_encode()
    encoded = encoded.combine_chunks() if isinstance(encoded, pa.ChunkedArray) else encoded
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    held, ids = members["record_id"].to_numpy(), table["record_id"].to_numpy()
    persons = np.full(len(table), -1, np.int64)
    if len(held):
        place = np.minimum(np.searchsorted(held, ids), len(held) - 1)
        persons = np.where(held[place] == ids, codes[place], -1)
    lookup = Lookup.build(
        features, model, persons, accept_test_numbers=settings.link.accept_test_numbers
    )
    rows = persons[features.row].astype(np.int64)
    return WarmIndex(
        run_id, model.hash, lookup, encoded.dictionary, rows,
        rows_of=Bearers(rows.reshape(1, -1), len(encoded.dictionary)),
        bearers={
            name: Bearers(column.codes, len(column.values))
            for name, column in lookup.features.columns.items()
            if name in DRIVING
        },
    )  # fmt: skip
