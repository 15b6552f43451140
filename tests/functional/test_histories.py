"""Some histories of a living partnership; tests/functional/histories.py lives through more."""

from __future__ import annotations

from tests.functional.histories import KINDS, live_through_many, read_sentence


def test_histories() -> None:
    met = live_through_many(12, 7)
    often = [kind for kind in KINDS if kind != "contradictions refused"]
    assert not [kind for kind in often if not met[kind]], met


def test_a_sentence_that_is_none_is_found_out() -> None:
    assert read_sentence("2 records came with matching run 3")[0] == "comes"
    try:
        read_sentence("something happened")
    except AssertionError:
        return
    raise AssertionError("any text is taken for a sentence")
