"""The log's side of witnessing: asks for cosignatures, keeps them, says when something is wrong.

Rules:
- A witness is asked after the log grew, and again when its word is half as old as it may become:
  the same checkpoint, signed later, says that nothing came since.
- What it answers counts only once its signature was checked with the key in the settings.
- Several processes may publish and ask at once: a witness that is ahead of the checkpoint in hand,
  or moves on between two questions, is asked anew with the latest one before it counts as trouble.
- A witness that saw other entries than this log has (409, 422), or more of them, is an alarm, and
  so is one that has said nothing for too long. A witness that is away for a moment is not.
- An alarm is an event (`audit-witness`, failed), and so is its end: each once. What is well writes
  nothing, or every cosignature would make a new event to be cosigned.
- What witnesses signed stands under `witnessed/SIZE`, one note with all their signatures; their
  last word is looked up there, so that nothing else need be remembered.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from audit.events import AuditEvent, EventOutcome
from audit.verifier import (
    COSIGNER_KEY,
    Signature,
    Signed,
    Unsound,
    VerifierKey,
    number,
    read_checkpoint,
    signers,
    verifier_key,
)
from audit.witness import note_bytes, with_cosignature, write_request
from schemas.dates import Instant, to_instant
from schemas.errors import InputError, InvalidValue
from schemas.settings_audit import AuditSettings, WitnessSettings
from service.audit_log import AuditLog
from service.audit_ports import AuditQuery, AuditStore

ACTION = "audit-witness"
ADD_CHECKPOINT = "/add-checkpoint"
_RECENT = 200
_TURNS = 4
"""So often one witness is asked in a row, at most."""


class Trouble(StrEnum):
    """What can be wrong with a witness, in words."""

    NONE = ""
    FORKED = "it signed another history than this log shows"
    AHEAD = "it signed more entries than this log has"
    UNKNOWN = "it does not know this log, or none of its keys"
    REFUSED = "it refused the request"
    WRONG = "its answer bears no signature by the key in the settings"
    AWAY = "it does not answer"
    TOO_OLD = "its last signature is too old"
    NEVER = "it has never signed"
    NEVER_REACHED = "it has never signed, and did not answer when it was last asked"

    @property
    def code(self) -> str:
        """As events name it."""
        return self.name.lower().replace("_", "-")


ALARMS = frozenset(Trouble) - {Trouble.NONE, Trouble.AWAY}
"""What is written down and told; one that is away becomes too old soon enough."""


@dataclass(frozen=True)
class Reply:
    """What a witness answered; `status` 0: nothing."""

    status: int
    body: str = ""


Send = Callable[[str, bytes], Reply]
"""Posts a body to an address."""


@dataclass(frozen=True)
class WitnessState:
    """How it stands with one witness.

    Attributes:
        name: as in the settings.
        size, time: of the last checkpoint it signed: entries, and when; 0 and None: none.
        trouble: what is wrong.
        told: what the witness said the size is, where it holds another one.
    """

    name: str
    size: int = 0
    time: datetime | None = None
    trouble: Trouble = Trouble.NONE
    told: int | None = None

    def document(self) -> dict[str, Any]:
        """For people and scripts."""
        return {
            "witness": self.name,
            "size": self.size,
            "time": None if self.time is None else to_instant(self.time),
            "trouble": self.trouble.value,
            "its_size": self.told,
        }


def witness_keys(settings: AuditSettings) -> tuple[VerifierKey, ...]:
    """The keys of the witnesses in the settings. Raises: InvalidValue."""
    return tuple(map(_key, settings.witnesses))


def _key(witness: WitnessSettings) -> VerifierKey:
    try:
        key = verifier_key(witness.key)
    except Unsound as error:
        raise InvalidValue(f"audit.witness {witness.name}: {error}") from None
    if key.kind != COSIGNER_KEY:
        raise InvalidValue(f"audit.witness {witness.name}: the key is not that of a witness")
    return key


def states(log: AuditLog, settings: AuditSettings, now: Instant) -> list[WitnessState]:
    """How it stands with each witness, as far as can be told without asking."""
    return [_aged(_last_word(log, one), settings, now) for one in settings.witnesses]


def states_written(
    store: AuditStore, log: AuditLog, settings: AuditSettings, now: Instant
) -> list[WitnessState]:
    """As `states`, with what was last written of those that have never signed."""
    known = _last_written(store)
    return [
        replace(one, trouble=Trouble.NEVER_REACHED)
        if one.trouble is Trouble.NEVER and known.get(one.name) == Trouble.NEVER_REACHED.code
        else one
        for one in states(log, settings, now)
    ]


def ask_witnesses(
    log: AuditLog, settings: AuditSettings, send: Send, now: Instant
) -> list[WitnessState]:
    """Asks every witness that is due for its signature under the latest checkpoint, and keeps what
    it gives. Raises: NotFound: there is no checkpoint yet; AuditBroken: it is not sound."""
    note = read_checkpoint(log.note())
    found = []
    for witness in settings.witnesses:
        state = _last_word(log, witness)
        if witness.url and _is_due(state, note.size, settings, now):
            state = _asked(log, witness, state, note, send)
        found.append(_aged(state, settings, now))
    return found


def request_by_hand(log: AuditLog, settings: AuditSettings, name: str) -> bytes:
    """What is to be carried to a witness that is reached by no network.

    Raises: InputError: no witness of that name.
    """
    for witness in settings.witnesses:
        if witness.name == name:
            note, old = read_checkpoint(log.note()), _last_word(log, witness).size
            proof = log.consistency(old, note.size) if 0 < old < note.size else []
            return write_request(old, proof, note_bytes(note))
    raise InputError("no witness of that name in the settings; see [[audit.witness]]")


def add_by_hand(log: AuditLog, settings: AuditSettings, cosigned: bytes) -> list[str]:
    """Keeps the signatures of a checkpoint that was carried to a witness and back; returns whose.

    Raises: InputError: it is not a checkpoint of this log's past, or no witness signed it.
    """
    try:
        note = read_checkpoint(cosigned)
        found, _ = signers(note, witness_keys(settings))
    except Unsound as error:
        raise InputError(f"the checkpoint that was signed: {error}") from None
    if (
        note.origin != log.origin
        or not 0 < note.size <= log.size()
        or (log.root(note.size) != note.root)
    ):
        raise InputError("the checkpoint that was signed is not of this log's past")
    if not found:
        raise InputError("no witness of the settings signed it; see [[audit.witness]]")
    names = {one.key.name for one in found}
    for one in note.signatures:
        if one.name in names:
            _keep(log, note, one)
    return sorted(names)


def write_changes(
    store: AuditStore, found: Sequence[WitnessState], actor: str, role: str, now: Instant
) -> list[WitnessState]:
    """Writes down what became wrong and what became right since it was last written; returns
    those."""
    known = _last_written(store)
    changed = [
        one
        for one in found
        if one.trouble is not Trouble.AWAY
        and one.trouble.code != known.get(one.name, Trouble.NONE.code)
    ]
    for one in changed:
        outcome = EventOutcome.FAILED if one.trouble in ALARMS else EventOutcome.PERMITTED
        details = {"witness": one.name, "trouble": one.trouble.code, "size": one.size}
        if one.told is not None:
            details["its_size"] = one.told
        store.append_event(
            AuditEvent(
                at=now, action=ACTION, outcome=outcome, actor=actor, role=role, purpose="-",
                details=details,
            )
        )  # fmt: skip
    return changed


def _last_written(store: AuditStore) -> dict[str, str]:
    query = AuditQuery(actions=frozenset({ACTION}), newest_first=True, limit=_RECENT)
    known: dict[str, str] = {}
    for page in store.find_numbered(query):
        for one in page:
            details = one.event.details
            known.setdefault(str(details["witness"]), str(details["trouble"]))
    return known


# --- one witness -------------------------------------------------------------------------------


def _asked(
    log: AuditLog, witness: WitnessSettings, state: WitnessState, note: Signed, send: Send
) -> WitnessState:
    """Asks from what it signed last; then from where it says it is, while it says otherwise."""
    old = state.size
    for _ in range(_TURNS):
        if old > note.size:
            note = read_checkpoint(log.note())  # another process may have had it sign that
        if old > note.size:
            return replace(state, trouble=Trouble.AHEAD, told=old)
        proof = log.consistency(old, note.size) if 0 < old < note.size else []
        request = write_request(old, proof, note_bytes(note))
        reply = send(witness.url.rstrip("/") + ADD_CHECKPOINT, request)
        if reply.status == 200:
            return _kept(log, witness, state, note, reply.body)
        if reply.status != 409:
            return replace(state, trouble=_TROUBLES.get(reply.status, Trouble.REFUSED))
        try:
            told = number(reply.body.removesuffix("\n"))
        except Unsound:
            return replace(state, trouble=Trouble.REFUSED)
        if told == old:
            break
        old = told
    return replace(state, trouble=Trouble.FORKED, told=old)


_TROUBLES = {
    0: Trouble.AWAY, 403: Trouble.UNKNOWN, 404: Trouble.UNKNOWN, 422: Trouble.FORKED,
    429: Trouble.AWAY, 500: Trouble.AWAY, 502: Trouble.AWAY, 503: Trouble.AWAY, 504: Trouble.AWAY,
}  # fmt: skip
"""Status → trouble; any other is a refusal."""


def _kept(
    log: AuditLog, witness: WitnessSettings, state: WitnessState, note: Signed, answer: str
) -> WitnessState:
    try:
        signed, time = with_cosignature(note, answer, _key(witness))
    except Unsound:
        return replace(state, trouble=Trouble.WRONG)
    _keep(log, note, signed.signatures[-1])
    return WitnessState(state.name, note.size, _moment(time))


def _keep(log: AuditLog, note: Signed, signature: Signature) -> None:
    """Beside what others signed of this size; in the place of what the witness signed before."""
    whose = signature.name, signature.key_id
    with log.witnessing():
        held = log.witnessed(note.size)
        before = note if held is None else read_checkpoint(held)
        others = [one for one in before.signatures if (one.name, one.key_id) != whose]
        signed = replace(before, signatures=(*others, signature))
        log.keep_witnessed(note.size, note_bytes(signed))


def _last_word(log: AuditLog, witness: WitnessSettings) -> WitnessState:
    """The greatest checkpoint that it signed, out of what is kept."""
    for size, note in _kept_notes(log):
        try:
            found, _ = signers(note, [_key(witness)])
        except Unsound:
            continue
        for one in found:
            if one.time is not None:
                return WitnessState(witness.name, size, _moment(one.time))
    return WitnessState(witness.name)


def _kept_notes(log: AuditLog) -> Iterator[tuple[int, Signed]]:
    for size in reversed(log.witnessed_sizes()):
        held = log.witnessed(size)
        if held is not None:
            try:
                yield size, read_checkpoint(held)
            except Unsound:
                continue  # `verify` tells of it


def _is_due(state: WitnessState, size: int, settings: AuditSettings, now: Instant) -> bool:
    if state.size != size or state.time is None:
        return True
    return _age(state.time, now) > timedelta(minutes=settings.checkpoint_too_old_minutes) / 2


def _aged(state: WitnessState, settings: AuditSettings, now: Instant) -> WitnessState:
    """As it is, with what time alone makes wrong."""
    if state.trouble not in (Trouble.NONE, Trouble.AWAY):
        return state
    if state.time is None:
        away = state.trouble is Trouble.AWAY
        return replace(state, trouble=Trouble.NEVER_REACHED if away else Trouble.NEVER)
    if _age(state.time, now) > timedelta(minutes=settings.checkpoint_too_old_minutes):
        return replace(state, trouble=Trouble.TOO_OLD)
    return state


def _age(time: datetime, now: Instant) -> timedelta:
    return datetime.fromisoformat(now) - time


def _moment(time: int) -> datetime:
    """Times beyond what the calendar holds are as good as none."""
    return datetime.fromtimestamp(min(time, 1 << 37), UTC)
