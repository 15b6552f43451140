"""The error tree: exit codes, and shapes that never show a value."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas import errors
from schemas.errors import EXIT_CODES, CommonthreadError, FeedRefused, exit_code, shape_of


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("", "empty"),
        ("a", "1 character: letters"),
        ("943 476", "7 characters: digits, spaces"),
        ("17/05/1980", "10 characters: digits, punctuation"),
        ("O'Neill 2", "9 characters: letters, digits, spaces, punctuation"),
        ("½", "1 character: digits"),
        ("\x00", "1 character: punctuation"),
    ],
)
def test_shape(text: str, shape: str) -> None:
    assert shape_of(text) == shape


@given(st.text(min_size=1))
@settings(max_examples=50, deadline=None)
def test_every_text_has_a_shape(text: str) -> None:
    assert shape_of(text).partition(": ")[2]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.SettingsError("x", ["y"]), 3),
        (FeedRefused("empty", "nothing"), 4),
        (errors.NotUsable("x"), 4),
        (errors.InvalidValue("x"), 4),
        (errors.NotFound("x"), 5),
        (errors.NotPermitted("x"), 6),
        (errors.WorkspaceBusy("x"), 7),
        (errors.WorkspaceMissing("x"), 8),
        (errors.StoreError("x"), 9),
        (errors.NeedsDecision("x"), 10),
        (CommonthreadError("x"), 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_exit_code(error: CommonthreadError, code: int) -> None:
    assert exit_code(error) == code


def test_every_class_of_error_has_an_exit_code_and_a_place_in_the_tree() -> None:
    classes = [
        cls
        for cls in vars(errors).values()
        if isinstance(cls, type) and issubclass(cls, CommonthreadError)
    ]
    for cls in set(classes) - {CommonthreadError}:
        assert any(listed in EXIT_CODES for listed in cls.__mro__), cls
        assert cls.__name__ in (errors.__doc__ or "")
