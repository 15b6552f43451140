"""The model file: what it holds, what its hash covers, what is refused."""

from __future__ import annotations

import re
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings

from linkage.model import (
    Dependence,
    Field,
    Frequencies,
    Level,
    Model,
    Rule,
    average_share,
    uk_person,
)
from schemas.errors import InvalidValue
from tests.linkage.people import models, shipped_model


def level(name: str = "same", test: str = "equal", m: float = 0.5, **more: Any) -> Level:
    """A level that is as likely in each kind of pair."""
    return Level(**{"name": name, "test": test, "m": m, "r": 0.5, "u": 0.5, **more})


def field(*levels: Level, name: str = "given") -> Field:
    """A field of one column."""
    return Field(name=name, column="given", levels=levels)


LAST = level("different", "")
TWO = (level(), LAST)
NONE = ((0.0, 0.0), (0.0, 0.0))


def model(**changes: Any) -> Model:
    """A model of one field, with changes."""
    base: dict[str, Any] = {
        "name": "x",
        "fields": (field(*TWO),),
        "rules": (Rule("given", ("given",), 9),),
        "matches_per_record": 1.0,
        "relatives_per_record": 1.0,
        "records": 10,
    }
    return Model(**base | changes)


def bond(**changes: Any) -> Dependence:
    """A dependence of two fields that says nothing."""
    base: dict[str, Any] = {"one": "a", "two": "b", "m": NONE, "r": NONE, "u": NONE}
    return Dependence(**base | changes)


PAIR = (field(*TWO, name="a"), field(*TWO, name="b"))
WRONG = [
    ("a probability of nought", lambda: level(m=0.0), "probabilities lie in"),
    ("one over 1", lambda: level(m=1.01), "probabilities lie in"),
    ("one below nought", lambda: level(u=-0.1), "probabilities lie in"),
    ("one that is no number", lambda: level(r=float("nan")), "probabilities lie in"),
    ("a frequency over 1", lambda: level(frequency=1.1), "frequency lies in"),
    ("one level", lambda: field(level("same", "", m=1.0, r=1.0, u=1.0)), "2 to 60 levels"),
    ("no level", field, "2 to 60 levels"),
    ("no last level", lambda: field(level("a"), level("b")), "every level but the last"),
    ("an untested level", lambda: field(level("a", ""), LAST), "every level but the last"),
    ("two levels of one name", lambda: field(level(), level("same", "")), "two levels of one name"),
    ("m short of 1", lambda: field(level(m=0.4), LAST), "m sums to 0.9"),
    ("u over 1", lambda: field(level(u=0.7), LAST), "u sums to 1.2"),
    ("no field", lambda: model(fields=()), "each of a name of its own"),
    ("two fields of one name", lambda: model(fields=(field(*TWO),) * 2), "a name of its own"),
    ("another format", lambda: model(format=1), "train the model anew"),
    ("no records", lambda: model(records=0), "above 0"),
    ("no matches", lambda: model(matches_per_record=0.0), "above 0"),
    ("no relatives", lambda: model(relatives_per_record=-1.0), "above 0"),
    (
        "more than a pattern holds",
        lambda: model(fields=tuple(field(*TWO, name=f"f{n}") for n in range(31))),
        "more fields and levels",
    ),
    (
        "a bond of a field that is not there",
        lambda: model(fields=PAIR, dependence=(bond(two="c"),)),
        "names a field",
    ),
    (
        "a bond of the wrong shape",
        lambda: model(fields=PAIR, dependence=(bond(u=(*NONE, (0.0, 0.0))),)),
        "wrong shape",
    ),
    (
        "a bond of a ragged shape",
        lambda: model(fields=PAIR, dependence=(bond(r=((0.0,), (0.0, 0.0))),)),
        "wrong shape",
    ),
    (
        "a bond of a field with itself",
        lambda: model(fields=PAIR, dependence=(bond(two="a"),)),
        "itself",
    ),
    (
        "bonds in a ring or twice over",
        lambda: model(fields=PAIR, dependence=(bond(), bond(one="b", two="a"))),
        "forest",
    ),
]


@pytest.mark.parametrize(
    ("build", "message"), [row[1:] for row in WRONG], ids=[row[0] for row in WRONG]
)
def test_a_model_that_cannot_be_is_refused(build: Any, message: str) -> None:
    with pytest.raises(InvalidValue, match=re.escape(message)):
        build()


def test_thirty_fields_of_two_levels_fit_a_pattern() -> None:
    assert len(model(fields=tuple(field(*TWO, name=f"f{n}") for n in range(30))).fields) == 30


@settings(max_examples=25, deadline=None)
@given(models())
def test_a_model_file_round_trips(drawn: Model) -> None:
    again = Model.from_json(drawn.to_json())
    assert again == drawn
    assert again.hash == drawn.hash
    assert again.to_json() == drawn.to_json()


def test_whole_numbers_in_the_place_of_others_change_nothing() -> None:
    """A model made in Python has the hash of its file."""
    one = model(fields=(field(level(test="levenshtein", at=1), LAST),), matches_per_record=1)
    other = model(fields=(field(level(test="levenshtein", at=1.0), LAST),))
    assert one.hash == other.hash == Model.from_json(one.to_json()).hash


def _numbers(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The places of all numbers in a document."""
    if isinstance(value, dict):
        return [p for k, v in value.items() for p in _numbers(v, (*path, k))]
    if isinstance(value, list):
        return [p for k, v in enumerate(value) for p in _numbers(v, (*path, k))]
    return [path] if isinstance(value, int | float) else []


def test_the_hash_covers_every_number() -> None:
    whole = msgspec.structs.replace(
        shipped_model(),
        fields=(*PAIR, field(level(at=0.5, frequency=0.5), LAST, name="c")),
        dependence=(bond(),),
        frequencies={"given": Frequencies({"ANN": 0.1}, 0.01)},
        join_bits=4.0,
    )
    places = [p for p in _numbers(msgspec.json.decode(whole.to_json())) if p != ("format",)]
    seen = {whole.hash}
    for place in places:
        document = msgspec.json.decode(whole.to_json())
        inner = document
        for step in place[:-1]:
            inner = inner[step]
        # So small that probabilities still sum to 1; caps and counts are whole numbers.
        inner[place[-1]] += (
            1
            if isinstance(inner[place[-1]], int)
            and place[-1]
            in (
                "cap",
                "records",
            )
            else -1e-9
        )
        seen.add(Model.from_json(msgspec.json.encode(document)).hash)
    assert len(seen) == len(places) + 1 > 40


def changed(*path: Any, to: Any) -> bytes:
    """The file of a small model with one number changed."""
    document = msgspec.json.decode(model().to_json())
    inner = document
    for step in path[:-1]:
        inner = inner[step]
    inner[path[-1]] = to
    return msgspec.json.encode(document)


BROKEN = [
    (b"", "not a model file"),
    (b"[]", "not a model file"),
    (b'{"name": "x"}', "not a model file"),
    (b'{"name": 1}', "not a model file"),
    (changed("format", to=1), "train the model anew"),
    (changed("fields", 0, "levels", 0, "m", to=1.985), "probabilities lie in"),
    (changed("records", to="many"), "not a model file"),
]


@pytest.mark.parametrize(("data", "message"), BROKEN, ids=range(len(BROKEN)))
def test_a_broken_file_says_what_is_wrong(data: bytes, message: str) -> None:
    with pytest.raises(InvalidValue, match=message):
        Model.from_json(data)


def test_fields_and_levels_are_found_by_name() -> None:
    found = uk_person().field("birth_date")
    codes = [found.code(name) for name in ("missing", "same 1 January", "different", "unheard of")]
    assert codes == [0, 1, len(found.levels), -1]
    with pytest.raises(KeyError):
        uk_person().field("shoe size")


def test_the_average_share_is_the_chance_that_two_records_agree() -> None:
    assert average_share({"a": 0.5, "b": 0.25}) == 0.3125
    assert average_share({}) == 0.0
