"""Pairs of rows as the tests of a field see them.

Rules:
- What is read of the features for one pair is kept for the next test.
- A pair that a level took is looked at no more: views only get narrower.
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy

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
        codes: Mapping[str, tuple[Rows, Rows]] | None = None,
    ) -> None:
        """codes: of columns' current values, where they are read already."""
        self.features, self.field = features, field
        self._sides: tuple[Places, Places] | None = (left, right)
        self._size = len(left)
        self._read: dict[tuple[str, ...], tuple[Part, Part]] = {
            (name, "0"): pair for name, pair in (codes or {}).items()
        }
        self._wider: tuple[View, Places] | None = None

    def __len__(self) -> int:
        return self._size

    @property
    def column(self) -> Column:
        """The column that the field compares."""
        return self.features.column(self.field.column)

    @property
    def left(self) -> Places:
        """(pairs,) the one row of each."""
        return self._rows()[0]

    @property
    def right(self) -> Places:
        """(pairs,) the other row of each."""
        return self._rows()[1]

    def narrowed(self, keep: Places) -> View:
        """Only the pairs at the places to keep. What was read of them is taken over when a test
        asks for it."""
        view = copy(self)
        view._sides, view._size = None, len(keep)
        view._read, view._wider = {}, (self, keep)
        return view

    def _rows(self) -> tuple[Places, Places]:
        if self._sides is None:
            assert self._wider is not None  # only the widest view has none
            wider, keep = self._wider
            one, two = wider._rows()
            self._sides = one.take(keep), two.take(keep)
        return self._sides

    def _known(self, key: tuple[str, ...]) -> tuple[Part, Part] | None:
        """What this view or a wider one read."""
        if key not in self._read and self._wider is not None:
            wider, keep = self._wider
            found = wider._known(key)
            if found is not None:
                self._read[key] = found[0].take(keep), found[1].take(keep)
        return self._read.get(key)

    def codes(self, name: str = "", slot: int = 0) -> tuple[Rows, Rows]:
        """Codes of both sides, of the field's own column or the one named."""
        key = (name or self.field.column, str(slot))
        found = self._known(key)
        if found is None:
            codes = self.features.column(key[0]).codes[slot]
            found = self._read[key] = codes.take(self.left), codes.take(self.right)
        return found

    def parts(self, part: str) -> tuple[Part, Part]:
        """A part of both sides' current values."""
        key = (self.field.column, "part", part)
        found = self._known(key)
        if found is None:
            of_value = self.column.values.part(part)
            a, b = self.codes()
            # What is missing (-1) reads the last part; tests see pairs with values only.
            found = self._read[key] = of_value.take(a, mode="wrap"), of_value.take(b, mode="wrap")
        return found
