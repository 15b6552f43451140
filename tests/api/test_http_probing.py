"""Nothing that can be asked over HTTP tells what is refused silently from what is not there.

Two partnerships: in one something is hidden from the asker, in the other it never was. Whatever is
asked of the one and of the other, in whatever order, is answered by the same bytes, save for names
that each partnership gives anew: items, wishes, request ids and pages, each by its place.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.render_consent import REASON, consent
from schemas.identifiers import SourceId
from schemas.items import Heading
from service.sharing import NHS_NUMBER, SOURCE_SYSTEM
from tests.api.in_process import Api, Who, asked, code_of, matches
from tests.consent.cases import wishes
from tests.service.hidden import HIDDEN, Case, nothing
from tests.service.sharing_world import (
    AMY,
    ANN,
    EVE,
    MUM,
    NHS,
    STAFF,
    TOM,
    care,
    world,
)
from tests.store_samples import load, one

PERSONS = (ANN, TOM, EVE, AMY, MUM, "pnobody")
NAMES = {"ST1": "doctor", "ST2": "nurse"}
TYPES = (
    "AllergyIntolerance", "Condition", "Encounter", "EpisodeOfCare", "Flag", "DocumentReference",
    "List", "Consent", "MedicationRequest",
)  # fmt: skip


def who(staff_id: str, purpose: str = "direct-care", **more: Any) -> Who:
    """A member of staff of the small partnership, in their own role."""
    where, role = next((o, r) for s, o, r in STAFF if s == staff_id)
    return Who(staff_id, where, role, purpose, **more)


# --- what is hidden ----------------------------------------------------------------------------


CASES: dict[str, Case] = {
    **HIDDEN,
    "an adoption item": (nothing, ("c2",), "ST1"),
    "a restricted person's letter": (nothing, ("d1",), "ST1"),
}
"""What is hidden → how, what the other partnership lacks, and who asks."""


LETTER = care(Heading.DOCUMENT, "d9", "h2", "Letter to the practice")
"""In both: that the hospital sends letters is known of it, whomever they are about."""


@dataclass
class Pair:
    """The partnership that hides something from one asker, and the one that never had it."""

    hiding: Api
    lacking: Api
    asker: str

    def both(self) -> tuple[Api, Api]:
        return self.hiding, self.lacking


@pytest.fixture(scope="module", params=CASES)
def pair(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Pair]:
    hide, without, asker = CASES[request.param]
    with ExitStack() as stack:
        apis = []
        for lacks in ((), without):
            folder = tmp_path_factory.mktemp("probed")
            sharing = stack.enter_context(world(folder, lacks))
            load(sharing.store, [one(LETTER)], "letters.hl7", SourceId("pas"))
            if not lacks:
                hide(sharing)
            apis.append(stack.enter_context(asked(sharing, folder / "keys")))
        yield Pair(*apis, asker)


# --- what is asked -----------------------------------------------------------------------------


@dataclass
class Session:
    """One asker at one partnership: what was asked can be gone on with."""

    api: Api
    asker: Who
    names: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    tags: list[tuple[str, str]] = field(default_factory=list)

    def ask(self, path: str, method: str = "GET", **more: Any) -> Any:
        """The answer, with a name for each name."""
        answer = self.api.ask(self.asker, path, method, checked=False, **more)
        if "ETag" in answer.headers:
            self.tags.append((path, answer.headers["ETag"]))
        return self._plain(answer)

    def _plain(self, answer: httpx.Response) -> Any:
        told = {
            name: value
            for name, value in answer.headers.items()
            if name not in ("x-request-id", "etag", "content-length")
        }
        if not answer.content:
            return answer.status_code, told, ""
        for link in answer.json().get("link", ()):
            if link["relation"] == "next":
                self.pages.append(link["url"])
        text = re.sub(r"_cursor=[\w-]+", _cursor, answer.text)
        text = re.sub(r"\b[0-9a-f]{32,64}\b", lambda found: self._name(found.group()), text)
        return answer.status_code, told, text

    def _name(self, found: str) -> str:
        if found not in self.names:
            self.names[found] = f"name-{len(self.names)}"
            self.seen.append(found)
        return self.names[found]

    def item(self, number: int, kind: str) -> Any:
        """Reads what was named before, as some type."""
        if not self.seen:
            return None
        return self.ask(f"{kind}/{self.seen[number % len(self.seen)]}")

    def page(self, number: int) -> Any:
        """Goes on to a page that was given."""
        return self.ask(self.pages[number % len(self.pages)]) if self.pages else None

    def again(self, number: int) -> Any:
        """Asks whether something has changed since it was read."""
        if not self.tags:
            return None
        path, tag = self.tags[number % len(self.tags)]
        return self.ask(path, headers={"If-None-Match": tag})


def _cursor(found: re.Match[str]) -> str:
    """A page's address says nothing that can be read; that it is as long as another stays."""
    return f"_cursor={len(found.group())}"


Ask = Callable[[Session], Any]
PERSON = st.sampled_from(PERSONS)
KIND = st.sampled_from(TYPES)
NUMBER = st.integers(0, 30)
FORM = st.fixed_dictionaries(
    {"birthdate": st.sampled_from(["1980-05-04", "2014-02-03", "ge1970-01-01"])},
    optional={
        "family": st.sampled_from(["Open", "Plain", "Pl*", "Hidden", "Op*", "Nobody", "Adopted"]),
        "given": st.sampled_from(["Tom", "Una", "U*"]),
        "address-postalcode": st.sampled_from(["BS3 1AA", "BS2*", "BS1 5TR"]),
        "phone": st.just("0117 496 0001"),
        "general-practitioner": st.just("GP001"),
        "gender": st.sampled_from(["female", "x"]),
        "_history": st.just("true"),
        "_fuzzy-match": st.just("true"),
        "_max-results": st.sampled_from(["1", "2"]),
        "_summary": st.just("count"),
    },
)
IDENTIFIER = st.sampled_from([
    f"{NHS_NUMBER}|{NHS}", f"{SOURCE_SYSTEM}gp|mum", f"{SOURCE_SYSTEM}gp|ann",
    f"{SOURCE_SYSTEM}clinic|x1", f"{SOURCE_SYSTEM}pas|h5", f"{SOURCE_SYSTEM}pas|h1",
    f"{SOURCE_SYSTEM}never|1", "urn:x|1", "nonsense",
])  # fmt: skip
DESCRIBED = st.fixed_dictionaries(
    {"birthDate": st.sampled_from(["1980-05-04", "2014-02-03"])},
    optional={
        "name": st.sampled_from(["Tom Open", "Una Plain", "Ann Hidden", "Amy Hidden"]).map(
            lambda said: [{"given": said.split()[:1], "family": said.split()[1]}]
        ),
        "address": st.sampled_from(["BS3 1AA", "BS1 5TR"]).map(lambda p: [{"postalCode": p}]),
    },
)
OPTIONS = st.fixed_dictionaries(
    {},
    optional={
        "_count": st.sampled_from(["0", "1", "2", "3"]),
        "date": st.sampled_from(["ge2026-10-26", "le2026-10-26", "2026", "soon"]),
        "status": st.just("finished"),
        "_summary": st.sampled_from(["count", "text", "data"]),
        "_elements": st.just("status"),
        "_revinclude": st.just("Provenance:target"),
        "_include": st.just("x:patient"),
        "_sort": st.just("date"),
    },
)


def parameters(**given_values: str) -> dict[str, Any]:
    held = [
        {"name": name, "valueCode" if name == "reason" else "valueString": value}
        for name, value in given_values.items()
    ]
    return {"resourceType": "Parameters", "parameter": held}


def wish(person: str) -> dict[str, Any]:
    made = consent(person, wishes("permit another", ""))  # type: ignore[arg-type]
    said = {"extension": [{"url": REASON, "valueString": "asked for it at the desk"}]}
    return {name: value for name, value in (made | said).items() if name != "id"}


BREAKING = parameters(reason="unconscious", text="brought in by ambulance")
CLAIMING = parameters(text="seen in the clinic today")
ASKS: st.SearchStrategy[Ask] = st.one_of(
    st.tuples(PERSON, OPTIONS).map(
        lambda t: lambda s: s.ask(
            f"Patient/{t[0]}/$everything",
            params={n: v for n, v in t[1].items() if n in ("_count", "_revinclude", "_elements")},
        )
    ),
    PERSON.map(lambda p: lambda s: s.ask(f"Patient/{p}")),
    st.tuples(KIND, PERSON, OPTIONS).map(
        lambda t: lambda s: s.ask(t[0], params={"patient": t[1], **t[2]})
    ),
    FORM.map(lambda f: lambda s: s.ask("Patient/_search", "POST", data=f)),
    st.one_of(IDENTIFIER.map(lambda i: {"identifier": i}), PERSON.map(lambda p: {"_id": p})).map(
        lambda f: lambda s: s.ask("Patient/_search", "POST", data=f)
    ),
    IDENTIFIER.map(
        lambda i: lambda s: s.ask(
            "Patient/$ihe-pix", "POST", json=parameters(sourceIdentifier=i)
        )
    ),
    DESCRIBED.map(
        lambda d: lambda s: s.ask("Patient/$match", "POST", json={"resourceType": "Patient", **d})
    ),
    st.tuples(NUMBER, KIND).map(lambda t: lambda s: s.item(*t)),
    NUMBER.map(lambda n: lambda s: s.item(n, "Provenance")),
    NUMBER.map(lambda n: lambda s: s.page(n)),
    NUMBER.map(lambda n: lambda s: s.again(n)),
    st.sampled_from([MUM, "pnobody"]).map(
        lambda p: lambda s: s.ask(f"Patient/{p}/$break-glass", "POST", json=BREAKING)
    ),
    st.sampled_from([MUM, "pnobody"]).map(
        lambda p: lambda s: s.ask(f"Patient/{p}/$claim-relationship", "POST", json=CLAIMING)
    ),
    st.sampled_from([MUM, "pnobody"]).map(
        lambda p: lambda s: s.ask("Consent", "POST", json=wish(p))
    ),
    st.sampled_from(["d1", "d2", "d99"]).map(lambda d: lambda s: s.ask(f"Consent/{d}")),
    st.just(lambda s: s.ask("AuditEvent")),
)  # fmt: skip
"""Every way to ask that there is, and ways that there are not."""


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(ASKS, min_size=1, max_size=6))
def test_what_is_hidden_is_answered_as_what_never_was(pair: Pair, questions: list[Ask]) -> None:
    hiding, lacking = (Session(api, who(pair.asker)) for api in pair.both())
    for ask in questions:
        assert ask(hiding) == ask(lacking)


def test_the_probes_see_what_is_not_hidden(pair: Pair) -> None:
    """Else the property above would hold of a partnership that answers nothing."""
    session = Session(pair.hiding, who(pair.asker))
    status, _, text = session.ask(f"Patient/{TOM}/$everything", params={"_count": "2"})
    assert status == 200
    assert json.loads(text)["total"] > 2
    assert session.page(0)[0] == 200
    assert "Peanut" in session.ask(f"Patient/{TOM}/$everything")[2]
    assert session.item(0, "Encounter")[0] in (200, 404)
    assert session.ask(f"Patient/{TOM}")[0] == 200
    assert session.again(-1)[0] == 304


# --- whereabouts -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    folder = tmp_path_factory.mktemp("places")
    with world(folder) as sharing, asked(sharing, folder / "keys") as made:
        yield made


PLACES = (
    "Hidden Row", "BS1 5TR", "496 0001", "GP001", "TR001", "7hiddenrow", "source:gp", "source:pas",
    '"h1"', '"ann"',
)  # fmt: skip


@settings(max_examples=80, deadline=None)
@given(question=ASKS, staff_id=st.sampled_from(["ST1", "ST2", "ST3", "ST5", "ST6", "ST7"]))
def test_no_answer_says_where_a_restricted_person_is(
    api: Api, question: Ask, staff_id: str
) -> None:
    told = question(Session(api, who(staff_id)))
    if told is None or told[0] not in (200, 201):
        return
    bundle = json.loads(told[2]) if told[2] else {}
    held = [one["resource"] for one in bundle.get("entry", ())] or [bundle]
    for resource in held:
        text = json.dumps(resource)
        if not re.search(f"{ANN}|{AMY}", text) or resource["resourceType"] in (
            "AuditEvent",
            "List",
        ):
            continue
        for place in PLACES:
            assert place not in text, (place, text)


@pytest.mark.parametrize(
    ("place", "right", "wrong"),
    [
        ("address-postalcode", "BS1 5TR", "BS9 9ZZ"), ("address-postalcode", "BS1*", "BS9*"),
        ("phone", "0117 496 0001", "0117 496 0999"), ("general-practitioner", "GP001", "GP999"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("born", ["1980-05-04", "2014-02-03"])
def test_a_place_that_is_right_answers_as_one_that_is_wrong(
    api: Api, place: str, right: str, wrong: str, born: str
) -> None:
    named = {"family": "Hidden", "birthdate": born}
    assert len(matches(api.search(who("ST1"), "Patient", **named))) == 1
    first, other = (
        api.search(who("ST1"), "Patient", **named, **{place: value}) for value in (right, wrong)
    )
    assert first.json()["total"] == 0
    assert first.content == other.content


def test_a_page_of_another_asker_says_nothing(api: Api) -> None:
    first = Session(api, who("ST1"))
    first.ask(f"Patient/{TOM}/$everything", params={"_count": "1"})
    answer = api.ask(who("ST2"), first.pages[0])
    assert (answer.status_code, code_of(answer)) == (400, "INVALID_CURSOR")
    held = first.pages[0].rpartition("=")[2]
    raw = base64.urlsafe_b64decode(held + "=" * (-len(held) % 4))
    assert TOM.encode() not in raw
