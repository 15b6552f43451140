"""What can be hidden in the small partnership, how, and what one that never had it lacks."""

from __future__ import annotations

from collections.abc import Callable

from schemas.items import Heading
from schemas.sharing import DirectiveKind, Targets
from service.sharing import Sharing
from tests.service.sharing_world import MUM, TOM, asks, lay_down, wish


def seal(sharing: Sharing) -> None:
    """Seals Tom's asthma, invisibly."""
    doctor = asks(sharing, "ST1")
    (item,) = sharing.items(doctor, TOM, frozenset({Heading.CONDITION})).record.items
    sealed = wish(DirectiveKind.SEAL, item_key=item.item_key, invisible=True)
    lay_down(sharing, TOM, directive=sealed)


def bar(sharing: Sharing) -> None:
    """Bars the nurse from Una's record."""
    targets = Targets(staff=frozenset({"ST2"}))
    lay_down(sharing, MUM, directive=wish(DirectiveKind.BAR_STAFF, targets=targets))


def nothing(_: Sharing) -> None:
    """What law bars, and does not travel, needs no wish to be hidden."""


Case = tuple[Callable[[Sharing], None], tuple[str, ...], str]
HIDDEN: dict[str, Case] = {
    "a sealed item": (seal, ("c1",), "ST1"),
    "barred staff": (bar, ("mum", "h5", "a3"), "ST2"),
    "another's sexual health clinic": (nothing, ("x1", "k1"), "ST1"),
}
"""What is hidden → how, what the other partnership lacks, and who asks."""
