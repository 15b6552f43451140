"""What reports read of the log's details, once for all texts that say the same."""

from __future__ import annotations

from typing import Any

import msgspec
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from service import audit_reports_frame
from service.audit_reports_frame import _read, _read_once

SAID = st.fixed_dictionaries(
    {},
    optional={
        "team": st.sampled_from(["T1", "T2", None, 7, 0.1]),
        "shown": st.sampled_from([0, 3, True, "3", None]),
        "headings": st.sampled_from([None, [], ["a"], ["a", "b"], "a"]),
        "policies": st.sampled_from([[], ["p"], [["p"]]]),
        "escalate": st.booleans(),
        "version": st.sampled_from([0, 1, "2"]),
        "request": st.integers(0, 5).map(str),
        "unread": st.lists(st.integers(), max_size=2),
    },
)


@pytest.mark.parametrize("together", [2, 65_536])
@given(st.lists(SAID, max_size=12))
def test_every_text_is_read_as_alone(together: int, said: list[dict[str, Any]]) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(audit_reports_frame, "_TOGETHER", together)
        texts = [msgspec.json.encode(one) for one in said]
        details = pa.array([text.decode() for text in texts], pa.string())
        distinct, codes = _read_once(details)
    assert [distinct[code] for code in codes] == [_read(text) for text in texts]


def test_texts_that_differ_in_what_is_not_read_are_one() -> None:
    texts = [f'{{"request": "{n}", "team": "T1"}}' for n in range(9)] + ["", '{"team": null}']
    distinct, codes = _read_once(pa.array(texts, pa.string()))
    assert codes.tolist() == [0] * 9 + [1, 1]
    assert [one["team"] for one in distinct] == ["T1", ""]
