"""Whatever the OpenAPI allows, and what it does not: no error of ours, no undocumented answer."""

from __future__ import annotations

import warnings
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.api.small_demo import DOCTOR, SmallDemo
from tests.api.valid import valid

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import schemathesis
    from schemathesis import GenerationMode
    from schemathesis.checks import not_a_server_error
    from schemathesis.specs.openapi.checks import (
        content_type_conformance,
        response_schema_conformance,
        status_code_conformance,
    )


CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance,
    response_schema_conformance,
]  # fmt: skip
MODES = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
EXAMPLES = 10
"""Requests tried of each route and form."""


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_no_answer_is_an_error_of_ours_or_undocumented(served: SmallDemo) -> None:
    schema = schemathesis.openapi.from_url(f"{served.address}/openapi.json")
    headers = {"Authorization": f"Bearer {served.token(DOCTOR)}"}
    tried = 0
    for found in schema.get_all_operations():

        @settings(
            max_examples=EXAMPLES, database=None, deadline=None, derandomize=True,
            phases=[Phase.generate], suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(case=st.one_of(*(found.ok().as_strategy(generation_mode=m) for m in MODES)))
        def try_one(case: Any) -> None:
            nonlocal tried
            tried += 1
            answer = case.call(headers=headers, timeout=20)
            case.validate_response(answer, checks=CHECKS, headers=headers)
            if answer.content and answer.headers["content-type"][0] == "application/fhir+json":
                valid(answer.json())

        try_one()
    assert tried > 10 * EXAMPLES
