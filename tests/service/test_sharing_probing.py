"""Nothing that can be asked tells what is refused silently from what is not there.

Two partnerships: in one something is hidden from the asker, in the other it never was. Whatever is
asked of the one and of the other, in whatever order, is answered alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import product
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consent.shared import SharedRecord
from schemas.dates import PartialDate
from schemas.errors import CommonthreadError
from schemas.identifiers import PersonId
from schemas.items import Heading
from schemas.sharing import Requester
from service.sharing import NHS_NUMBER, SOURCE_SYSTEM, PersonQuery, Sharing
from tests.service.hidden import HIDDEN
from tests.service.sharing_world import AMY, ANN, BORN, CHILD, EVE, MUM, NHS, TOM, asks, world

PERSONS = (ANN, TOM, EVE, AMY, MUM, PersonId("pnobody"))


@dataclass(frozen=True)
class Pair:
    """The partnership that hides something from one asker, and the one that never had it."""

    hiding: Sharing
    lacking: Sharing
    asker: str


@pytest.fixture(scope="module", params=HIDDEN)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    hide, without, asker = HIDDEN[request.param]
    with ExitStack() as stack:
        hiding = stack.enter_context(world(tmp_path_factory.mktemp("hiding")))
        lacking = stack.enter_context(world(tmp_path_factory.mktemp("lacking"), without))
        hide(hiding)
        yield Pair(hiding, lacking, asker)


def plain(answer: Any) -> Any:
    """An answer without names that every partnership gives anew."""
    if isinstance(answer, SharedRecord):
        items = tuple(
            msgspec.structs.replace(
                one, item_key="", item=msgspec.structs.replace(one.item, item_id="-")
            )
            for one in answer.items
        )
        told = {name: value for name, value in vars(answer).items() if name != "token"}
        return {**told, "items": items}
    if isinstance(answer, tuple):
        return tuple(plain(one) for one in answer)
    fields = getattr(answer, "__dataclass_fields__", None)
    if fields and any(isinstance(getattr(answer, f), SharedRecord | tuple) for f in fields):
        return {name: plain(getattr(answer, name)) for name in fields}
    return answer


Ask = Callable[[Sharing, Requester], Any]
_HEADINGS = st.frozensets(st.sampled_from(Heading), max_size=4)
_SEARCHES = st.builds(
    PersonQuery,
    st.fixed_dictionaries(
        {"family": st.sampled_from(["Open", "Plain", "Pl*", "Hidden", "Op*", "Nobody"])},
        optional={
            "given": st.sampled_from([["Tom"], ["Una"], ["U*"]]),
            "postcode": st.sampled_from([["BS3 1AA"], ["BS2*"], ["BS1 5TR"]]),
        },
    ),
    born=st.sampled_from([(BORN, BORN), (CHILD, CHILD), (PartialDate("1900"), None)]),
    history=st.booleans(),
    max_results=st.sampled_from([None, 1, 2]),
)
_MATCHES = st.fixed_dictionaries(
    {"birth_date": st.sampled_from([BORN, CHILD])},
    optional={
        "given": st.sampled_from(["Tom", "Una", "Ann"]),
        "family": st.sampled_from(["Open", "Plain", "Hidden"]),
        "postcode": st.sampled_from([["BS3 1AA"], ["BS2 8AA"]]),
    },
)
_PERSONS = st.sampled_from(PERSONS)
_ASKS: st.SearchStrategy[Ask] = st.one_of(
    _PERSONS.map(lambda p: lambda s, r: s.everything(r, p)),
    _PERSONS.map(lambda p: lambda s, r: s.read(r, p)),
    st.tuples(_PERSONS, _HEADINGS, st.integers(0, 3), st.integers(0, 3)).map(
        lambda t: lambda s, r: s.items(r, t[0], t[1], offset=t[2], count=t[3])
    ),
    _SEARCHES.map(lambda q: lambda s, r: s.search(r, q)),
    _MATCHES.map(lambda m: lambda s, r: s.match(r, m)),
    st.sampled_from([
        (NHS_NUMBER, NHS), (f"{SOURCE_SYSTEM}gp", "mum"), (f"{SOURCE_SYSTEM}clinic", "x1"),
        (f"{SOURCE_SYSTEM}pas", "h5"),
    ]).map(lambda i: lambda s, r: s.find_by_identifier(r, *i)),
    _PERSONS.map(
        lambda p: lambda s, r: s.break_glass(r, p, "unconscious", "brought in by ambulance")
        if p == MUM
        else None
    ),
)  # fmt: skip


def answer(sharing: Sharing, asker: str, ask: Ask) -> Any:
    try:
        return plain(ask(sharing, asks(sharing, asker)))
    except CommonthreadError as error:
        return type(error).__name__, str(error)


@settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(_ASKS, min_size=1, max_size=4))
def test_what_is_hidden_is_answered_as_what_never_was(pair: Pair, questions: list[Ask]) -> None:
    for ask in questions:
        one = answer(pair.hiding, pair.asker, ask)
        assert one == answer(pair.lacking, pair.asker, ask)


def test_the_probes_see_what_is_not_hidden(pair: Pair) -> None:
    """Else the property above would hold of a partnership that answers nothing."""
    shown = pair.hiding.everything(asks(pair.hiding, pair.asker), TOM)
    assert shown.items
    unhidden = pair.hiding.search(
        asks(pair.hiding, "ST1"), PersonQuery({"family": "Plain"}, born=(BORN, BORN))
    )
    assert [one.record.person for one in unhidden.persons] == [MUM]


def test_every_match_weighs_as_if_the_hidden_were_not_there(pair: Pair) -> None:
    """Scores too: a person who is hidden, however unlikely, takes no share of the others' odds."""
    for given_name, family, postcode in product(
        (None, "Tom", "Una"), (None, "Open", "Plain", "Hidden"), (None, ["BS3 1AA"], ["BS2 8AA"])
    ):
        told = {"given": given_name, "family": family, "postcode": postcode, "birth_date": BORN}
        fields = {name: value for name, value in told.items() if value}
        one, two = (
            answer(sharing, pair.asker, lambda s, r, f=fields: s.match(r, f))
            for sharing in (pair.hiding, pair.lacking)
        )
        assert one == two, sorted(fields)
