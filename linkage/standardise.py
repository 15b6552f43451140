"""Standardising, columnar: text as sent becomes comparable text, on distinct values only.

Rules:
- Every function takes an Arrow string array and gives one of the same length; nulls stay null, and
  what carries no evidence (placeholders, test patients, impossible numbers) becomes null.
- The work is done by Arrow kernels. Callers dictionary-encode first, so that each distinct value
  is standardised once.
- `VERSION` goes into the model's hash: change what a function gives, change the version.
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

VERSION = 1

TITLES = (
    "MR", "MRS", "MISS", "MS", "MX", "DR", "PROF", "REV", "SIR", "DAME", "LADY", "LORD", "MASTER",
)  # fmt: skip
SUFFIXES = ("JR", "SR", "JNR", "SNR", "JUNIOR", "SENIOR", "OBE", "MBE", "CBE")
GIVEN_PLACEHOLDERS = (
    "BABY", "BABYGIRL", "BABYBOY", "UNKNOWN", "UNKOWN", "UNK", "NK", "NOTKNOWN", "NA", "NONE",
    "TEST", "MALE", "FEMALE", "BOY", "GIRL", "INFANT", "TWIN", "TWINONE", "TWINTWO", "XX", "XXX",
    "ZZZ", "DUMMY", "PATIENT", "DONOTUSE", "NOTGIVEN", "UNBORN", "NEWBORN",
)  # fmt: skip
FAMILY_PLACEHOLDERS = (
    "UNKNOWN", "UNKOWN", "UNK", "NK", "NOTKNOWN", "NA", "NONE", "TEST", "TESTPATIENT", "XX", "XXX",
    "XXTEST", "ZZZ", "ZZZTEST", "DUMMY", "PATIENT", "DONOTUSE", "NOTGIVEN", "ANONYMOUS",
)  # fmt: skip
_JOINING = "['`.\u2018\u2019\u02bc\u2032\u00b4]"
"""Marks inside a word: apostrophes of every kind, and the full stop of an abbreviation."""
_SPELT_OUT = (
    ("Ł", "L"), ("Ø", "O"), ("Đ", "D"), ("Ð", "D"), ("Ħ", "H"), ("Æ", "AE"), ("Œ", "OE"),
    ("Þ", "TH"), ("ẞ", "SS"),
)  # fmt: skip
PARTICLES = (
    "VAN", "VON", "DE", "DER", "DEN", "DA", "DOS", "DI", "DU", "LA", "LE", "EL", "AL", "BIN",
    "BINT", "IBN", "ABU", "MAC", "MC", "O", "ST", "SAN", "TEN", "TER", "DEL",
)  # fmt: skip
"""Parts of family names that many families share: no name by themselves."""
_STREET_WORDS = {
    "RD": "ROAD", "ST": "STREET", "AVE": "AVENUE", "AV": "AVENUE", "CL": "CLOSE",
    "CRES": "CRESCENT", "CT": "COURT", "DR": "DRIVE", "GDNS": "GARDENS", "GRN": "GREEN",
    "GRO": "GROVE", "LN": "LANE",
    "PL": "PLACE", "PK": "PARK", "SQ": "SQUARE", "TER": "TERRACE", "TERR": "TERRACE",
    "HSE": "HOUSE", "APT": "FLAT", "APARTMENT": "FLAT", "UNIT": "FLAT",
}  # fmt: skip


def _replace(array: pa.Array, pattern: str, replacement: str) -> pa.Array:
    return pc.replace_substring_regex(array, pattern=pattern, replacement=replacement)


def _null_where(array: pa.Array, mask: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(mask, False), pa.scalar(None, pa.string()), array)


def _null_if_empty(array: pa.Array) -> pa.Array:
    return _null_where(array, pc.equal(array, ""))


def plain_upper(array: pa.Array) -> pa.Array:
    """Upper case without accents: `Müller-Żak` → `MULLER-ZAK`; ł, ø, ß and their like spelt out."""
    text = pc.utf8_upper(pc.replace_substring(array, pattern="ß", replacement="SS"))
    for sent, plain in _SPELT_OUT:
        text = pc.replace_substring(text, pattern=sent, replacement=plain)
    return _replace(pc.utf8_normalize(text, form="NFKD"), r"\p{M}", "")


def name_words(array: pa.Array) -> pa.Array:
    """A name as words of A-Z with single spaces: titles, suffixes, digits and punctuation gone.

    Apostrophes, full stops and the like join (`O'Brien` → `OBRIEN`); hyphens part
    (`Smith-Jones` → `SMITH JONES`).
    """
    text = plain_upper(_replace(array, _JOINING, ""))
    text = _replace(text, r"\(.*?\)", " ")
    text = pc.utf8_trim_whitespace(_replace(text, r"[^A-Z]+", " "))
    bare = _replace(text, rf"\b(?:{'|'.join((*TITLES, *SUFFIXES))})\b", " ")
    bare = pc.utf8_trim_whitespace(_replace(bare, r" +", " "))
    # Lord, Master and Senior are surnames too: a title alone is a name.
    return _null_if_empty(pc.if_else(pc.equal(bare, ""), text, bare))


def joined(words: pa.Array, placeholders: tuple[str, ...]) -> pa.Array:
    """Words without their spaces, or null where the whole is a placeholder or begins as a test."""
    text = pc.replace_substring(words, pattern=" ", replacement="")
    placeholder = pc.is_in(text, value_set=pa.array(placeholders, type=pa.string()))
    test = pc.match_substring_regex(text, r"^(?:ZZ|XX)")
    return _null_where(text, pc.or_(placeholder, test))


def word(words: pa.Array, index: int, placeholders: tuple[str, ...]) -> pa.Array:
    """The word at `index` (from 0), or null where there is none or it is a placeholder."""
    pattern = rf"^(?:[A-Z]+ ){{{index}}}(?P<word>[A-Z]+)"
    text = pc.struct_field(pc.extract_regex(words, pattern=pattern), "word")
    return _null_where(text, pc.is_in(text, value_set=pa.array(placeholders, type=pa.string())))


def last_word(words: pa.Array) -> pa.Array:
    """The last word where there are two or more, else null."""
    return pc.struct_field(pc.extract_regex(words, pattern=r" (?P<word>[A-Z]+)$"), "word")


def middle_word(words: pa.Array) -> pa.Array:
    """The second word where there are three or more, else null."""
    return pc.struct_field(pc.extract_regex(words, pattern=r"^[A-Z]+ (?P<word>[A-Z]+) "), "word")


def telephone(array: pa.Array) -> pa.Array:
    """A UK number as its last ten digits (`+44 117 496 0000` → `1174960000`); null when shorter
    than ten digits or of one repeated digit."""
    digits = _replace(array, r"[^0-9]+", "")
    digits = _replace(digits, r"^(?:0044|44|0)", "")
    too_short = pc.less(pc.utf8_length(digits), 10)
    same = pc.match_substring_regex(digits, r"^(?:0+|1+|2+|3+|4+|5+|6+|7+|8+|9+)$")
    tail = pc.utf8_slice_codeunits(digits, start=-10, stop=None)
    return _null_where(tail, pc.or_(too_short, same))


def email(array: pa.Array) -> pa.Array:
    """An e-mail address in lower case; null without an @ or where it says "none"."""
    text = pc.utf8_trim_whitespace(pc.utf8_lower(array))
    sound = pc.match_substring_regex(text, r"^[^@\s]+@[^@\s]+\.[a-z]+$")
    nobody = pc.match_substring_regex(text, r"^(?:none|no|noemail|unknown|na|test)@")
    return _null_where(text, pc.or_(pc.invert(sound), nobody))


def postcode(array: pa.Array) -> pa.Array:
    """A canonical postcode; null for none and for the pseudo-postcodes of no place (ZZ99)."""
    text = pc.utf8_upper(array)
    return _null_where(text, pc.or_(pc.equal(text, ""), pc.match_substring_regex(text, r"^ZZ99")))


def address(array: pa.Array) -> pa.Array:
    """An address as words: number and street first, abbreviations spelt out, town left in."""
    text = _replace(plain_upper(array), r"[^A-Z0-9]+", " ")
    text = _replace(text, r"(^|[0-9][A-Z]? )ST ", r"\1SAINT ")
    for short, full in _STREET_WORDS.items():
        text = _replace(text, rf"\b{short}\b", full)
    text = pc.utf8_trim_whitespace(_replace(text, r" +", " "))
    nowhere = pc.match_substring_regex(text, r"\bNO FIXED (?:ABODE|ADDRESS)\b|^NFA\b|^UNKNOWN\b")
    return _null_if_empty(_null_where(text, nowhere))


def street(addresses: pa.Array) -> pa.Array:
    """From a standardised address, flat, number and street: the words up to the street's kind
    (`12 PARK ROAD`, not `12 PARK`: the last of several kinds in a row counts)."""
    kinds = sorted(set(_STREET_WORDS.values()) - {"FLAT", "HOUSE", "COURT"})
    kind = rf"(?:{'|'.join((*kinds, 'WAY', 'HILL', 'WALK', 'MEWS', 'RISE', 'VIEW', 'ROW'))})"
    pattern = rf"^(?P<street>.*?\b{kind}(?: {kind})*\b)"
    found = pc.struct_field(pc.extract_regex(addresses, pattern=pattern), "street")
    return pc.coalesce(found, addresses)


def no_particle(words: pa.Array) -> pa.Array:
    """Null where the word is only a particle, or a placeholder, of family names."""
    return _null_where(
        words, pc.is_in(words, value_set=pa.array((*PARTICLES, *FAMILY_PLACEHOLDERS), pa.string()))
    )
