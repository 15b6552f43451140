"""What the API can do, built from the table of routes: CapabilityStatement and SMART configuration.

Nothing is claimed here by hand but the documents that the routes follow.
"""

from __future__ import annotations

from collections.abc import Sequence

from api.params import Kind
from api.route import Does, Route
from api.words import BASE
from schemas.dates import Instant
from schemas.fhir_items import TERMINOLOGY, Resource, without_empty
from schemas.settings_api import IdentityProvider

_TYPE_OF_KIND = {Kind.FLAG: "token", Kind.WORDS: "string"}
GUIDES = (
    "https://profiles.ihe.net/ITI/PDQm/ImplementationGuide/ihe.iti.pdqm",
    "https://profiles.ihe.net/ITI/PIXm/ImplementationGuide/ihe.iti.pixm",
)
"""Guides that the routes follow: $match and Patient searches, $ihe-pix."""


def capability(
    routes: Sequence[Route], name: str, base: str, built: Instant, version: str
) -> Resource:
    """The CapabilityStatement.

    Args:
        built: when the program was started, for its date.
    """
    kinds = sorted({route.kind for route in routes if route.kind})
    service = {"coding": [{"system": f"{TERMINOLOGY}/restful-security-service", "code": "OAuth"}]}
    return {
        "resourceType": "CapabilityStatement",
        "status": "active",
        "date": built,
        "publisher": name,
        "kind": "instance",
        "software": {"name": "commonthread", "version": version},
        "implementation": {"description": f"{name}: shared records", "url": base + BASE},
        "fhirVersion": "4.0.1",
        "format": ["json", "application/fhir+json"],
        "implementationGuide": list(GUIDES),
        "rest": [
            {
                "mode": "server",
                "security": {"cors": False, "service": [service]},
                "resource": [_kind(kind, [r for r in routes if r.kind == kind]) for kind in kinds],
            }
        ],
    }


def _kind(kind: str, routes: Sequence[Route]) -> Resource:
    does = [route.does for route in routes if route.does is not Does.OPERATION]
    searched = {
        param.name: param
        for route in routes
        if route.does is Does.SEARCH
        for param in route.params
        if param.standard
    }
    return without_empty(
        {
            "type": kind,
            "interaction": [{"code": one.value} for one in Does if one in does],
            "readHistory": False if Does.READ in does else None,
            "conditionalRead": "not-match" if Does.READ in does else None,
            "searchInclude": _choices(routes, "_include", kind),
            "searchRevInclude": _choices(routes, "_revinclude", kind),
            "searchParam": [
                {
                    "name": param.name,
                    "type": _TYPE_OF_KIND.get(param.kind, param.kind.value),
                    "documentation": param.text,
                }
                for param in searched.values()
            ],
            "operation": [
                {"name": r.operation, "definition": r.definition, "documentation": r.summary}
                for r in routes
                if r.does is Does.OPERATION
            ],
        }
    )


def _choices(routes: Sequence[Route], name: str, kind: str) -> list[str]:
    held = [param for route in routes for param in route.params if param.name == name]
    return sorted({choice for param in held for choice in param.choices or (f"{kind}:patient",)})


def smart_configuration(providers: Sequence[IdentityProvider], routes: Sequence[Route]) -> Resource:
    """Where clients sign in (SMART App Launch v2): the first provider, and all issuers."""
    scopes = sorted({f"user/{route.kind}.{route.letter}" for route in routes if route.kind})
    return {
        "issuer": providers[0].issuer if providers else "",
        "associated_endpoints": [{"url": one.issuer} for one in providers],
        "scopes_supported": [*scopes, *(s.replace("user/", "system/") for s in scopes)],
        "capabilities": ["client-confidential-asymmetric", "permission-v2"],
        "grant_types_supported": ["authorization_code", "client_credentials"],
        "code_challenge_methods_supported": ["S256"],
    }
