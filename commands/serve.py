"""Serve: the API on one port. Token: a way in to a demo's API."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.common import finish, json_option, opened
from schemas.errors import NotFound, NotPermitted, SettingsError

if TYPE_CHECKING:
    from fastapi import FastAPI

    from wiring import Workspace

WORKSPACE_VARIABLE = "COMMONTHREAD_WORKSPACE"
WORKERS_VARIABLE = "COMMONTHREAD_WORKERS"
"""Environment variables by which `serve` tells its workers what they serve."""


@click.command()
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen at.")
@click.option("--port", default=8000, show_default=True, type=click.IntRange(0, 65_535))
@click.option(
    "--workers", default=1, show_default=True, type=click.IntRange(1, 64), help="Processes."
)
@click.pass_obj
def serve(root: Path, host: str, port: int, workers: int) -> None:
    """Answers queries over the FHIR API until it is stopped.

    Where the partnership has no identity provider in its settings, only a demo can be served: its
    tokens come from `commonthread token`.
    """
    import uvicorn

    from api.accepting import PLACES_VARIABLE, Places
    from api.metrics import MULTIPROCESS
    from service.access import record
    from wiring import clock

    workspace = opened(root)
    _check_providers(workspace)
    if workspace.settings.demo:
        click.echo("a demo workspace: `commonthread token` signs in here", err=True)
    os.environ[WORKSPACE_VARIABLE] = str(workspace.root.resolve())
    os.environ[WORKERS_VARIABLE] = str(workers)
    with workspace.store() as store:
        record(
            workspace.actor("serve", None), "serve", store, clock,
            host=host, port=port, workers=workers,
        )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="commonthread-workers-") as shared:
        if workers > 1:
            os.environ[MULTIPROCESS] = shared
            places = Path(shared) / "connections"
            Places.make(places, workers)
            os.environ[PLACES_VARIABLE] = str(places)
        uvicorn.run(
            "commands.serve:application", factory=True, host=host, port=port, workers=workers,
            loop="api.accepting:EvenLoop", ws="none", access_log=False, log_level="info",
            server_header=False, timeout_keep_alive=30,
        )  # fmt: skip


def _check_providers(workspace: Workspace) -> None:
    """Raises: SettingsError where nobody could sign in, or a role is named that is none."""
    from consent.roles import ROLES
    from wiring import SETTINGS_FILE

    settings, faults = workspace.settings, []
    if not settings.providers and not settings.demo:
        faults.append("no [[identity_provider]]: nobody could sign in")
    for number, provider in enumerate(settings.providers):
        named = {*provider.roles.values(), *(client.role for client in provider.clients)}
        faults += [
            f"identity_provider[{number}]: {role!r} is no role; there are {', '.join(ROLES)}"
            for role in sorted(named - set(ROLES))
        ]
    if faults:
        raise SettingsError(str(workspace.root / SETTINGS_FILE), faults)


def application() -> FastAPI:
    """What each worker serves: the workspace that `serve` named in the environment."""
    import logging

    from api.serving import serving_app

    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    workspace = opened(Path(os.environ[WORKSPACE_VARIABLE]))
    return serving_app(
        workspace.served, workspace.settings, workspace.keys,
        int(os.environ.get(WORKERS_VARIABLE, "1")),
    )  # fmt: skip


@click.command()
@click.option("--staff", help="A staff id of the directory; by default the first that fits.")
@click.option("--role", help="A role that the member of staff is to have.")
@click.option("--organisation", help="ODS code of where the member of staff is to work.")
@click.option(
    "--purpose", "purposes", multiple=True, default=("direct-care",), show_default=True,
    help="What the token is for; may be given several times.",
)  # fmt: skip
@click.option("--scope", help="SMART scopes, with spaces between; by default all a user has.")
@click.option("--minutes", default=60, show_default=True, type=click.IntRange(1, 720))
@json_option
@click.pass_obj
def token(
    root: Path,
    staff: str | None,
    role: str | None,
    organisation: str | None,
    purposes: tuple[str, ...],
    scope: str | None,
    minutes: int,
    as_json: bool,
) -> None:
    """Mints an access token for one of the demo's synthetic staff. In a demo workspace only."""
    from api.demo_issuer import SCOPES, mint
    from consent.roles import role_of_directory
    from schemas.codes import PURPOSES
    from service.access import record
    from wiring import clock

    workspace = opened(root)
    if not workspace.settings.demo:
        raise NotPermitted("tokens are minted in a demo workspace only; elsewhere, sign in")
    strange = [purpose for purpose in purposes if purpose not in PURPOSES]
    if strange:
        raise click.BadParameter(f"expected one of {', '.join(PURPOSES)}", param_hint="--purpose")
    with workspace.sharing() as sharing:
        found = [
            entry
            for entry in sharing.staff()
            if staff in (None, entry.staff_id)
            and organisation in (None, entry.organisation)
            and role in (None, role_of_directory(entry.role))
            and role_of_directory(entry.role) is not None
        ]
        if not found:
            raise NotFound("no active member of staff of this id, role and organisation")
        who = found[0]
        chosen = role_of_directory(who.role) or ""
        record(
            workspace.actor("token", None), "token", sharing.store, clock,
            staff=who.staff_id, staff_role=chosen, purposes=list(purposes), minutes=minutes,
        )  # fmt: skip
    minted = mint(
        workspace.settings, workspace.keys, who, chosen, purposes, time.time(),
        scopes=scope or SCOPES, minutes=minutes,
    )  # fmt: skip
    document = {
        "token": minted, "staff_id": who.staff_id, "organisation": who.organisation,
        "role": chosen, "purposes": list(purposes), "minutes": minutes,
    }  # fmt: skip
    if not as_json:
        click.echo(
            f"{who.staff_id}, {chosen} at {who.organisation}, for {', '.join(purposes)};"
            f" {minutes} minutes",
            err=True,
        )
    finish(document, [minted], as_json)
