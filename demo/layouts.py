"""How each delimited system lays out its files: one table per system drives both the writer and
partnership.toml, so that the two cannot disagree.

Rules:
- A column is (header, field): the field a canonical one of schemas.settings, `#n` saying which part
  of a field that several columns make up.
- Gender codes, dates, encodings, capitals and separators are the system's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from demo.catalogue import ITEM_MIX

SEPARATE = ("appointment", "referral", "caseload", "admission")
"""Headings with a file of their own; the others share the file of activities."""
_STEMS = {"appointment": "appointments", "referral": "referrals", "caseload": "caseloads",
          "admission": "admissions"}  # fmt: skip


@dataclass(frozen=True)
class Layout:
    """The files of one delimited system.

    Attributes:
        columns: of the clients' file.
        genders: M, F, O, U → the system's code.
        dates: `strftime` format of dates.
        capitals: how family names are typed: `upper`, `mixed` or `as_is`.
        spaced_numbers: NHS numbers as 999 000 0000.
        clients: stem of the clients' file.
        headers: style of the item files' headers: `snake`, `words` or `joined`.
        missing: what the clients' file has for nothing.
        whole_list: each night's clients' file lists all clients there are.
    """

    columns: tuple[tuple[str, str], ...]
    genders: Mapping[str, str]
    dates: str = "%Y-%m-%d"
    delimiter: str = ","
    encoding: str = "utf-8"
    extension: str = "csv"
    capitals: str = "as_is"
    spaced_numbers: bool = False
    clients: str = "clients"
    headers: str = "snake"
    missing: str = ""
    whole_list: bool = False


ACTIONS = {"U": "upsert", "D": "deleted"}
"""What a row does, where a system says so in a column."""
_WORDS = {"M": "Male", "F": "Female", "O": "Other", "U": "Unknown"}
_DIGITS = {"M": "1", "F": "2", "O": "9", "U": "0"}
_LETTERS = {"M": "M", "F": "F", "O": "I", "U": "U"}

LAYOUTS: dict[str, Layout] = {
    "adult_avonmere": Layout(
        (("PersonID", "local_id"), ("NHSNumber", "nhs_number"), ("NHSStatus", "nhs_number_status"),
         ("Title", "name.prefix"), ("Forename", "name.given#1"), ("MiddleNames", "name.given#2"),
         ("Surname", "name.family"), ("PreviousSurname", "name.previous_family"),
         ("KnownAs", "name.known_as"), ("DateOfBirth", "birth_date"), ("Gender", "gender"),
         ("EthnicCode", "ethnicity"), ("AddressLine1", "address.line#1"),
         ("AddressLine2", "address.line#2"), ("Town", "address.line#3"),
         ("Postcode", "address.postcode"), ("UPRN", "address.uprn"),
         ("PreviousAddressLine1", "previous_address.line#1"),
         ("PreviousPostcode", "previous_address.postcode"), ("HomePhone", "phone"),
         ("Mobile", "mobile"), ("Email", "email"), ("GPPractice", "gp_practice"),
         ("NINumber", "identifier.ni"), ("Organisation", "organisation"),
         ("DateOfDeath", "death_date"), ("Deceased", "deceased"), ("LastUpdated", "as_at")),
        _WORDS, dates="%d/%m/%Y", headers="joined",
    ),
    "adult_northmoor": Layout(
        (("client_ref", "local_id"), ("nhs_no", "nhs_number"), ("last_name", "name.family"),
         ("first_name", "name.given#1"), ("middle_name", "name.given#2"), ("dob", "birth_date"),
         ("sex", "gender"), ("ethnicity", "ethnicity"), ("house_street", "address.line#1"),
         ("locality", "address.line#2"), ("town", "address.line#3"),
         ("post_code", "address.postcode"), ("uprn", "address.uprn"), ("tel", "phone"),
         ("mobile", "mobile"), ("email", "email"), ("surgery_code", "gp_practice"),
         ("ni_number", "identifier.ni"), ("date_of_death", "death_date"),
         ("maiden_name", "name.previous_family"), ("nhs_no_traced", "nhs_number_traced_on"),
         ("nhs_no_status", "nhs_number_status")),
        _DIGITS, spaced_numbers=True, missing="NULL",
    ),
    "adult_southcote": Layout(
        (("SWIFTNO", "local_id"), ("NHSNO", "nhs_number"), ("SURNAME", "name.family"),
         ("FORENAMES", "name.given#1"), ("DOB", "birth_date"), ("SEX", "gender"),
         ("ADDR1", "address.line#1"), ("ADDR2", "address.line#2"), ("ADDR3", "address.line#3"),
         ("PCODE", "address.postcode"), ("UPRN", "address.uprn"), ("PHONE", "phone"),
         ("MOBILE", "mobile"), ("GP", "gp_practice"), ("ETHNIC", "ethnicity"),
         ("DOD", "death_date"), ("NHSSTAT", "nhs_number_status")),
        _LETTERS, dates="%d-%b-%Y", delimiter="|", extension="txt", capitals="upper",
        headers="words",
    ),
    "childrens": Layout(
        (("Child ID", "local_id"), ("UPN NHS", "nhs_number"), ("NHS status", "nhs_number_status"),
         ("Forename", "name.given#1"), ("Middle name", "name.given#2"), ("Surname", "name.family"),
         ("Also known as", "name.known_as"), ("Former surname", "name.previous_family"),
         ("Birth date", "birth_date"), ("Gender", "gender"), ("Ethnicity", "ethnicity"),
         ("Address 1", "address.line#1"), ("Address 2", "address.line#2"),
         ("Address 3", "address.line#3"), ("Postcode", "address.postcode"),
         ("UPRN", "address.uprn"),
         ("Previous address", "previous_address.line#1"),
         ("Previous postcode", "previous_address.postcode"), ("Contact number", "mobile"),
         ("Home number", "phone"), ("E-mail", "email"), ("GP surgery", "gp_practice"),
         ("Authority", "organisation"), ("Address restricted", "restricted"),
         ("Died", "death_date")),
        _WORDS, dates="%d/%m/%Y", headers="words", clients="children",
    ),
    "acute_southcote": Layout(
        (("pas_number", "local_id"), ("nhs_number", "nhs_number"),
         ("nhs_status", "nhs_number_status"), ("nhs_traced", "nhs_number_traced_on"),
         ("title", "name.prefix"), ("forename", "name.given#1"), ("forename2", "name.given#2"),
         ("surname", "name.family"), ("birth_surname", "name.previous_family"),
         ("birth_date", "birth_date"), ("sex", "gender"), ("sex_at_birth", "birth_sex"),
         ("ethnic_category", "ethnicity"), ("address1", "address.line#1"),
         ("address2", "address.line#2"), ("address3", "address.line#3"),
         ("postcode", "address.postcode"), ("home_tel", "phone"), ("mobile_tel", "mobile"),
         ("email", "email"), ("gp_practice_code", "gp_practice"), ("death_date", "death_date"),
         ("death_indicator", "deceased"), ("updated", "as_at")),
        _DIGITS, dates="%Y%m%d", clients="patients", capitals="upper",
    ),
    "ambulance": Layout(
        (("CASE_PATIENT", "local_id"), ("NHS_NUMBER", "nhs_number"), ("PATIENT_NAME", "name.full"),
         ("DOB", "birth_date"), ("SEX", "gender"), ("HOME_ADDRESS", "address.full"),
         ("HOME_POSTCODE", "address.postcode"), ("UPRN", "address.uprn"),
         ("CONTACT_NUMBER", "mobile"), ("NHS_NUMBER_STATUS", "nhs_number_status")),
        _LETTERS, dates="%d/%m/%Y", clients="patients", headers="snake",
    ),
    "mental_health": Layout(
        (("ClientID", "local_id"), ("NHSNumber", "nhs_number"), ("NHSTrace", "nhs_number_status"),
         ("TraceDate", "nhs_number_traced_on"), ("Prefix", "name.prefix"),
         ("GivenName1", "name.given#1"), ("GivenName2", "name.given#2"),
         ("FamilyName", "name.family"),
         ("PreferredName", "name.known_as"), ("FormerName", "name.previous_family"),
         ("BirthDate", "birth_date"), ("GenderCode", "gender"), ("EthnicCategory", "ethnicity"),
         ("Addr1", "address.line#1"), ("Addr2", "address.line#2"), ("Addr3", "address.line#3"),
         ("PostCode", "address.postcode"), ("PrevAddr1", "previous_address.line#1"),
         ("PrevPostCode", "previous_address.postcode"), ("Landline", "phone"), ("Mobile", "mobile"),
         ("Email", "email"), ("PracticeCode", "gp_practice"), ("DeathDate", "death_date"),
         ("Restricted", "restricted"), ("Updated", "as_at"), ("Change", "action")),
        _DIGITS, headers="joined",
    ),
    "community": Layout(
        (("Patient Number", "local_id"), ("NHS Number", "nhs_number"),
         ("NHS Number Status", "nhs_number_status"), ("Surname", "name.family"),
         ("Forename", "name.given#1"), ("Second Forename", "name.given#2"),
         ("Known As", "name.known_as"), ("Previous Surname", "name.previous_family"),
         ("Date of Birth", "birth_date"), ("Sex", "gender"), ("Ethnic Origin", "ethnicity"),
         ("Address", "address.line#1"), ("District", "address.line#2"), ("Town", "address.line#3"),
         ("Postcode", "address.postcode"), ("Telephone", "phone"), ("Mobile", "mobile"),
         ("Email", "email"), ("GP Practice", "gp_practice"), ("Service", "organisation"),
         ("Hospital Number", "identifier.acute_royal"), ("CHI Number", "identifier.chi"),
         ("Date of Death", "death_date"), ("Sensitive", "restricted")),
        _WORDS, dates="%d.%m.%Y", delimiter="|", encoding="latin-1", extension="txt",
        clients="caseload_patients", headers="words", spaced_numbers=True,
    ),
    "hospice": Layout(
        (("No", "local_id"), ("First name", "name.given#1"), ("Last name", "name.family"),
         ("Likes to be called", "name.known_as"), ("Born", "birth_date"), ("M/F", "gender"),
         ("Street", "address.line#1"), ("Village or area", "address.line#2"),
         ("Town", "address.line#3"), ("Postcode", "address.postcode"), ("Phone", "phone"),
         ("Mobile", "mobile"), ("Email", "email"), ("GP", "gp_practice"), ("NHS no", "nhs_number"),
         ("NHS no checked", "nhs_number_status"), ("Hospital no", "identifier.acute_royal"),
         ("Died on", "death_date")),
        {"M": "m", "F": "f", "O": "other", "U": "?"}, dates="%d/%m/%Y", capitals="mixed",
        clients="register", headers="words", spaced_numbers=True, missing="N/A", whole_list=True,
    ),
}  # fmt: skip

ITEM_COLUMNS: tuple[tuple[str, str], ...] = (
    ("item id", "item_id"), ("client id", "local_id"), ("type", "heading"), ("code", "code"),
    ("description", "display"), ("notes", "text"), ("status", "status"), ("start", "start"),
    ("end", "end"), ("worker", "author"), ("label", "sensitivity"),
)  # fmt: skip
"""Columns of every item file; files of one heading lack `type`."""

STAFF_COLUMNS: tuple[tuple[str, str], ...] = (
    ("staff_id", "staff_id"), ("organisation", "organisation"), ("role", "role"), ("name", "name"),
    ("team", "team"), ("start_date", "start"), ("leave_date", "end"), ("rota", "rota"),
)  # fmt: skip


def header_of(words: str, style: str) -> str:
    """An item column's header in a system's style."""
    if style == "snake":
        return words.replace(" ", "_")
    return words.title().replace(" ", "") if style == "joined" else words.capitalize()


def item_files(system: str) -> dict[str, tuple[str, ...]]:
    """Stem of each item file of a delimited system → the headings in it."""
    headings = tuple(ITEM_MIX[system])
    files = {_STEMS[h]: (h,) for h in headings if h in SEPARATE}
    rest = tuple(h for h in headings if h not in SEPARATE)
    return files | ({"activity": rest} if rest else {})
