"""The check: what it lets through, what it asks the models about, and that messages hold no value.

The walk and the strict decoder are compared with the fhir.resources models on the same resources.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters import fhir_check
from adapters.fhir_check import Checker, oracle_errors
from adapters.fhir_spec import resource_spec
from adapters.fhir_strict import strict_decoder
from tests.adapters.fhir_feeds import full_patient, observation, patient

JSON_VALUES: list[Any] = [
    None, True, 0, -1, 10**12, 1.5, "", " ", "x", "1970-02-29", "2020-02-29", "1970", "24:00",
    "2020-01-01T10:00:00Z", "2020-01-01T10:00", [], {}, ["x"], [None], [[]], {"x": 1},
]  # fmt: skip


def checked(checker: Checker, resource: Any) -> fhir_check.Verdict:
    return checker.check(resource, json.dumps(resource).encode())


def keys_and_places(node: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The path of everything inside a JSON value."""
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    found = []
    for key, value in inner:
        found.append((*place, key))
        if isinstance(value, dict | list):
            found += keys_and_places(value, (*place, key))
    return found


def changed(resource: Any, place: tuple[Any, ...], value: Any) -> Any:
    copy = json.loads(json.dumps(resource))
    node = copy
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = value
    return copy


GOOD = [full_patient(), observation(valueQuantity={"value": 1.5}, contained=[patient()])]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(GOOD), st.data())
def test_a_rejection_is_always_the_oracles_and_the_quick_way_never_lets_a_fault_through(
    good: dict[str, Any], data: st.DataObject
) -> None:
    place = data.draw(st.sampled_from(keys_and_places(good)))
    bad = changed(good, place, data.draw(st.sampled_from(JSON_VALUES)))
    spec = resource_spec(good["resourceType"])
    assert spec is not None
    if not isinstance(bad.get("resourceType"), str) or resource_spec(bad["resourceType"]) != spec:
        return
    errors = oracle_errors(bad, spec)
    assert bool(checked(Checker(), bad).reason) == bool(errors)
    taught = Checker()
    checked(taught, good)
    assert bool(checked(taught, bad).reason) == bool(errors)


def test_the_oracle_is_asked_once_per_shape(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def counting(resource: Any, spec: Any) -> list[tuple[str, str]]:
        asked.append(resource["id"])
        return oracle_errors(resource, spec)

    monkeypatch.setattr(fhir_check, "oracle_errors", counting)
    checker = Checker()
    resources = [patient(id=f"p{n}", name=[{"family": "x"}] * (1 + n % 3)) for n in range(300)]
    for resource in resources:
        assert checked(checker, resource).reason == ""
    sample = [r["id"] for r in resources if fhir_check.in_sample(json.dumps(r).encode())]
    assert asked == sorted({"p0", *sample}, key=lambda name: int(name[1:]))
    assert 0 < len(sample) < 12


def test_the_strict_decoder_takes_what_is_right() -> None:
    decoder = strict_decoder("Patient")
    assert decoder is not None
    decoder.decode(json.dumps(full_patient()).encode())


def test_what_the_models_let_through_is_counted() -> None:
    verdict = checked(Checker(), patient(active="true"))
    assert verdict == fhir_check.Verdict(issues=(("Patient.active", "bad_value"),))


def test_a_message_names_elements_and_hides_strange_keys() -> None:
    verdict = checked(
        Checker(), patient(name=[{"family": 7}], Ann_Smith="secret", birthDate="secret")
    )
    assert verdict.reason == "bad_resource"
    assert verdict.message == (
        "breaks FHIR R4 at Patient.birthDate (value_error), Patient.name[0].family (string_type), "
        "Patient.? (extra_forbidden)"
    )


def test_types_that_r4b_redesigned_are_kept() -> None:
    verdict = checked(Checker(), {"resourceType": "EvidenceVariable", "oldElement": "x"})
    assert (verdict.reason, verdict.issues) == ("", (("EvidenceVariable", "bad_resource"),))


@pytest.mark.parametrize("depth", [40, 60, 110, 400])
def test_depth(depth: int) -> None:
    extension: dict[str, Any] = {"url": "u", "valueCode": "x"}
    for _ in range(depth):
        extension = {"url": "u", "extension": [extension]}
    verdict = checked(Checker(), patient(extension=[extension]))
    assert verdict.reason == ("" if depth < 50 else "bad_syntax")
