"""How often each system errs: one table, rows the kinds of error, columns the systems.

Rules:
- A rate is per 100 records *that can have the error* (`eligible` says which those are).
- Every row has a `source`: a publication, or the word "assumed". Published figures are of one
  setting each; the other columns of such a row are scaled from it by judgement.
- Names of other than British origin suffer the rows marked `minority` more often, by
  `MINORITY_FACTOR`; records of babies under one suffer the rows marked `infant` more often.
- A second record of the same person in one system errs more (`DOUBLE_FACTOR`): that is why the
  system did not notice.

Sources:
    [HJ15] Hagger-Johnson et al. 2015, BMJ Open 5:e008118: English hospital records, missed matches
        4.1 %, false matches 0.2 %; more missed for Asian, Black and Other ethnic groups, for the
        young, and where data are missing.
    [HA17] Harron et al. 2017, BMC Med Res Methodol 17:23: hospital against national demographics,
        sex or birth date wrong or missing in 0.11 %, postcode different or missing in 53 %; more
        often in infants.
    [HJ14] Hagger-Johnson et al. 2014, Health Serv Res 50:1162: two infants under one number, 0.1 %.
    [CU22] CUREd, Med Decis Making 2022, 42:999, table 1: linked by NHS number and birth date,
        telephone helpline 96.3 %, ambulance 14.4 %, emergency department 98.0 %, inpatients 99.7 %.
"""

from __future__ import annotations

from dataclasses import dataclass

from demo.partnership import SYSTEM_IDS

MINORITY_FACTOR = 1.8
"""Assumed size; the direction is [HJ15]."""
INFANT_FACTOR = 2.0
"""Assumed size; the direction is [HJ15] and [HA17]."""
DOUBLE_FACTOR = 2.5
"""Assumed."""
DOUBLE_LACKS_NUMBER = 0.40
"""Share of second records that lack the NHS number, on top of the table. Assumed."""


@dataclass(frozen=True)
class ErrorKind:
    """One row: a kind of error with its rate in every system.

    Attributes:
        field: the field of a record that it spoils.
        eligible: which records can have it, in words.
        source: where the figure comes from.
        percent: rate per 100 eligible records, in the order of `SYSTEM_IDS`.
        minority: more frequent in names of other than British origin.
        infant: more frequent in children under one.
    """

    field: str
    eligible: str
    source: str
    percent: tuple[float, ...]
    minority: bool = False
    infant: bool = False

    def rate(self, system: str) -> float:
        """The rate in a system, from 0 to 1."""
        return self.percent[SYSTEM_IDS.index(system)] / 100


_ALL, _NUMBER, _DATE = "all", "with an NHS number", "with a full birth date"
_TYPED = "where the typed name changes"

ERRORS: dict[str, ErrorKind] = {
    # councils: A, N, S, children's | acute: R, N, S | ambulance, mental h., community | GP: H, M |
    # out of hours, hospice
    "nhs_missing": ErrorKind("nhs_number", _ALL, "[CU22], councils and hospice assumed",
        (12.0, 15.0, 18.0, 20.0, 1.2, 2.0, 3.0, 50.0, 3.0, 2.5, 0.3, 0.4, 4.0, 22.0), infant=True),
    "nhs_superseded": ErrorKind("nhs_number", "whose number was replaced", "assumed",
        (60.0, 60.0, 60.0, 50.0, 30.0, 40.0, 40.0, 30.0, 30.0, 40.0, 0.0, 0.0, 20.0, 60.0)),
    "nhs_relative": ErrorKind("nhs_number", "with a number and relatives", "assumed; cf. [HJ14]",
        (0.15, 0.20, 0.20, 0.30, 0.03, 0.05, 0.08, 0.25, 0.05, 0.10, 0.0, 0.0, 0.10, 0.30)),
    "nhs_stranger": ErrorKind("nhs_number", _NUMBER, "assumed; cf. false matches of [HJ15]",
        (0.05, 0.08, 0.08, 0.05, 0.01, 0.02, 0.03, 0.10, 0.02, 0.03, 0.0, 0.0, 0.05, 0.10)),
    "nhs_wrong_digit": ErrorKind("nhs_number", _NUMBER, "assumed",
        (0.40, 0.60, 0.60, 0.50, 0.0, 0.02, 0.05, 0.40, 0.05, 0.10, 0.0, 0.0, 0.0, 1.20)),
    "nhs_transposed": ErrorKind("nhs_number", _NUMBER, "assumed",
        (0.30, 0.40, 0.40, 0.30, 0.0, 0.02, 0.03, 0.30, 0.03, 0.05, 0.0, 0.0, 0.0, 0.80)),
    "nhs_placeholder": ErrorKind("nhs_number", "without a number", "assumed",
        (0.0, 4.0, 0.0, 0.0, 0.0, 2.0, 0.0, 3.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0)),
    "birth_missing": ErrorKind("birth_date", _ALL, "assumed; hospitals [HA17]",
        (0.30, 0.40, 0.50, 0.50, 0.01, 0.02, 0.03, 4.00, 0.05, 0.05, 0.0, 0.0, 0.05, 1.00)),
    "birth_day_month": ErrorKind("birth_date", "with a day up to 12 that is not the month",
        "assumed; hospitals below [HA17]",
        (0.50, 0.60, 0.60, 0.40, 0.08, 0.10, 0.12, 0.80, 0.10, 0.15, 0.02, 0.02, 0.15, 0.80),
        infant=True),
    "birth_digit": ErrorKind("birth_date", _DATE, "assumed; hospitals [HA17]",
        (0.50, 0.60, 0.70, 0.50, 0.08, 0.10, 0.15, 1.00, 0.15, 0.20, 0.03, 0.03, 0.25, 0.90),
        infant=True),
    "birth_first_january": ErrorKind("birth_date", _DATE, "assumed",
        (0.30, 0.30, 0.40, 0.20, 0.02, 0.03, 0.05, 0.60, 0.05, 0.05, 0.02, 0.02, 0.05, 0.20),
        minority=True),
    "given_missing": ErrorKind("given", _ALL, "assumed",
        (0.0, 0.0, 0.05, 0.0, 0.0, 0.02, 0.02, 1.50, 0.0, 0.0, 0.0, 0.0, 0.05, 0.20)),
    "given_initial": ErrorKind("given", _ALL, "assumed",
        (0.40, 0.50, 0.60, 0.20, 0.10, 0.20, 0.25, 2.00, 0.15, 0.20, 0.05, 0.05, 0.20, 1.50)),
    "given_nickname": ErrorKind("given", "whose forename has a short form", "assumed",
        (8.0, 8.0, 9.0, 7.0, 1.5, 2.0, 2.5, 8.0, 5.0, 3.0, 1.5, 1.5, 4.0, 14.0)),
    "given_second": ErrorKind("given", "with a middle name", "assumed",
        (1.0, 1.0, 1.2, 0.8, 0.3, 0.4, 0.5, 1.5, 0.8, 0.6, 0.3, 0.3, 0.8, 1.5), minority=True),
    "given_misspelt": ErrorKind("given", _TYPED, "assumed",
        (1.6, 1.8, 2.0, 1.5, 0.5, 0.7, 0.9, 4.0, 0.8, 0.8, 0.25, 0.25, 1.2, 2.5),
        minority=True, infant=True),
    "given_variant": ErrorKind("given", "whose forename is written in several ways", "assumed",
        (12.0, 12.0, 12.0, 9.0, 5.0, 6.0, 6.0, 15.0, 7.0, 7.0, 2.0, 2.0, 9.0, 12.0)),
    "names_swapped": ErrorKind("given", "with both names", "assumed",
        (0.25, 0.30, 0.30, 0.20, 0.05, 0.08, 0.10, 0.60, 0.10, 0.10, 0.03, 0.03, 0.20, 0.30),
        minority=True),
    "family_missing": ErrorKind("family", _ALL, "assumed",
        (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.02, 2.00, 0.0, 0.0, 0.0, 0.0, 0.05, 0.10)),
    "family_previous": ErrorKind("family", "who had another family name", "assumed",
        (7.0, 8.0, 8.0, 8.0, 3.0, 4.0, 5.0, 5.0, 5.0, 4.0, 1.0, 1.0, 3.0, 6.0)),
    "family_part": ErrorKind("family", "with a family name of two parts", "assumed",
        (12.0, 12.0, 14.0, 10.0, 5.0, 7.0, 8.0, 20.0, 8.0, 8.0, 2.0, 2.0, 10.0, 15.0)),
    "family_misspelt": ErrorKind("family", _TYPED, "assumed",
        (1.6, 1.9, 2.1, 1.5, 0.4, 0.7, 0.9, 4.5, 0.7, 0.8, 0.2, 0.2, 1.2, 2.5),
        minority=True, infant=True),
    "middle_missing": ErrorKind("middle", "with a middle name", "assumed",
        (55.0, 60.0, 65.0, 40.0, 20.0, 25.0, 30.0, 95.0, 40.0, 35.0, 8.0, 8.0, 45.0, 85.0)),
    "known_as_missing": ErrorKind("known_as", "with a name they go by", "assumed",
        (60.0, 65.0, 70.0, 60.0, 70.0, 75.0, 100.0, 100.0, 50.0, 60.0, 55.0, 55.0, 100.0, 50.0)),
    "previous_name_missing": ErrorKind("previous_family", "who had another family name", "assumed",
        (80.0, 85.0, 100.0, 75.0, 60.0, 70.0, 75.0, 100.0, 70.0, 70.0, 45.0, 45.0, 90.0, 100.0)),
    "gender_missing": ErrorKind("gender", _ALL, "assumed",
        (0.8, 1.0, 1.2, 0.6, 0.02, 0.05, 0.1, 4.0, 0.1, 0.2, 0.0, 0.0, 0.2, 3.0)),
    "gender_wrong": ErrorKind("gender", _ALL, "assumed; hospitals [HA17]",
        (0.30, 0.40, 0.40, 0.30, 0.05, 0.08, 0.10, 0.80, 0.10, 0.15, 0.03, 0.03, 0.20, 0.50),
        infant=True),
    "address_missing": ErrorKind("address", _ALL, "assumed",
        (1.5, 1.8, 2.0, 1.2, 0.2, 0.3, 0.4, 9.0, 0.5, 0.5, 0.1, 0.1, 1.0, 6.0)),
    "address_old": ErrorKind("address", "who moved in the last ten years",
        "assumed; cf. the 53 % of [HA17], most of it moves over the years",
        (30.0, 34.0, 36.0, 28.0, 22.0, 26.0, 28.0, 12.0, 22.0, 20.0, 6.0, 7.0, 14.0, 18.0)),
    "address_written_otherwise": ErrorKind("address", "with an address", "assumed",
        (12.0, 12.0, 14.0, 10.0, 6.0, 8.0, 9.0, 25.0, 8.0, 8.0, 4.0, 4.0, 12.0, 20.0)),
    "postcode_missing": ErrorKind("postcode", "with an address", "assumed",
        (1.2, 1.5, 1.5, 1.0, 0.1, 0.2, 0.3, 9.0, 0.3, 0.3, 0.05, 0.05, 1.0, 7.0)),
    "postcode_typo": ErrorKind("postcode", "with a postcode", "assumed",
        (1.0, 1.2, 1.3, 1.0, 0.2, 0.3, 0.5, 2.0, 0.5, 0.5, 0.1, 0.1, 0.8, 2.5)),
    "previous_address_missing": ErrorKind("previous_address", "who moved, with the new address",
        "assumed",
        (60.0, 70.0, 100, 55.0, 75.0, 80.0, 100, 100, 65.0, 100, 50.0, 50.0, 100, 100)),
    "uprn_missing": ErrorKind("uprn", "with an address", "assumed",
        (20.0, 30.0, 40.0, 25.0, 100, 100, 100, 70.0, 100, 100, 60.0, 60.0, 100, 100)),
    "landline_missing": ErrorKind("landline", "with a landline", "assumed",
        (35.0, 40.0, 40.0, 45.0, 25.0, 30.0, 35.0, 80.0, 45.0, 35.0, 20.0, 20.0, 45.0, 25.0)),
    "mobile_missing": ErrorKind("mobile", "with a mobile", "assumed",
        (40.0, 45.0, 50.0, 40.0, 25.0, 30.0, 35.0, 45.0, 25.0, 30.0, 12.0, 12.0, 15.0, 45.0)),
    "mobile_old": ErrorKind("mobile", "with a mobile that changed", "assumed",
        (35.0, 35.0, 40.0, 35.0, 28.0, 32.0, 35.0, 8.0, 25.0, 25.0, 10.0, 10.0, 10.0, 20.0)),
    "mobile_relative": ErrorKind("mobile", "with relatives", "assumed",
        (2.5, 2.5, 3.0, 4.0, 1.5, 1.8, 2.0, 5.0, 2.0, 2.0, 1.0, 1.0, 4.0, 8.0)),
    "email_missing": ErrorKind("email", "with an e-mail address", "assumed",
        (60.0, 65.0, 75.0, 55.0, 60.0, 100.0, 70.0, 100.0, 55.0, 65.0, 45.0, 45.0, 60.0, 55.0)),
    "ethnicity_missing": ErrorKind("ethnicity", _ALL, "assumed",
        (14.0, 16.0, 20.0, 10.0, 8.0, 9.0, 11.0, 100.0, 6.0, 9.0, 5.0, 6.0, 100.0, 100.0)),
    "ethnicity_wrong": ErrorKind("ethnicity", "of other than White British ethnic group", "assumed",
        (6.0, 7.0, 8.0, 5.0, 8.0, 9.0, 9.0, 0.0, 5.0, 6.0, 3.0, 3.0, 0.0, 0.0)),
    "gp_missing": ErrorKind("gp_practice", "registered with a practice", "assumed",
        (25.0, 30.0, 35.0, 40.0, 1.5, 2.0, 2.5, 100.0, 3.0, 2.0, 0.0, 0.0, 8.0, 15.0)),
    "gp_old": ErrorKind("gp_practice", "who changed practice", "assumed",
        (30.0, 30.0, 30.0, 25.0, 15.0, 18.0, 20.0, 0.0, 18.0, 14.0, 0.0, 0.0, 5.0, 15.0)),
    "death_unknown": ErrorKind("death", "who died", "assumed",
        (35.0, 40.0, 45.0, 60.0, 12.0, 15.0, 20.0, 100.0, 18.0, 20.0, 3.0, 3.0, 60.0, 2.0)),
    "death_slip": ErrorKind("death", "whose death is known", "assumed",
        (4.0, 4.0, 5.0, 5.0, 0.5, 0.8, 1.0, 0.0, 1.5, 1.5, 0.8, 0.8, 3.0, 2.0)),
    "registered_twice": ErrorKind("local_id", "all people of the system", "assumed",
        (0.8, 1.0, 1.2, 0.9, 0.3, 0.9, 1.0, 1.5, 0.3, 0.6, 0.3, 0.3, 1.2, 1.0)),
}  # fmt: skip

VERIFIED_PERCENT: dict[str, float] = {
    "adult_avonmere": 55.0, "adult_northmoor": 40.0, "adult_southcote": 35.0, "childrens": 45.0,
    "acute_royal": 97.0, "acute_northmoor": 95.0, "acute_southcote": 92.0, "ambulance": 30.0,
    "mental_health": 90.0, "community": 88.0, "gp_harbour": 99.5, "gp_moorland": 99.3,
    "out_of_hours": 85.0, "hospice": 10.0,
}  # fmt: skip
"""Per 100 right NHS numbers, how many are sent as traced (status 01). A wrong number never is:
tracing compares it with the national register. Assumed."""
