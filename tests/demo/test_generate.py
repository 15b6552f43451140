"""The demo as a whole: feeds, truth and settings agree with each other and with the tables."""

from collections import Counter
from pathlib import Path

import pytest

from demo import generate
from demo.errors import ERRORS
from demo.partnership import STAFF_DIRECTORY, SYSTEM_IDS, SYSTEMS
from demo.population import PLANTED, build_population
from demo.records import PLACEHOLDER_NUMBER
from schemas.errors import InputError
from schemas.identifiers import NumberRange, check_digit, number_range, parse_nhs_number
from schemas.items import Heading
from tests.demo.conftest import Made
from tests.demo.tiny_parsers import messages, resources, rows_of, settings_of


def contents(workspace: Path) -> dict[str, tuple[bytes, float]]:
    files = (p for p in workspace.rglob("*") if p.is_file())
    return {str(p.relative_to(workspace)): (p.read_bytes(), p.stat().st_mtime) for p in files}


def test_the_same_seed_gives_the_same_bytes_and_times(tmp_path: Path) -> None:
    for name, seed in (("a", 3), ("b", 3), ("c", 4)):
        generate(tmp_path / name, people=300, seed=seed)
    one, again, other = (contents(tmp_path / name) for name in "abc")
    assert one == again
    assert one.keys() == other.keys()
    changed = [name for name in one if one[name][0] != other[name][0]]
    assert len(changed) == len(one)


def test_no_items_wished_still_sends_every_kind_once(tmp_path: Path) -> None:
    summary = generate(tmp_path, people=300, seed=1, items_per_person=0)
    assert {p.name for p in summary.files} == {
        p.name for p in (tmp_path / "inbox").rglob("*") if p.is_file()
    }
    assert all(0 < count < 20 for count in summary.items.values())


@pytest.mark.parametrize(
    "numbers",
    [{"people": 100}, {"people": 1_000_000}, {"seed": -1}, {"items_per_person": -1.0}],
    ids=["too few", "too many", "seed", "items"],
)
def test_wrong_numbers_are_refused(tmp_path: Path, numbers: dict[str, float]) -> None:
    with pytest.raises(InputError):
        generate(tmp_path, **numbers)  # type: ignore[arg-type]


def test_progress_is_told(tmp_path: Path) -> None:
    told: list[tuple[int, int]] = []
    generate(tmp_path, people=300, progress=lambda _what, done, of: told.append((done, of)))
    assert [done for done, _ in told] == list(range(len(SYSTEMS) + 3))[: len(told)]
    assert told[-1][0] == told[-1][1]


def test_settings_have_no_fault_and_cover_every_feed(made: Made) -> None:
    settings = made.settings
    assert settings.demo
    assert settings.link.accept_test_numbers
    assert len(settings.organisations) == 17
    assert [s.id for s in settings.sources] == [*SYSTEM_IDS, STAFF_DIRECTORY]
    assert settings.actors == {"someone": "data_team"}
    for source in settings.sources:
        for path in (made.workspace / "inbox" / source.id).iterdir():
            file = settings_of(source, path)
            assert file.as_at is not None
            assert file.as_at.file_name.fullmatch(path.name)
            if file.format == "delimited":
                rows = rows_of(path, file)
                mapped = {column for columns in file.columns.values() for column in columns}
                assert rows
                assert set(rows[0]) == mapped


def test_truth_names_every_record_of_the_feeds_and_no_other(made: Made) -> None:
    sent = {(source, record.local_id) for source, record in made.sent}
    named = list(zip(made.truth["source"], made.truth["local_id"], strict=True))
    assert len(named) == len(set(named))
    assert sent == set(named)
    assert sum(made.summary.records.values()) == len(named)
    assert set(made.truth["person"]) <= set(made.groups["person"])


def test_a_delimited_or_fhir_record_is_sent_once(made: Made) -> None:
    formats = {s.id: s.format for s in SYSTEMS}
    counts = Counter((s, r.local_id) for s, r in made.sent if formats[s] != "hl7v2")
    assert set(counts.values()) == {1}


def test_people_have_one_to_eight_systems_and_about_two_and_a_half_records(made: Made) -> None:
    real = made.truth[made.truth["person"].str.fullmatch(r"p\d{7}")]
    systems = real.groupby("person")["source"].nunique()
    assert systems.min() == 1
    assert 5 <= systems.max() <= 8
    assert len(systems) == 4_000 == made.summary.people
    assert 2.3 < len(real) / len(systems) < 2.8


def test_no_nhs_number_is_real(made: Made) -> None:
    numbers = {record.nhs for _, record in made.sent if record.nhs}
    assert len(numbers) > 3_000
    assert all(n.startswith("999") and len(n) == 10 for n in numbers)
    sound = [n for n in numbers if check_digit(n[:9]) == int(n[9])]
    assert len(sound) > 0.95 * len(numbers)
    allowed = {NumberRange.TEST, NumberRange.PLACEHOLDER}
    assert {number_range(parse_nhs_number(n)) for n in sound} <= allowed


def test_a_verified_number_is_the_persons_own(made: Made) -> None:
    person = {(s, i): p for s, i, p in made.truth.itertuples(index=False)}
    bearers: dict[str, set[str]] = {}
    for source, record in made.sent:
        if record.status == "01":
            bearers.setdefault(record.nhs, set()).add(person[source, record.local_id])
    assert len(bearers) > 3_000
    assert all(len(people) == 1 for people in bearers.values())
    assert PLACEHOLDER_NUMBER not in bearers


@pytest.mark.parametrize("kind", [k for k in ERRORS if k != "registered_twice"])
def test_errors_happen_at_the_declared_rate(made: Made, kind: str) -> None:
    tallies = [made.summary.tally[system, kind] for system in SYSTEM_IDS]
    expected = sum(t.expected for t in tallies)
    hits = sum(t.hits for t in tallies)
    assert abs(hits - expected) <= 4.5 * max(expected, 1.0) ** 0.5
    declared = sum(
        t.eligible * ERRORS[kind].rate(s) for s, t in zip(SYSTEM_IDS, tallies, strict=True)
    )
    assert declared * 0.98 - 1 <= expected <= declared * 2 + 1


def test_missing_numbers_in_the_feeds_are_those_noted(made: Made) -> None:
    nothing = ("", PLACEHOLDER_NUMBER)
    lacking = Counter(s for s, r in made.sent if r.nhs in nothing)
    noted = Counter(made.errors.loc[made.errors["error"] == "nhs_missing", "source"])
    for system in ("ambulance", "hospice", "adult_avonmere"):
        # Some people have no number at all: a few more records lack it than lost it.
        assert noted[system] <= lacking[system] * 1.01 + 1
        rate = noted[system] / made.summary.records[system]
        declared = ERRORS["nhs_missing"].rate(system)
        assert declared * 0.7 < rate < declared * 1.4


def test_a_day_month_slip_stands_in_the_feed(made: Made) -> None:
    births = {(s, r.local_id): r.birth for s, r in made.sent}
    person = {(s, i): p for s, i, p in made.truth.itertuples(index=False)}
    records_of: dict[str, list[str]] = {}
    for key, who in person.items():
        records_of.setdefault(who, []).append(births[key])
    slips = made.errors[made.errors["error"] == "birth_day_month"]
    seen = 0
    for source, local_id, _ in slips.itertuples(index=False):
        birth = births[source, local_id]
        turned = f"{birth[:4]}-{birth[8:]}-{birth[5:7]}"
        seen += turned in records_of[person[source, local_id]]
    assert len(slips) >= 5
    assert seen >= 0.4 * len(slips)


def test_doubles_are_as_many_as_declared(made: Made) -> None:
    real = made.truth[made.truth["person"].str.fullmatch(r"p\d{7}")]
    doubles = len(real) - len(real[["source", "person"]].drop_duplicates())
    expected = sum(ERRORS["registered_twice"].rate(s) * made.summary.records[s] for s in SYSTEM_IDS)
    assert abs(doubles - expected) < 4.5 * expected**0.5


def test_merges_join_two_records_of_one_person(made: Made) -> None:
    person = {(s, i): p for s, i, p in made.truth.itertuples(index=False)}
    folder = made.workspace / "inbox" / "acute_northmoor"
    merges = [
        (m["PID"][0][3].split("^")[0], m["MRG"][0][1].split("^")[0])
        for m in messages(next(folder.glob("adt_*")))
        if "MRG" in m
    ]
    assert len(merges) == made.summary.merges >= 1
    for survivor, retired in merges:
        assert survivor != retired
        assert person["acute_northmoor", survivor] == person["acute_northmoor", retired]


def test_every_hard_case_is_planted() -> None:
    import numpy as np

    from_records = {"newborn_mothers_number", "newborn_baby_name"}
    population = build_population(np.random.default_rng(1), 20_000)
    assert set(population.planted) == set(PLANTED) - from_records
    assert all(len(rows) > 0 for rows in population.planted.values())


def test_hard_cases_of_records_are_noted(made: Made) -> None:
    planted = Counter(kind for kinds in made.groups["planted"] for kind in kinds)
    assert {"newborn_mothers_number", "newborn_baby_name"} <= set(planted)
    assert planted == Counter(made.summary.planted)


def test_staff_have_roles_and_dates(made: Made) -> None:
    source = made.settings.sources[-1]
    (path,) = (made.workspace / "inbox" / source.id).iterdir()
    rows = rows_of(path, settings_of(source, path))
    assert len(rows) == made.summary.staff
    assert {r["organisation"] for r in rows} == {o.code for o in made.settings.organisations}
    assert any(r["leave_date"] for r in rows)
    assert all(r["leave_date"] > r["start_date"] for r in rows if r["leave_date"])


def test_every_heading_but_unclassified_is_sent(made: Made) -> None:
    headings: set[str] = set()
    for source in made.settings.sources:
        for file in source.files:
            headings |= {file.constants.get("heading", "")} - {""}
            headings |= set(file.codes.get("heading", {}).values())
    kinds = {r["resourceType"] for r in resources_of(made)}
    assert {"EpisodeOfCare", "Consent", "Flag", "Encounter", "CareTeam", "RelatedPerson"} <= kinds
    headings |= {"registration", "sharing_preference"}
    assert headings == {h.value for h in Heading} - {"unclassified"}


def resources_of(made: Made) -> list[dict]:
    folders = ("gp_harbour", "out_of_hours")
    paths = [p for f in folders for p in sorted((made.workspace / "inbox" / f).iterdir())]
    return [resource for path in paths for resource in resources(path)]


def test_fhir_resources_are_accepted_by_the_reference_models(made: Made) -> None:
    from fhir.resources.R4B import get_fhir_model_class

    shapes: dict[tuple, dict] = {}
    for resource in resources_of(made):
        shapes.setdefault((resource["resourceType"], *sorted(resource)), resource)
    assert len(shapes) > 20
    for resource in shapes.values():
        get_fhir_model_class(resource["resourceType"]).model_validate(resource)


def test_codes_are_of_no_real_practice(made: Made) -> None:
    published = Path(__file__).parents[3] / "shared" / "data" / "names" / "gp_practice_codes.csv"
    ours = {o.code for o in made.settings.organisations}
    assert all(code.startswith("ZZ") for code in ours)
    if published.exists():
        real = {line.split(",")[0] for line in published.read_text().splitlines()[1:]}
        assert not ours & real
