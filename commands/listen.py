"""Listen: takes the messages that systems send by themselves, and has them loaded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.common import opened, purpose_option

if TYPE_CHECKING:
    from collections.abc import Sequence

    from adapters.mllp_server import Place
    from schemas.settings import SourceSettings
    from service.listening import HandedOver, HandOver
    from service.nightly import Inputs
    from wiring import Workspace


@click.command()
@click.argument("sources", nargs=-1)
@purpose_option
@click.pass_obj
def listen(root: Path, sources: tuple[str, ...], purpose: str | None) -> None:
    """Takes HL7 v2 messages over MLLP until it is stopped: for all sources that have an interface
    of kind mllp, or those named."""
    import asyncio
    import logging

    from consent.commands import Action
    from service.access import permit
    from service.listening import HandOver
    from wiring import clock

    workspace = opened(root)
    actor = workspace.actor("listen", purpose)
    with workspace.store() as store:
        permit(actor, Action.LISTEN, store, clock)
        wanted = _wanted(workspace, sources)
        places = [_place(workspace, one) for one in wanted]
        linked = any(place.interface.link for place in places)
        hand_over = HandOver(workspace.settings, [one.id for one in wanted], actor, clock, linked)
        hand_over.started(store, "start")
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    asyncio.run(_listen(places, workspace, hand_over))
    with workspace.store() as store:
        hand_over.started(store, "stop")


async def _listen(places: Sequence[Place], workspace: Workspace, hand_over: HandOver) -> None:
    """Listens until a signal ends it."""
    import asyncio
    import signal

    from adapters.mllp_server import listen as run

    inputs = workspace.few_inputs(digests={})
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    counts = await run(places, lambda: _hand_over(workspace, inputs, hand_over), stop)
    told = {"A": "taken", "E": "kept for quarantine", "R": "refused"}
    click.echo(", ".join(f"{told[one]}: {counts[one]}" for one in counts) or "no message came")


def _wanted(workspace: Workspace, names: Sequence[str]) -> list[SourceSettings]:
    """The sources to listen for. Raises: NotFound, InputError."""
    from schemas.errors import InputError
    from schemas.settings_interfaces import MllpInterface
    from service.ingest import unknown_source

    settings = workspace.settings
    for name in names:
        found = settings.source(name)
        if found is None:
            raise unknown_source(settings)
        if not isinstance(found.interface, MllpInterface):
            raise InputError(f"source {found.id} has no interface of kind mllp")
    wanted = [
        one
        for one in settings.sources
        if isinstance(one.interface, MllpInterface) and (not names or one.id in names)
    ]
    if not wanted:
        raise InputError("no source has an interface of kind mllp; see docs/settings.md")
    return wanted


def _place(workspace: Workspace, source: SourceSettings) -> Place:
    from adapters.mllp_server import Place
    from adapters.spool import Spool
    from schemas.settings_interfaces import MllpInterface
    from wiring import clock

    interface = source.interface
    if not isinstance(interface, MllpInterface):
        raise TypeError(f"{source.id} has no interface of kind mllp")
    folder = workspace.inbox / source.id
    folder.mkdir(exist_ok=True)
    limits = workspace.settings.limits
    return Place(source, interface, limits, Spool(folder, clock), workspace.root, clock)


def _hand_over(workspace: Workspace, inputs: Inputs, hand_over: HandOver) -> bool:
    """Loads what came, in a thread; whether that is done. Nothing that fails ends the listening:
    the messages lie in the inbox, and are loaded the next time, or by night."""
    import logging

    from schemas.errors import CommonthreadError, WorkspaceBusy

    log = logging.getLogger("commonthread.listen")
    try:
        with workspace.exclusive(briefly=True), workspace.store() as store:
            done = hand_over.load(store, inputs)
    except WorkspaceBusy:
        log.info("another run is at work; what came is loaded after it")
        return False
    except CommonthreadError as error:
        log.error("not loaded (%s): %s", type(error).__name__, error)
        return False
    except Exception as error:  # its text may hold a person's values: only its kind is told
        log.error("not loaded: unforeseen error (%s)", type(error).__name__)
        return False
    _tell(done)
    return True


def _tell(done: HandedOver) -> None:
    """A line of the log on what was loaded, and on what needs a look."""
    import logging

    from service.collecting import NOT_COLLECTED

    log = logging.getLogger("commonthread.listen")
    for report in done.reports:
        for notice in report.notices:
            if report.feeds or notice.startswith(NOT_COLLECTED):
                log.info("%s: %s", report.source, notice)
        for refusal in report.refusals:
            log.error(
                "%s: feed %s refused: %s", report.source, refusal.sha256[:12], refusal.message
            )
        if report.feeds:
            counts = ", ".join(f"{n} {outcome}" for outcome, n in sorted(report.counts.items()))
            log.info("%s: loaded %s", report.source, counts)
    if done.run is not None:
        log.info("run %d published", done.run)
    if done.held:
        log.warning("a run is held: what is new joins nobody until somebody decides")
