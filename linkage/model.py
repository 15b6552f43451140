"""The model: what the matching core knows, as one versioned file. Frozen between trainings.

A pair of records is of one of three kinds: *match* (one person), *relative* (two people who share a
household, a family or an institution) and *stranger*. Each field's comparison ends in one level;
a level has a probability in each kind:

    m = P(level | match)      r = P(level | relative)      u = P(level | stranger)

and the match weight of a pair, in bits, is

    log2(mu/N * prod m)  -  log2( rho/N * prod r  +  prod u * tf )

with mu matches and rho relatives per record among N records, and tf the ratio of a shared value's
own frequency to the average one (Fellegi and Sunter 1969; Winkler 1988 for term frequency). The
third kind is what keeps twins and namesakes apart: for two siblings, living together is no
evidence (docs/adr/0006-three-kinds-of-pairs.md). Probabilities of a field are conditional on both
records having a value: missing is no evidence either way. Where fields depend on one another in a
kind (`Dependence`), the products are those of a tree of dependent fields (Chow and Liu 1968;
docs/adr/0011-fields-that-move-together.md).

Rules:
- Levels are tried in their order: a pair has the first whose test it passes, and the last level,
  which has no test, where it passes none.
- A model is immutable; `hash` covers every number in it and the versions of the code that gives
  the levels, so that two partitions with equal hashes were made alike.
- The file is JSON with sorted keys.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from importlib import resources

import msgspec

from linkage import nicknames, standardise
from schemas.errors import InvalidValue

KERNEL_VERSION = 3
"""Change when a comparator or the clustering gives other results for the same model."""
FORMAT = 2
KINDS = "mru"


def code_versions() -> str:
    """The versions of the code that compares, standardises and knows nicknames: what was computed
    under others is not gone on from."""
    return f"{KERNEL_VERSION}.{standardise.VERSION}.{nicknames.VERSION}"


class Level(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One level of a field: the test it asks for, and its probability in each kind of pair.

    Attributes:
        test: a name from `linkage.comparators.COMPARATORS`, or `custom:NAME`; the last has none.
        at: threshold of tests that measure (similarity from which, or distance up to which).
        of: further columns, or the part of a value, that the test looks at.
        frequency: weight of term frequency at this level: 1 where the value is shared whole.
    """

    name: str
    test: str = ""
    at: float = 0.0
    of: str = ""
    m: float
    r: float
    u: float
    frequency: float = 0.0

    def __post_init__(self) -> None:
        if not all(0.0 < p <= 1.0 for p in (self.m, self.r, self.u)):
            raise InvalidValue(f"level '{self.name}': probabilities lie in (0, 1]")
        if not 0.0 <= self.frequency <= 1.0:
            raise InvalidValue(f"level '{self.name}': frequency lies in [0, 1]")


class Field(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """One compared field. Level codes count from 1 in this order; 0 is missing.

    Attributes:
        column: the features' column that it compares.
        comparable: part of the values that both records must have in common to be compared at all
            (two identifiers of one system); none for the empty text.
    """

    name: str
    column: str
    levels: tuple[Level, ...]
    comparable: str = ""

    def __post_init__(self) -> None:
        if len(self.levels) < 2 or len(self.levels) > 60:
            raise InvalidValue(f"field '{self.name}' needs 2 to 60 levels")
        untested = [level.name for level in self.levels[:-1] if not level.test]
        if untested or self.levels[-1].test:
            raise InvalidValue(f"field '{self.name}': every level but the last has a test")
        if len({level.name for level in self.levels}) < len(self.levels):
            raise InvalidValue(f"field '{self.name}': two levels of one name")
        for kind in KINDS:
            total = math.fsum(getattr(level, kind) for level in self.levels)
            if abs(total - 1.0) > 1e-6:
                raise InvalidValue(f"field '{self.name}': {kind} sums to {total:.6f}, not 1")

    def code(self, level: str) -> int:
        """The code of a level; 0 for `missing`, -1 for a level that this field does not have."""
        if level == "missing":
            return 0
        for code, known in enumerate(self.levels, start=1):
            if known.name == level:
                return code
        return -1


class Rule(msgspec.Struct, frozen=True):
    """One blocking rule: pairs that agree on all keys are compared, unless the block is too big.

    Attributes:
        keys: as `linkage.blocking` reads them: `column`, `column.part`, `column[2]`, `one~other`.
        cap: largest block that is expanded; what is cut is counted and reported.
    """

    name: str
    keys: tuple[str, ...]
    cap: int


class ColumnSpec(msgspec.Struct, frozen=True, omit_defaults=True):
    """A column beyond the standard ones: its kind says how texts are made comparable
    (`linkage.features.KINDS_OF_COLUMN`)."""

    name: str
    kind: str


class Frequencies(msgspec.Struct, frozen=True):
    """Share of records bearing each frequent value; `other` for every value not listed."""

    shares: dict[str, float]
    other: float


class Dependence(msgspec.Struct, frozen=True):
    """Two fields whose levels go together: bits to add, per kind, at each pair of levels.

    Attributes:
        one, two: names of fields.
        m, r, u: (levels of one, levels of two) log2 P(both) / (P(one) P(two)).
    """

    one: str
    two: str
    m: tuple[tuple[float, ...], ...]
    r: tuple[tuple[float, ...], ...]
    u: tuple[tuple[float, ...], ...]


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a score depends on.

    Attributes:
        guards: codes of the guard rails that hold (linkage/guards.py).
        frequencies: column → shares of its values.
        records: N: how many records the priors are for.
        join_bits: the recommended threshold, where training found one.
        provenance: where the numbers come from; shown, never used.
    """

    name: str
    format: int = FORMAT
    columns: tuple[ColumnSpec, ...] = ()
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...]
    guards: tuple[str, ...] = ()
    matches_per_record: float
    relatives_per_record: float
    records: int
    frequencies: dict[str, Frequencies] = {}
    dependence: tuple[Dependence, ...] = ()
    join_bits: float | None = None
    provenance: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise InvalidValue(f"model format {self.format} is not {FORMAT}; train the model anew")
        names = [field.name for field in self.fields]
        if not names or len(set(names)) < len(names):
            raise InvalidValue("a model needs fields, each of a name of its own")
        if math.prod(len(f.levels) + 2 for f in self.fields) >= 2**62:
            raise InvalidValue("the model has more fields and levels than a pattern can hold")
        if min(self.records, self.matches_per_record, self.relatives_per_record) <= 0:
            raise InvalidValue("the model's priors must be above 0")
        tree = {name: name for name in names}
        for bond in self.dependence:
            self._check_bond(bond, names)
            one, two = tree[bond.one], tree[bond.two]
            if one == two:
                raise InvalidValue("the model's dependences form a ring; they must be a forest")
            tree = {name: one if root == two else root for name, root in tree.items()}

    def _check_bond(self, bond: Dependence, names: list[str]) -> None:
        if bond.one not in names or bond.two not in names:
            raise InvalidValue("the model's dependence names a field that it does not have")
        if bond.one == bond.two:
            raise InvalidValue(f"field '{bond.one}' cannot depend on itself")
        shape = [len(self.field(name).levels) for name in (bond.one, bond.two)]
        for table in (bond.m, bond.r, bond.u):
            if len(table) != shape[0] or any(len(row) != shape[1] for row in table):
                raise InvalidValue(f"dependence of '{bond.one}' and '{bond.two}': wrong shape")

    @property
    def hash(self) -> str:
        """SHA-256 of all that decides a score, hex."""
        return hashlib.sha256(f"{code_versions()}:".encode() + self.to_json()).hexdigest()

    def field(self, name: str) -> Field:
        """The field of this name. Raises: KeyError."""
        for found in self.fields:
            if found.name == name:
                return found
        raise KeyError(name)

    def to_json(self) -> bytes:
        """The model file's bytes."""
        # Decoded once: what was given as 1 is written as the file would have it, 1.0.
        typed = msgspec.json.decode(msgspec.json.encode(self), type=Model)
        encoded = msgspec.json.encode(typed, order="sorted")
        return msgspec.json.format(encoded, indent=1) + b"\n"

    @staticmethod
    def from_json(data: bytes) -> Model:
        """A model from its file. Raises: InvalidValue, saying which part is wrong."""
        try:
            return msgspec.json.decode(data, type=Model)
        except msgspec.MsgspecError as error:
            raise InvalidValue(f"not a model file: {error}") from None


def uk_person() -> Model:
    """The shipped model of people in the United Kingdom: the prior of every training."""
    data = (resources.files("linkage") / "data" / "uk_person.json").read_bytes()
    return Model.from_json(data)


def average_share(frequencies: Mapping[str, float]) -> float:
    """Probability that two records drawn at random bear the same listed value."""
    return math.fsum(share * share for share in frequencies.values())
