"""The model: what the matching core knows, as one versioned file. Frozen between trainings.

A pair of records is of one of three kinds: *match* (one person), *relative* (two people who share a
household, a family or an institution) and *stranger*. Each field's comparison ends in one level;
a level has a probability in each kind:

    m = P(level | match)      r = P(level | relative)      u = P(level | stranger)

and the match weight of a pair, in bits, is

    log2(mu/N * prod m)  -  log2( rho/N * prod r  +  prod u * tf )

with mu matches and rho relatives per record among N records, and tf the ratio of a shared name's
own frequency to the average one (Fellegi and Sunter 1969; Winkler 1988 for term frequency). The
third kind is what keeps twins and namesakes apart: for two siblings, living together is no
evidence (docs/adr/0006-three-kinds-of-pairs.md). Probabilities of a field are conditional on both
records having a value: missing is no evidence either way.

Rules:
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
from linkage.compare import LEVELS
from schemas.errors import InvalidValue

KERNEL_VERSION = 1
"""Change when a comparator or the clustering gives other results for the same model."""
FORMAT = 1


class Level(msgspec.Struct, frozen=True):
    """One level of a field: its probability among matches, relatives and strangers."""

    name: str
    m: float
    r: float
    u: float

    def __post_init__(self) -> None:
        if not all(0.0 < p <= 1.0 for p in (self.m, self.r, self.u)):
            raise InvalidValue(f"level '{self.name}': probabilities lie in (0, 1]")


class Field(msgspec.Struct, frozen=True):
    """One compared field. Level codes count from 1 in this order; 0 is missing."""

    name: str
    levels: tuple[Level, ...]

    def __post_init__(self) -> None:
        for kind in ("m", "r", "u"):
            total = math.fsum(getattr(level, kind) for level in self.levels)
            if abs(total - 1.0) > 1e-6:
                raise InvalidValue(f"field '{self.name}': {kind} sums to {total:.6f}, not 1")


class Rule(msgspec.Struct, frozen=True):
    """One blocking rule: pairs that agree on all keys are compared, unless the block is too big.

    Attributes:
        keys: names from `linkage.blocking.KEYS`.
        cap: largest block that is expanded; what is cut is counted and reported.
    """

    name: str
    keys: tuple[str, ...]
    cap: int


class Frequencies(msgspec.Struct, frozen=True):
    """Share of records bearing each frequent value; `other` for every value not listed."""

    shares: dict[str, float]
    other: float


class Model(msgspec.Struct, frozen=True, kw_only=True):
    """Everything a score depends on."""

    name: str
    format: int = FORMAT
    fields: tuple[Field, ...]
    rules: tuple[Rule, ...]
    matches_per_record: float
    relatives_per_record: float
    records: int
    """N: how many records the priors are for."""
    frequencies: dict[str, Frequencies] = {}
    provenance: dict[str, str] = {}

    def __post_init__(self) -> None:
        if self.format != FORMAT:
            raise InvalidValue(f"model format {self.format} is not {FORMAT}; train the model anew")
        levels = {field.name: tuple(level.name for level in field.levels) for field in self.fields}
        if levels != LEVELS or len(levels) != len(self.fields):
            raise InvalidValue("the model's fields and levels are not those of this version")
        if min(self.records, self.matches_per_record, self.relatives_per_record) <= 0:
            raise InvalidValue("the model's priors must be above 0")

    @property
    def hash(self) -> str:
        """SHA-256 of all that decides a score, hex."""
        versions = f"{KERNEL_VERSION}.{standardise.VERSION}.{nicknames.VERSION}:".encode()
        return hashlib.sha256(versions + self.to_json()).hexdigest()

    def field(self, name: str) -> Field:
        """The field of this name. Raises: KeyError."""
        return next(f for f in self.fields if f.name == name)

    def to_json(self) -> bytes:
        """The model file's bytes."""
        encoded = msgspec.json.encode(self, order="sorted")
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
