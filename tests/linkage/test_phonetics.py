"""What names sound like: published vectors, families of spellings, and properties."""

from __future__ import annotations

import jellyfish
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from linkage import standardise
from linkage.phonetics import SOUNDS, initial, key, prefix, soundex

ARCHIVES = [
    ("Washington", "W252"), ("Wu", "W000"), ("DeSmet", "D253"), ("Gutierrez", "G362"),
    ("Pfister", "P236"), ("Jackson", "J250"), ("Tymczak", "T522"), ("VanDeusen", "V532"),
    ("Ashcraft", "A261"), ("Lee", "L000"), ("Rupert", "R163"), ("Robert", "R163"),
    ("Rubin", "R150"), ("Honeyman", "H555"),
]  # fmt: skip
"""US National Archives, "Soundex System", and the usual examples of its rules."""
ALIKE = (
    "Sean Shaun Shawn", "Catherine Katherine Kathryn Katharine", "Philip Filip Phillip",
    "Mohammed Muhammad Mohamed Mohammad Muhammed", "Yusuf Yousef Youssef Josef",
    "Sergei Sergey Sergej", "Schmidt Schmitt Smith Smyth", "Zhang Chang Cheung", "Xu Hsu Shu",
    "Wright Right", "Knight Night", "Thompson Thomson Tomson", "McDonald MacDonald Mac-Donald",
    "Stephen Steven Stefan", "Vaughan Vaughn", "Geoffrey Jeffrey", "Khan Kahn Kan",
    "Alexander Aleksander", "Xenia Ksenia", "Mitchell Michell", "Ahmed Ahmet Ahmad",
    "Christopher Kristopher Kristoffer", "Singh Sing", "Ewa Eva", "Roger Rodger", "Djamal Jamal",
    "Qasim Kasim Qassim", "Qing Ching", "Wojciech Vojcech", "Nguyen Nguen Nguy\u1ec5n",
    "Hussain Hussein Husein", "Lee Li Leigh", "Clark Clarke", "Reid Reed Read", "Ali Aly",
    "Andrzej Andrej", "Tsang Zang", "O'Neill ONeil", "M\u00fcller Muller Mueller", "Lamb Lam",
    "Schwarz Schwartz",
)  # fmt: skip
UNLIKE = ("Smith Jones", "Ann Alan", "Emma Enna", "Peter Meter", "Hannah Anna", "Patel Patrick")

names = st.lists(st.text(max_size=12) | st.from_regex("[A-Z]{1,12}", fullmatch=True), max_size=8)


@pytest.mark.parametrize(("name", "code"), ARCHIVES)
def test_soundex_of_the_archives(name: str, code: str) -> None:
    assert soundex(pa.array([name])).to_pylist() == [code]


@given(st.lists(st.from_regex("[A-Z]{1,12}", fullmatch=True), max_size=8))
def test_soundex_is_that_of_another_library(sent: list[str]) -> None:
    array = pa.array(sent, pa.string())
    assert soundex(array).to_pylist() == [jellyfish.soundex(name) for name in sent]


@pytest.mark.parametrize("family", ALIKE)
def test_spellings_of_one_name_sound_alike(family: str) -> None:
    assert len(set(key(pa.array(family.split())).to_pylist())) == 1


@pytest.mark.parametrize("pair", UNLIKE)
def test_other_names_sound_otherwise(pair: str) -> None:
    assert len(set(key(pa.array(pair.split())).to_pylist())) == 2


@settings(deadline=None)  # the first call makes the table
@given(names, st.integers(0, 3))
def test_a_name_has_one_key_wherever_it_stands(sent: list[str], cut: int) -> None:
    array = pa.array(sent, pa.string())
    for function in (key, soundex):
        alone = [function(pa.array([name])).to_pylist()[0] for name in sent]
        assert function(array).to_pylist() == alone
        assert function(array.slice(cut)).to_pylist() == alone[cut:]


@settings(deadline=None)
@given(names)
def test_a_key_is_short_and_there_where_a_letter_is(sent: list[str]) -> None:
    array = pa.array(sent, pa.string())
    bare = standardise.plain_upper(array).to_pylist()
    for name, found in zip(bare, key(array).to_pylist(), strict=True):
        if not any("A" <= letter <= "Z" for letter in name):
            assert found is None
        elif found is not None:
            assert 1 <= len(found) <= SOUNDS
            assert found.isascii()
            assert found.isupper()


def test_nothing_has_no_key() -> None:
    sent = pa.array([None, "", "12", "\u0414\u0438\u043c\u0430"])
    for function in (key, soundex):
        assert function(sent).to_pylist() == [None] * 4
        assert function(pa.array([], pa.string())).to_pylist() == []


def test_prefix_and_initial() -> None:
    sent = pa.array(["SMITH", "LI", "", None])
    assert prefix(sent, 3).to_pylist() == ["SMI", "LI", None, None]
    assert initial(sent).to_pylist() == ["S", "L", None, None]
