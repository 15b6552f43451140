"""Reads delimited files (CSV and its kin) by the mapping that the settings declare.

Rules:
- Every row is one unit; a row that cannot be taken apart (`adapters.delimited_rows`) or is not
  what its file's kind says is quarantined alone.
- The file is refused as a whole only where its header, its compression or its first bytes are not
  what the settings declare.
- A column that no field is mapped to is left out and counted, once per file.
- No message holds a value: messages name columns, fields, lines and kinds of character.
"""

from __future__ import annotations

from collections.abc import Iterator

from adapters.batches import BatchBuilder
from adapters.delimited_rows import DelimitedFile
from adapters.feed_bytes import open_feed
from adapters.row_units import RowUnits
from schemas.columns import UnitBatch
from schemas.settings import Limits, SourceSettings
from service.ports import FeedFile


def read_delimited(feed: FeedFile, source: SourceSettings, limits: Limits) -> Iterator[UnitBatch]:
    """One feed's rows as batches. Raises (as it goes): FeedRefused."""
    with open_feed(feed.path, limits) as stream:
        file = DelimitedFile(stream, feed.settings, limits.max_unit_bytes)
        builder = BatchBuilder(limits.batch_units)
        units = RowUnits(file.header, feed.settings, source, builder)
        for block in file.blocks():
            yield from units.load(block, "line {}".format, file.form.encoding)
        last = builder.take()
        if last.units or last.issues:
            yield last
