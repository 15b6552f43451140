"""Text that somebody typed, shown so that it cannot steer a terminal."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.visible import visible, visible_lines

SHOWN = {
    "O'Brien, Zoë (née 李)": "O'Brien, Zoë (née 李)",
    "one\ntwo": "one\\u000atwo",
    "\x1b[2J\x1b[31mred": "\\u001b[2J\\u001b[31mred",
    "safe\u202egnp.exe": "safe\\u202egnp.exe",
    "a\u2066b\u2069": "a\\u2066b\\u2069",
    "bell\x07 back\x08 del\x7f c1\x9b": "bell\\u0007 back\\u0008 del\\u007f c1\\u009b",
    "line\u2028sep\u2029": "line\\u2028sep\\u2029",
    "tag\U000e0041": "tag\\udb40\\udc41",
    "lone\ud800": "lone\\ud800",
}


@pytest.mark.parametrize("typed", SHOWN, ids=ascii)
def test_what_does_not_print_is_shown_as_its_escape(typed: str) -> None:
    assert visible(typed) == SHOWN[typed]


@given(st.text())
def test_what_is_shown_prints_and_says_the_same(typed: str) -> None:
    assert visible(typed).isprintable()
    assert visible_lines(typed).split("\n") == [visible(line) for line in typed.split("\n")]
    document = json.dumps(typed, ensure_ascii=False)
    assert json.loads(visible_lines(document)) == typed
