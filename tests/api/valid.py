"""Answers held against the models of fhir.resources (R4B)."""

from __future__ import annotations

import json
import warnings
from functools import cache
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from fhir.resources.R4B import get_fhir_model_class


@cache
def _model(kind: str) -> Any:
    return get_fhir_model_class(kind)


def valid(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource as it goes over the wire, if the models accept it, entries and all."""
    sent = json.loads(json.dumps(resource))
    _model(sent["resourceType"]).model_validate(sent)
    for entry in sent.get("entry", ()) if sent["resourceType"] == "Bundle" else ():
        valid(entry["resource"])
    return dict(sent)
