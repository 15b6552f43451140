"""Guard rails: what forbids a join whatever the score says. A table, each row with its reason.

A guard looks at the levels and features of a pair and answers "never join these two without a
person's decision". The forbidden pairs hold inside clusters too: no chain of joins brings them
together (linkage/cluster.py).

What people decided outranks the rest: two that somebody decided to be two stay apart under any
model, and a decision that two are one settles every other guard of that pair.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from linkage.columns import Features
from linkage.compare import Levels
from linkage.model import Model
from linkage.views import Bools, Rows
from schemas.errors import InvalidValue

PairKeys = npt.NDArray[np.int64]
"""Pairs of rows as integers, the lower row in the upper half; ascending, each once."""
NO_PAIRS: PairKeys = np.zeros(0, np.int64)


def pair_keys(left: npt.NDArray[np.integer], right: npt.NDArray[np.integer]) -> PairKeys:
    """Each pair as one integer, whichever way round; in the order given."""
    low, high = np.minimum(left, right), np.maximum(left, right)
    return np.asarray(low.astype(np.int64) << 32 | high.astype(np.int64))


def among(keys: PairKeys, known: PairKeys) -> Bools:
    """Which of the keys are among those known (ascending)."""
    if not len(known):
        return np.zeros(len(keys), bool)
    return np.asarray(known[np.minimum(np.searchsorted(known, keys), len(known) - 1)] == keys)


class _Pairs:
    """The pairs at hand, with their levels by name; `apart` those that people decided apart."""

    def __init__(
        self,
        features: Features,
        model: Model,
        left: Rows,
        right: Rows,
        levels: Levels,
        apart: PairKeys,
    ) -> None:
        self.f, self.left, self.right, self.apart = features, left, right, apart
        self._rows = {field.name: row for row, field in enumerate(model.fields)}
        self._model, self._levels = model, levels

    def at(self, field: str, *names: str) -> Bools:
        """Where the field's level is one of the names; a field that the model does not have is
        `missing` everywhere."""
        if field not in self._rows:
            return np.full(len(self.left), "missing" in names)
        known = self._model.field(field)
        codes = self._levels[self._rows[field]]
        wanted = np.zeros(256, bool)
        wanted[[known.code(name) for name in names if known.code(name) >= 0]] = True
        return np.asarray(wanted.take(codes))

    def dates(self, column: str) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Both sides' dates as yyyymmdd, 0 where unknown."""
        found = self.f.column(column)
        if found.empty:
            nought = np.zeros(len(self.left), np.int64)
            return nought, nought
        numbers = found.values.array.to_numpy().astype(np.int64)
        codes = found.codes[0]
        # What is missing (-1) reads the last number, and is nought.
        numbers = np.append(numbers, 0)
        a, b = (numbers.take(codes.take(side), mode="wrap") for side in (self.left, self.right))
        return a, b

    @property
    def nowhere(self) -> Bools:
        """No pair at all."""
        return np.zeros(len(self.left), bool)

    @property
    def years_apart(self) -> npt.NDArray[np.int64]:
        """Years between the births; 0 where one is unknown."""
        a, b = self.dates("birth_date")
        return np.where((a > 0) & (b > 0), np.abs(a // 10_000 - b // 10_000), 0)


def _decided_apart(p: _Pairs) -> Bools:
    if not len(p.apart):
        return p.nowhere
    return among(pair_keys(p.left, p.right), p.apart)


def _verified_numbers_differ(p: _Pairs) -> Bools:
    if not p.f.verified.any():
        return p.nowhere
    verified = p.f.verified[p.left] & p.f.verified[p.right]
    return verified & p.at("nhs_number", "different")


def _one_number_two_people(p: _Pairs) -> Bools:
    name = p.at("given", "different", "missing")
    birth = p.at("birth_date", "different", "two parts same", "missing")
    known = p.at("given", "different") | p.at("birth_date", "different")
    return p.at("nhs_number", "same") & name & birth & known


def _born_a_generation_apart(p: _Pairs) -> Bools:
    # One digit of the year may make sixty years: what families share is no word for a slip then.
    own = p.at("nhs_number", "same") | p.at("identifier", "same") | p.at("email", "same")
    slip = p.at("birth_date", "one slip") & own
    excused = slip | p.at("birth_date", "day and month swapped", "partly known")
    return (p.years_apart >= 12) & ~excused


def _twins(p: _Pairs) -> Bools:
    born_together = p.at("birth_date", "same", "same 1 January")
    return born_together & p.at("given", "different") & ~p.at("nhs_number", "same")


def _untraced_number_two_names(p: _Pairs) -> Bools:
    born_together = p.at("birth_date", "same", "same 1 January")
    traced = p.f.verified[p.left] | p.f.verified[p.right]
    unnamed = p.at("given", "missing") & ~p.at("source", "different")
    shared = p.at("nhs_number", "same") & ~traced
    return shared & born_together & (p.at("given", "different") | unnamed)


def _nothing_but_forename(p: _Pairs) -> Bools:
    nowhere = p.at("postcode", "missing") & p.at("address", "missing") & p.at("phone", "missing")
    number = p.at("nhs_number", "same") | p.at("identifier", "same", "one slip")
    return p.at("family", "different") & nowhere & ~number & ~p.at("email", "same", "close")


def _born_after_death(p: _Pairs) -> Bools:
    if p.f.column("death").empty:
        return p.nowhere
    births = np.stack(p.dates("birth_date"))
    deaths = np.stack(p.dates("death"))[::-1]
    # A death known by its year may have been at the year's end.
    latest = np.where(deaths % 10_000 == 0, deaths + 1299, deaths)
    after = (deaths > 0) & (births // 100 > latest // 100)
    return np.asarray(after.any(axis=0))


def _died_years_apart(p: _Pairs) -> Bools:
    if p.f.column("death").empty:
        return p.nowhere
    one, two = p.dates("death")
    return np.asarray((one > 0) & (two > 0) & (np.abs(one // 10_000 - two // 10_000) > 1))


def _one_source_holds_apart(p: _Pairs) -> Bools:
    held = p.at("source", "same, kept apart")
    if not held.any():
        return held
    return held & ~(p.at("nhs_number", "same") | p.at("identifier", "same"))


@dataclass(frozen=True)
class Guard:
    """One guard rail."""

    code: str
    reason: str
    forbids: Callable[[_Pairs], Bools]


DECIDED_APART = "decided_apart"
"""The guard that no model can leave out."""
GUARDS: tuple[Guard, ...] = (
    Guard(DECIDED_APART, "a person decided that they are two", _decided_apart),
    Guard(
        "verified_numbers_differ",
        "both NHS numbers were traced, and they differ",
        _verified_numbers_differ,
    ),
    Guard(
        "one_number_two_people",
        "one NHS number, but name and birth date conflict (a mother's number on her baby)",
        _one_number_two_people,
    ),
    Guard(
        "generation_apart",
        "born twelve years or more apart (parent and child of one name)",
        _born_a_generation_apart,
    ),
    Guard("twins", "born the same day with different forenames (twins)", _twins),
    Guard(
        "untraced_number_two_names",
        "one NHS number that was traced for neither, on two forenames (or a newborn not yet named) "
        "of one birth date (twins)",
        _untraced_number_two_names,
    ),
    Guard(
        "nothing_but_forename",
        "family names differ, and there is no number, address or contact to go by (adoption, "
        "protected identity)",
        _nothing_but_forename,
    ),
    Guard("born_after_death", "one was born after the other died", _born_after_death),
    Guard("died_years_apart", "their deaths are more than a year apart", _died_years_apart),
    Guard(
        "source_holds_apart",
        "one source holds both and keeps its people apart, and no number says they are one",
        _one_source_holds_apart,
    ),
)
"""In order: the first that forbids gives the reason. Codes in results count from 1."""


def check_guards(model: Model) -> None:
    """Raises: InvalidValue where the model names a guard that there is not."""
    known = [guard.code for guard in GUARDS]
    for code in model.guards:
        if code not in known:
            raise InvalidValue(f"no guard '{code}'; there are {', '.join(known)}")


SETTLED_BY_DECLARATION = frozenset({"source_holds_apart", "nothing_but_forename"})
"""Guards that do not hold where the pair's own source declares that the two are one."""
SETTLED_BY_PERSON = frozenset(guard.code for guard in GUARDS) - {DECIDED_APART}
"""Guards that do not hold where a person decided that the two are one."""


def forbidden(
    features: Features,
    model: Model,
    left: Rows,
    right: Rows,
    levels: Levels,
    *,
    settled: Collection[str] = (),
    apart: PairKeys = NO_PAIRS,
) -> Levels:
    """For each pair 0, or 1 + index of the first of the model's guards in `GUARDS` that forbids it.

    Args:
        settled: codes of guards that do not hold, because somebody declared the pairs to be one.
        apart: pairs of rows that a person decided to be two.
    """
    pairs = _Pairs(features, model, left, right, levels, apart)
    held = {DECIDED_APART, *model.guards} - set(settled)
    out = np.zeros(len(left), np.uint8)
    for index in range(len(GUARDS) - 1, -1, -1):
        if GUARDS[index].code in held:
            out[GUARDS[index].forbids(pairs)] = index + 1
    return out
