"""Standardising names and contacts, columnar: text as sent becomes comparable text.

Rules:
- Every function takes an Arrow string array of distinct values and gives one of the same length
  (`full_name` three); nulls stay null, and what carries no evidence (placeholders, test patients,
  impossible numbers) becomes null.
- The work is done by Arrow kernels. Callers dictionary-encode first, so that each distinct value
  is standardised once. What only letters beyond ASCII need is done to those values alone.
- Standardising twice gives what standardising once gives.
- A value is never rewritten into another name: that MacDonald and McDonald are one family is said
  by a key of their own (`family_key`).
- Telephones, addresses, birth dates and sounds have modules of their own, beside this one.
- `VERSION` goes into the model's hash and into that of what a link reads: kept features and link
  state of another version are made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from schemas.errors import InvalidValue

VERSION = 2
"""Raise it whenever any value, date, telephone, address, key or sound comes out otherwise than
before, here or in the modules beside this one: tests/linkage/test_standardised_version.py fails
until then."""

TITLES = (
    "MR", "MRS", "MISS", "MS", "MX", "DR", "PROF", "REV", "SIR", "DAME", "LADY", "LORD", "MASTER",
    "MSTR", "DOCTOR", "PROFESSOR", "REVD", "REVEREND", "CAPT", "CLLR", "HON",
)  # fmt: skip
SUFFIXES = (
    "JR", "SR", "JNR", "SNR", "JUNIOR", "SENIOR", "II", "III", "ESQ", "OBE", "MBE", "CBE", "PHD",
)  # fmt: skip
GIVEN_PLACEHOLDERS = (
    "BABY", "BABYGIRL", "BABYBOY", "BABYOF", "UNKNOWN", "UNKOWN", "UNK", "NK", "NOTKNOWN", "NA",
    "NONE", "NONAME", "NULL", "NOFIRSTNAME", "TEST", "MALE", "FEMALE", "BOY", "GIRL", "INFANT",
    "TWIN", "TWINONE", "TWINTWO", "XX", "XXX", "ZZZ", "DUMMY", "PATIENT", "DONOTUSE", "NOTGIVEN",
    "UNBORN", "NEWBORN", "MR", "MRS", "MISS", "TBC", "DELETED", "DUPLICATE",
)  # fmt: skip
FAMILY_PLACEHOLDERS = (
    "UNKNOWN", "UNKOWN", "UNK", "NK", "NOTKNOWN", "NA", "NONE", "NONAME", "NULL", "NOSURNAME",
    "TEST", "TESTPATIENT", "XX", "XXX", "XXTEST", "ZZZ", "ZZZTEST", "DUMMY", "PATIENT", "DONOTUSE",
    "NOTGIVEN", "ANONYMOUS", "MR", "MRS", "MISS", "TBC", "DELETED", "DUPLICATE",
)  # fmt: skip
_APOSTROPHES = "[\u2018\u2019\u02bc\u2032\u00b4\u02bb\uff07]"
_ASCII_APOSTROPHES = ("'", "`")
_SPELT_OUT = (
    ("Ł", "L"), ("Ø", "O"), ("Đ", "D"), ("Ð", "D"), ("Ħ", "H"), ("Æ", "AE"), ("Œ", "OE"),
    ("Þ", "TH"), ("ẞ", "SS"), ("ß", "SS"), ("Ə", "A"), ("I\u0307", "I"),
)  # fmt: skip
PARTICLES = (
    "VAN", "VON", "DE", "DER", "DEN", "DA", "DOS", "DI", "DU", "LA", "LE", "EL", "AL", "BIN",
    "BINT", "IBN", "ABU", "MAC", "MC", "O", "ST", "SAN", "TEN", "TER", "DEL",
)  # fmt: skip
"""Parts of family names that many families share: no name by themselves."""
_AFTER_O = (
    "BRIEN", "BRYAN", "BYRNE", "CALLAGHAN", "CONNELL", "CONNOR", "DEA", "DOHERTY", "DONNELL",
    "DONOGHUE", "DONOVAN", "DOWD", "DRISCOLL", "DWYER", "FARRELL", "FLAHERTY", "FLYNN", "GORMAN",
    "GRADY", "HAGAN", "HALLORAN", "HANLON", "HARA", "HARE", "KANE", "KEEFE", "KEEFFE", "LEARY",
    "LOUGHLIN", "MAHONY", "MAHONEY", "MALLEY", "MARA", "NEAL", "NEIL", "NEILL", "REGAN", "REILLY",
    "RIORDAN", "ROURKE", "SHAUGHNESSY", "SHEA", "SULLIVAN", "TOOLE",
)  # fmt: skip
"""What follows a lone O in a family name; before anything else an O is an initial."""
STREET_WORDS = {
    "RD": "ROAD", "ST": "STREET", "STR": "STREET", "AVE": "AVENUE", "AV": "AVENUE", "CL": "CLOSE",
    "CLS": "CLOSE", "CRES": "CRESCENT", "CRESC": "CRESCENT", "CT": "COURT", "CRT": "COURT",
    "DR": "DRIVE", "DRV": "DRIVE", "GDNS": "GARDENS", "GDN": "GARDENS", "GDS": "GARDENS",
    "GRN": "GREEN", "GRO": "GROVE", "GR": "GROVE", "LN": "LANE", "PDE": "PARADE",
    "PL": "PLACE", "PK": "PARK", "SQ": "SQUARE", "TER": "TERRACE", "TERR": "TERRACE",
    "TCE": "TERRACE", "HSE": "HOUSE", "APT": "FLAT", "APARTMENT": "FLAT",
    "APPT": "FLAT", "FLT": "FLAT", "UNIT": "FLAT", "BLDG": "BUILDING", "CTTG": "COTTAGE",
    "BVD": "BOULEVARD", "BLVD": "BOULEVARD", "MT": "MOUNT", "GT": "GREAT", "UPR": "UPPER",
    "LWR": "LOWER", "NTH": "NORTH", "STH": "SOUTH",
}  # fmt: skip

_TITLE, _SUFFIX = (f"(?:{'|'.join(words)})" for words in (TITLES, SUFFIXES))
_FORMERLY = "(?:NEE|FORMERLY|PREVIOUSLY|KNOWN AS|AKA|FKA|ALIAS)"
_QUOTE = r"\"\x{201C}-\x{201F}\x{AB}\x{BB}"
_ASIDE = rf"\([^)]*\)?|\[[^\]]*\]?|\{{[^}}]*\}}?|[{_QUOTE}][^{_QUOTE}]*[{_QUOTE}]?"
"""A part set aside by brackets or double quotation marks, closed or not."""
_BEFORE_NAME = rf"^(?:{_TITLE} )+"
_AFTER_NAME = rf"(?: {_SUFFIX})*(?: {_FORMERLY} .*)?(?: {_SUFFIX})*$"


def _replace(array: pa.Array, pattern: str, replacement: str) -> pa.Array:
    return pc.replace_substring_regex(array, pattern=pattern, replacement=replacement)


def _null_where(array: pa.Array, mask: pa.Array) -> pa.Array:
    return pc.if_else(pc.fill_null(mask, False), pa.scalar(None, pa.string()), array)


def _null_if_empty(array: pa.Array) -> pa.Array:
    return _null_where(array, pc.equal(array, ""))


def _beyond_ascii(array: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The array with the values that hold other than ASCII changed."""
    return _where(pc.invert(pc.string_is_ascii(array)), array, change)


def _where(mask: pa.Array, array: pa.Array, change: Callable[[pa.Array], pa.Array]) -> pa.Array:
    """The array with the values of the mask changed; the others cost nothing."""
    mask = pc.fill_null(mask, False)
    if not pc.any(mask, min_count=0).as_py():
        return array
    return pc.replace_with_mask(array, mask, change(pc.filter(array, mask)))


def _plain(array: pa.Array) -> pa.Array:
    """Letters of other alphabets' capitals and accents as A-Z, where they have such a form."""
    text = _replace(pc.utf8_normalize(array, form="NFKD"), r"\p{M}", "")
    text = pc.utf8_upper(text)
    for sent, plain in _SPELT_OUT:
        text = pc.replace_substring(text, pattern=sent, replacement=plain)
    return text


def plain_upper(array: pa.Array) -> pa.Array:
    """Upper case without accents: `Müller-Żak` → `MULLER-ZAK`; ł, ø, ß and their like spelt out."""
    return pc.ascii_upper(_beyond_ascii(array, _plain))


def bytes_of(array: pa.Array) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int64]]:
    """The UTF-8 of all values, one after the other, and where each begins and ends: (n + 1,).

    A null is as long as the empty text.
    """
    whole = pc.fill_null(pc.cast(array, pa.large_string()), "")
    if not len(whole) or whole.buffers()[2] is None:
        return np.zeros(0, np.uint8), np.zeros(len(whole) + 1, np.int64)
    offsets = np.frombuffer(whole.buffers()[1], np.int64)[whole.offset :][: len(whole) + 1]
    data = np.frombuffer(whole.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
    return data, offsets - offsets[0]


def without_apostrophes(array: pa.Array) -> pa.Array:
    """Texts without apostrophes of any kind, so that what they part is joined."""
    for mark in _ASCII_APOSTROPHES:
        array = pc.replace_substring(array, pattern=mark, replacement="")
    return _beyond_ascii(array, lambda text: _replace(text, _APOSTROPHES, ""))


def _bare(array: pa.Array, kept: str = "") -> pa.Array:
    """Words of A-Z, and of the marks to keep, without what brackets or quotation marks set aside.

    Where nothing else is left, what was set aside is the name.
    """
    text = plain_upper(without_apostrophes(array))
    outside = _replace(text, _ASIDE, " ")
    text = pc.if_else(pc.match_substring_regex(outside, "[A-Z]"), outside, text)
    return pc.utf8_trim_whitespace(_replace(text, rf"[^A-Z{kept}]+", " "))


def name_words(array: pa.Array) -> pa.Array:
    """A name as words of A-Z with single spaces: titles, suffixes, digits and punctuation gone.

    Apostrophes join (`O'Brien` → `OBRIEN`); hyphens and full stops part (`Smith-Jones` →
    `SMITH JONES`, `J.P.` → `J P`). What brackets, quotation marks, "née" or "known as" add is left
    out (see `former_name`). Titles count in front of a name only, suffixes behind one only: Lord,
    Master and Senior are surnames too.
    """
    if array.null_count == len(array):
        return pc.cast(array, pa.string())
    words = _bare(array)
    for pattern in (_BEFORE_NAME, _AFTER_NAME):
        words = _replace(words, pattern, "")
    return _null_if_empty(words)


def former_name(array: pa.Array) -> pa.Array:
    """The words that a name field adds in brackets or after "née", "formerly", "known as": a former
    or other name (`Smith (née Jones)` → `JONES`); null where it adds none."""
    text = plain_upper(without_apostrophes(array))
    if not pc.any(pc.match_substring_regex(text, rf"[(\[]|{_FORMERLY}"), min_count=0).as_py():
        return pa.nulls(len(array), pa.string())
    aside = rf"[A-Z][^A-Z(\[]*[(\[][^A-Z]*(?:{_FORMERLY}[^A-Z]+)?(?P<name>[A-Z][^)\]]*)"
    after = rf"[A-Z][^A-Z]+{_FORMERLY}[^A-Z]+(?P<name>[A-Z][^()\[\]]*)"
    found = [pc.struct_field(pc.extract_regex(text, pattern=p), "name") for p in (aside, after)]
    return name_words(pc.coalesce(*found))


def family_key(words: pa.Array) -> pa.Array:
    """A key that the usual writings of one family name share, from its words.

    Spaces go; MAC and MC are one, so are SAINT and ST (`MAC DONALD`, `MCDONALD` → `MCDONALD`). A
    key, not a name: `MACHIN` becomes `MCHIN`, which no other name does.
    """
    text = pc.replace_substring(words, pattern=" ", replacement="")
    text = _replace(text, "^MAC([A-Z]{3})", r"MC\1")
    return _null_if_empty(_replace(text, "^SAINT([A-Z]{3})", r"ST\1"))


_IN_FULL = "|".join(p for p in PARTICLES if p not in {"O", "ST", "SAN"})
_AROUND_NAME = (
    (rf"[ ,]+{_FORMERLY}[ ,].*$", ""),
    (rf"(?:[ ,]+(?:{'|'.join(w for w in SUFFIXES if w != 'SENIOR')})|,[ ,]*{_TITLE})+$", ""),
    ("([A-Z][ ,]+[A-Z-]+)[ ,]+SENIOR$", r"\1"),
)
"""What stands behind an undivided name. Senior is a surname where it is the second word."""
_FULL_NAME = (
    r"^(?P<given>[A-Z-]+)(?:(?: (?P<middle>[A-Z -]*?))?? "
    rf"(?P<family>(?:(?:{_IN_FULL}) )*(?:O (?:{'|'.join(_AFTER_O)})|(?:ST |SAN )?[A-Z-]+)))?$"
)
_FAMILY_IN_CAPITALS = r"^(\p{Lu}[\p{Lu}'\x{2019}-]{2,}) +(\p{Lu}[\p{Ll}'\x{2019}.][^,]*)$"


def full_name(array: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Given, middle and family names of undivided names, each as words (see `name_words`).

    `Dr John Paul Smith-Jones` and `SMITH-JONES, John Paul` give JOHN, PAUL, SMITH JONES; so does
    `SMITH-JONES John Paul`, as a first word in capitals before others in small letters is a family
    name. Particles go with the family name (`VAN DER BERG`). A single word is a given name, one
    before a comma a family name. Placeholders are left for `word` and `joined` to find.
    """
    text = _replace(array, rf"(?i)^\s*(?:{_TITLE}\b[.\s]+)+(\S)", r"\1")
    text = _bare(_replace(text, _FAMILY_IN_CAPITALS, r"\1, \2"), kept=",-")
    for pattern, kept in _AROUND_NAME:
        text = _replace(text, pattern, kept)
    text = _where(pc.match_substring_regex(text, "[,-]"), text, _joints)
    turned = pc.match_substring(text, pattern=",")
    family = pc.struct_field(pc.extract_regex(text, pattern="^(?P<family>[^,]*),"), "family")
    rest = _where(turned, text, lambda t: _replace(t, f"^[^,]*,(?:{_TITLE} )*", ""))
    natural = pc.extract_regex(rest, pattern=_FULL_NAME)
    given, middle = pc.struct_field(natural, "given"), pc.struct_field(natural, "middle")
    behind = pc.struct_field(natural, "family")
    # After "SMITH," every further word is a forename.
    middle = pc.if_else(
        turned,
        _spaced(
            pc.binary_join_element_wise(pc.fill_null(middle, ""), pc.fill_null(behind, ""), " ")
        ),
        middle,
    )
    family = pc.if_else(turned, family, behind)
    return _spaced(given), _spaced(middle), _spaced(family)


def _joints(text: pa.Array) -> pa.Array:
    """Hyphens and commas without spaces around them; only the first comma parts a name."""
    text = _replace(text, " *-[ -]*", "-")
    text = _replace(text, "(^|[ ,])-+|-+($|[ ,])", r"\1\2")
    text = _replace(text, " *,[ ,]*", ",")
    return _replace(_replace(text, "^([^,]*,[^,]*),", r"\1 "), "^,+", "")


def _spaced(array: pa.Array) -> pa.Array:
    """Hyphens as spaces; null where nothing is left."""
    text = pc.replace_substring(array, pattern="-", replacement=" ")
    return _null_if_empty(pc.utf8_trim_whitespace(text))


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


def words_replaced(array: pa.Array, full: Mapping[str, str]) -> pa.Array:
    """Texts of words with single spaces, each word that `full` holds replaced by what it says.

    Each distinct word is looked up once.
    """
    lists = pc.split_pattern(pc.fill_null(array, ""), pattern=" ")
    words = pc.dictionary_encode(lists.flatten())
    short = pa.array(list(full), pa.string())
    known = pc.take(
        pa.array(list(full.values()), pa.string()), pc.index_in(words.dictionary, short)
    )
    spelt = pc.coalesce(known, words.dictionary).take(words.indices)
    offsets = pc.subtract(lists.offsets, lists.offsets[0])
    text = pc.binary_join(pa.ListArray.from_arrays(offsets, spelt), " ")
    return pc.if_else(pc.is_valid(array), text, pa.scalar(None, pa.string()))


def address(array: pa.Array) -> pa.Array:
    """An address as words: number and street first, abbreviations spelt out, town left in."""
    text = _replace(plain_upper(without_apostrophes(array)), r"[^A-Z0-9]+", " ")
    if _anywhere(text, "ST "):
        text = _replace(text, r"(^|[0-9][A-Z]? )ST ", r"\1SAINT ")
    text = words_replaced(pc.utf8_trim_whitespace(text), STREET_WORDS)
    if _anywhere(text, "NO FIXED", "NFA", "UNKNOWN"):
        nowhere = r"\bNO FIXED (?:ABODE|ADDRESS)\b|^NFA\b|^UNKNOWN\b"
        text = _null_where(text, pc.match_substring_regex(text, nowhere))
    return _null_if_empty(text)


def _anywhere(array: pa.Array, *texts: str) -> bool:
    """Whether some value holds one of the texts: cheaper than a pattern that needs one of them."""
    held = (pc.any(pc.match_substring(array, pattern=text), min_count=0) for text in texts)
    return any(found.as_py() for found in held)


def street(addresses: pa.Array) -> pa.Array:
    """From a standardised address, flat, number and street: the words up to the street's kind
    (`12 PARK ROAD`, not `12 PARK`: the last of several kinds in a row counts)."""
    kinds = sorted(set(STREET_WORDS.values()) - {"FLAT", "HOUSE", "COURT"})
    kind = rf"(?:{'|'.join((*kinds, 'WAY', 'HILL', 'WALK', 'MEWS', 'RISE', 'VIEW', 'ROW'))})"
    pattern = rf"^(?P<street>.*?\b{kind}(?: {kind})*\b)"
    found = pc.struct_field(pc.extract_regex(addresses, pattern=pattern), "street")
    return pc.coalesce(found, addresses)


def uprn(array: pa.Array) -> pa.Array:
    """Unique Property Reference Numbers: 1 to 12 digits without leading zeros, else null.

    Read are `100023336956`, `000012345678`, `UPRN 1234` and a spreadsheet's `1234.0`. Nought and
    numbers of nines alone are fillings.
    """
    found = pc.extract_regex(
        pc.utf8_trim_whitespace(pc.ascii_upper(array)),
        pattern=r"^(?:UPRN[ :]*)?0*(?P<number>[0-9]{1,12})(?:\.0+)?$",
    )
    number = pc.struct_field(found, "number")
    filling = pc.match_substring_regex(number, "^(?:0+|9+)$")
    return pc.if_else(pc.fill_null(filling, False), pa.scalar(None, pa.string()), number)


def no_particle(words: pa.Array) -> pa.Array:
    """Null where the word is only a particle, or a placeholder, of family names."""
    return _null_where(
        words, pc.is_in(words, value_set=pa.array((*PARTICLES, *FAMILY_PLACEHOLDERS), pa.string()))
    )


_NOTHING = (
    r"^(?:|N/?K|N/?A|NIL|NONE|NULL|UNK(?:NOWN)?|UNKOWN|NOTKNOWN|TBC|TBA|TEST|DUMMY|REFUSED|DECLINED|"
    r"ANONYMOUS|NOT (?:KNOWN|GIVEN|STATED|APPLICABLE|RECORDED|PROVIDED)|[-.?*_X0 ]+)$"
)
_ONE_DIGIT = "(?:" + "|".join(f"{digit}+" for digit in range(10)) + ")"
_NO_EVIDENCE = {
    "given": rf"^(?:{'|'.join(GIVEN_PLACEHOLDERS)}|(?:ZZ|XX).*)$",
    "family": rf"^(?:{'|'.join(FAMILY_PLACEHOLDERS)}|(?:ZZ|XX).*)$",
    "birth_date": r"^(?:19000101|18000101|01011900|18991230|18991231|0+|9999.*)$",
    "nhs_number": rf"^(?:{_ONE_DIGIT}|0?123456789|1234567890|1234567881|0?987654321|9876543210)$",
    "identifier": rf"^(?:{_ONE_DIGIT}|0*123456789?|1234567890)$",
    "telephone": rf"^(?:44|0)?(?:[0-9]?{_ONE_DIGIT}|7?123456789[0-9]?)$",
    "email": "^(?:NONE|NO|NOEMAIL|UNKNOWN|NA|TEST|NOREPLY|DONOTREPLY).*$",
    "address": "^(?:NFA|NOFIXED(?:ABODE|ADDRESS).*|UNKNOWN.*|ADDRESSUNKNOWN|NOTKNOWN.*)$",
    "postcode": "^(?:ZZ99.*|XX.*|AA11AA|A11AA|ZZ.*)$",
    "practice": "^(?:V8199[789]|V99999|A99999|[XZ]9{4,5})$",
}
"""Field → the placeholders of its kind, in capitals and digits without other signs.

Practices: the NHS Data Dictionary's codes for "no registered GP practice" (V81997), "not
applicable" (V81998) and "not known" (V81999). Postcodes: ZZ99 are the pseudo-postcodes of no fixed
abode and of other countries."""


def no_evidence(array: pa.Array, field: str) -> pa.Array:
    """Whether each value says only that nothing is known: (n,) booleans, false for null.

    Args:
        array: values as sent, or standardised.
        field: a key of the table above: given, family, birth_date, nhs_number, identifier,
            telephone, email, address, postcode or practice.

    Raises:
        InvalidValue: there is no such field.
    """
    if field not in _NO_EVIDENCE:
        raise InvalidValue(f"no placeholders for '{field}'; there are {', '.join(_NO_EVIDENCE)}")
    text = pc.utf8_trim_whitespace(plain_upper(array))
    compact = _replace(text, "[^A-Z0-9]+", "")
    nothing = pc.match_substring_regex(text, _NOTHING)
    of_field = pc.match_substring_regex(compact, _NO_EVIDENCE[field])
    return pc.fill_null(pc.or_(nothing, of_field), False)
