"""The table of summaries and required elements against the models of fhir.resources."""

from __future__ import annotations

import warnings

import pytest

from api.summaries import REQUIRED, SUMMARIES
from api.table import ROUTES

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fhir.resources.R4B import get_fhir_model_class

ELSEWHERE = {"id", "meta", "implicitRules", "resourceType"}


@pytest.mark.parametrize("kind", sorted(SUMMARIES))
def test_elements_of_a_type(kind: str) -> None:
    fields = {
        (field.alias or name): field.json_schema_extra or {}
        for name, field in get_fhir_model_class(kind).model_fields.items()
        if not name.endswith("__ext")
    }
    required = {
        name
        for name, field in fields.items()
        if field.get("element_required") or field.get("one_of_many_required")
    }
    summary = {name for name, field in fields.items() if field.get("summary_element_property")}
    assert SUMMARIES[kind] == summary - ELSEWHERE
    assert REQUIRED[kind] >= required - ELSEWHERE


def test_every_type_that_is_answered_is_in_the_table() -> None:
    assert {route.kind for route in ROUTES} == set(SUMMARIES)
