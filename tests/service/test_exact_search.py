"""Searching without slips: what is asked for, what is refused, what `*` and spans of days find."""

from __future__ import annotations

import time
from fnmatch import fnmatchcase
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.dates import PartialDate
from schemas.errors import InvalidSearch
from service.exact_search import _wild
from service.sharing import PersonQuery, Sharing
from tests.service.sharing_world import (
    BORN,
    TOM,
    asks,
    last_event,
)


@pytest.mark.parametrize(
    ("fields", "born"),
    [
        ({"family": "O*"}, (BORN, BORN)),
        ({"family": "Open"}, (None, None)),
        ({"given": ["Tom"]}, (BORN, BORN)),
        ({"family": "Open", "gender": "f*"}, (BORN, BORN)),
        ({"family": "Open", "address": ["x"]}, (BORN, BORN)),
    ],
)
def test_searches_that_cannot_be_made(sharing: Sharing, fields: Any, born: Any) -> None:
    with pytest.raises(InvalidSearch):
        sharing.search(asks(sharing, "ST1"), PersonQuery(fields, born=born))
    assert last_event(sharing).outcome == "failed"


@pytest.mark.parametrize(
    ("fields", "born", "wanted"),
    [
        ({"family": "Op*"}, (BORN, BORN), [TOM]),
        ({"family": "op*n"}, (BORN, BORN), [TOM]),
        ({"family": "Open", "given": ["To*"]}, (BORN, BORN), [TOM]),
        ({"family": "Open", "postcode": ["BS2*"]}, (BORN, BORN), [TOM]),
        ({"family": "Open", "postcode": ["BS9*"]}, (BORN, BORN), []),
        ({"family": "Open"}, (PartialDate("1979-01-01"), PartialDate("1981-01-01")), [TOM]),
        ({"family": "Open"}, (PartialDate("1980-05-05"), None), []),
        ({"family": "Open"}, (None, PartialDate("1980-05-03")), []),
        ({"family": "Nobody"}, (BORN, BORN), []),
    ],
)
def test_wildcards_and_spans(sharing: Sharing, fields: Any, born: Any, wanted: Any) -> None:
    matches = sharing.search(asks(sharing, "ST1"), PersonQuery(fields, born=born))
    assert [one.record.person for one in matches.persons] == wanted


@given(
    st.text("AB*", max_size=9).filter(lambda text: text.count("*") < 5),
    st.text("ABC", max_size=9).map(lambda text: f"AB{text}"),
)
def test_wildcards_stand_for_any_letters(asked: str, name: str) -> None:
    """Against shell patterns, which mean the same by `*`."""
    assert _wild("family", f"AB{asked}*").meets(name) == fnmatchcase(name, f"AB{asked}*")


def test_no_wildcard_makes_a_search_slow() -> None:
    """A pattern that goes back would take longer than anybody waits."""
    begun = time.process_time()
    for asked in ("JO" + "*" * 900 + "Z", "JO*O*O*O*O*Z"):
        assert not _wild("family", asked).meets("JO" * 200)
    assert time.process_time() - begun < 2
    with pytest.raises(InvalidSearch, match="at most"):
        _wild("family", "JO" + "*A" * 20)
