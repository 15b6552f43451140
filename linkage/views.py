"""Pairs of rows as the tests of a field see them.

Rules:
- What is read of the features for one pair is kept for the next test.
- A pair that a level took is looked at no more: views only get narrower.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from linkage.columns import Column, Features, Part
from linkage.model import Field

Rows = npt.NDArray[np.int32]
Places = npt.NDArray[np.intp]
"""Rows as NumPy counts them: it reads by these half as fast again as by 32 bits."""
Bools = npt.NDArray[np.bool_]


class View:
    """Pairs of rows of the features, looked at for one field. What a test reads of them is kept for
    the next one."""

    def __init__(
        self,
        features: Features,
        field: Field,
        left: Places,
        right: Places,
        codes: tuple[Rows, Rows] | None = None,
    ) -> None:
        """codes: of the field's current values, where they are read already."""
        self.features, self.field = features, field
        self.left, self.right = left, right
        self._read: dict[tuple[str, ...], tuple[Part, Part]] = {}
        if codes is not None:
            self._read[field.column, "0"] = codes

    def __len__(self) -> int:
        return len(self.left)

    @property
    def column(self) -> Column:
        """The column that the field compares."""
        return self.features.column(self.field.column)

    def narrowed(self, keep: Places) -> View:
        """Only the pairs at the places to keep."""
        view = View(self.features, self.field, self.left.take(keep), self.right.take(keep))
        view._read = {key: (a.take(keep), b.take(keep)) for key, (a, b) in self._read.items()}
        return view

    def codes(self, name: str = "", slot: int = 0) -> tuple[Rows, Rows]:
        """Codes of both sides, of the field's own column or the one named."""
        key = (name or self.field.column, str(slot))
        if key not in self._read:
            codes = self.features.column(key[0]).codes[slot]
            self._read[key] = codes.take(self.left), codes.take(self.right)
        return self._read[key]

    def parts(self, part: str) -> tuple[Part, Part]:
        """A part of both sides' current values."""
        key = (self.field.column, "part", part)
        if key not in self._read:
            found = self.column.values.part(part)
            a, b = self.codes()
            # What is missing (-1) reads the last part; tests see pairs with values only.
            self._read[key] = found.take(a, mode="wrap"), found.take(b, mode="wrap")
        return self._read[key]
