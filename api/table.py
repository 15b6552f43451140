"""The table of routes: all that the API answers, beside `metadata`."""

from __future__ import annotations

from api.audit_routes import AUDIT_ROUTES
from api.consent_routes import CONSENT_ROUTES
from api.item_routes import ITEM_ROUTES
from api.patient_routes import PATIENT_ROUTES
from api.route import Route

ROUTES: tuple[Route, ...] = (*PATIENT_ROUTES, *ITEM_ROUTES, *CONSENT_ROUTES, *AUDIT_ROUTES)
