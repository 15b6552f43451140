"""What is said of sharing on a command line, to values; and decisions to lines for people."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

from schemas.codes import PURPOSES
from schemas.dates import Instant, PartialDate, check_partial_date
from schemas.errors import InputError, InvalidValue
from schemas.held import Competence, Proxy, ProxyBasis
from schemas.identifiers import parse_ods_code
from schemas.sharing import Category, Directive, DirectiveKind, Effect, Label, Targets

C = TypeVar("C", Category, Label)


def day_of(option: str, text: str) -> PartialDate:
    """A day. Raises: InputError naming the option."""
    try:
        day = check_partial_date(text)
    except InvalidValue as error:
        raise InputError(f"{option}: {error.reason}") from None
    if len(day) != 10:
        raise InputError(f"{option}: expected a whole date, YYYY-MM-DD")
    return day


def _chosen(option: str, kinds: Iterable[C], texts: Iterable[str]) -> frozenset[C]:
    known = {one.value: one for one in kinds}
    wanted = list(texts)
    if any(text not in known for text in wanted):
        raise InputError(f"{option}: expected one of {', '.join(known)}")
    return frozenset(known[text] for text in wanted)


def directive_of(kind: str, said: Mapping[str, Any], now: Instant) -> Directive:
    """A wish. said: the options of `consent add` by name. Raises: InputError."""
    if kind not in set(DirectiveKind) - {DirectiveKind.GP_DISSENT}:
        known = ", ".join(one for one in DirectiveKind if one is not DirectiveKind.GP_DISSENT)
        raise InputError(f"a wish is one of: {known}")
    if any(one not in PURPOSES for one in said["purposes"]):
        raise InputError(f"--for: expected one of {', '.join(PURPOSES)}")
    try:
        return Directive(
            directive_id="new",
            kind=DirectiveKind(kind),
            effect=Effect.PERMIT if said["permit"] else Effect.DENY,
            start=day_of("--from", said["start"]) if said["start"] else PartialDate(now[:10]),
            end=day_of("--until", said["end"]) if said["end"] else None,
            made_by="person",
            item_key=said["item"],
            invisible=said["invisible"],
            targets=Targets(
                organisations=frozenset(parse_ods_code(text) for text in said["organisation"]),
                roles=frozenset(said["role"]),
                staff=frozenset(said["staff"]),
                purposes=frozenset(said["purposes"]),
                categories=_chosen("--category", Category, said["category"]),
                labels=_chosen("--label", Label, said["label"]),
            ),
        )
    except InvalidValue as error:
        raise InputError(error.reason) from None


def proxy_of(proxy_id: str, said: Mapping[str, Any]) -> Proxy:
    """A proxy. said: the options of `consent proxy` by name. Raises: InputError."""
    if said["basis"] not in set(ProxyBasis):
        raise InputError(f"--basis: expected one of {', '.join(ProxyBasis)}")
    days = {
        name: day_of(f"--{option}", said[name]) if said[name] else None
        for name, option in (("end", "until"), ("reviewed_on", "reviewed-on"),
                             ("renewed_on", "renewed-on"))
    }  # fmt: skip
    return Proxy(
        proxy_id=proxy_id,
        basis=ProxyBasis(said["basis"]),
        evidenced=said["evidenced"],
        orders_checked=said["orders_checked"],
        let_stand=said["let_stand"],
        start=day_of("--from", said["start"]),
        **days,
    )


def competence_of(about: Sequence[str], found_by: str, on: str) -> Competence:
    """A finding of competence. Raises: InputError."""
    return Competence(_chosen("--about", Category, about), found_by, day_of("--on", on))


def check_lines(told: Mapping[str, Any]) -> list[str]:
    """What a member of staff would see, for people."""
    if not told["classes"]:
        return ["to this member of staff there is no such person"]
    lines = [
        *(f"{what}: {_answer(told[what])}" for what in ("trace", "opening", "safeguarding_flags")),
        f"obligations: {', '.join(told['obligations']) or 'none'}",
    ]
    for one in told["classes"]:
        labels = f" [{', '.join(one['labels'])}]" if one["labels"] else ""
        lines.append(
            f"{one['category']} of {one['source']}{labels}, {one['items']} items: {_answer(one)}"
        )
    return lines + [f"item {one['item']}: {_answer(one)}" for one in told["items"]]


def _answer(one: Mapping[str, Any]) -> str:
    if one["permitted"]:
        return f"permitted ({', '.join(one['policies'])})"
    remedies = f"; {'; '.join(one['remedies'])}" if one["remedies"] else ""
    return f"refused, {one['tell']} ({', '.join(one['policies'])}){remedies}"
