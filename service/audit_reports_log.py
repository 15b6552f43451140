"""The log integrity certificate: what was proved of the log, and what that does not prove."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from service.audit_reports import Column, Fact, Leaves, Number, Report, Row, Table
from service.audit_reports_asked import Asked, LogState, listed, local
from service.audit_reports_frame import number

PROVES = (
    "every log entry under this checkpoint is one leaf of the tree with this root hash: whoever"
    " holds the checkpoint can later tell whether an entry was changed, removed, added or moved.",
    "this log only grew from an earlier checkpoint, to whoever kept that one.",
)
PROVES_NOT = (
    "that everything that happened was written down: that rests on the program, which writes"
    " before it shows.",
    "by itself that nobody rewrote the log: whoever holds both the database and the signing"
    " key could make another log and sign it. Only a checkpoint that was kept outside, or a"
    " witness's cosignature, tells. Below stands who cosigned, and when.",
    "that the clock was right: the order of entries is proved, their times are the program's.",
    "what an entry meant: whether an access was right is for people to judge.",
)


def integrity_report(frame: pd.DataFrame, asked: Asked) -> Report:
    """The certificate."""
    log = asked.log or LogState(0, "", "", 0)
    everything = Leaves.of(range(log.size)) if log.size < 2 else Leaves(_whole(log.size))
    waiting = max(log.events - log.size, 0)
    keeping = frame[frame["action"].isin(KEEPING)]
    facts = (
        Fact("size", "entries under the checkpoint", Number(log.size, everything)),
        Fact("waiting", "events that wait for their entry",
             Number(waiting, Leaves.of(range(log.size, log.size + waiting)))),
        Fact("witnesses", "witnesses cosigned", Number(len(log.cosigned), unit="organisations")),
        Fact("keeping", "things done to the log itself in this span", number(keeping)),
    )  # fmt: skip
    tables = (
        _checkpoint(log, asked),
        _checks(log),
        _witnesses(log, asked),
        listed(
            "keeping", "What was done to the log itself",
            "Keys, erasures, holds, repairs, what was found wrong.",
            keeping, ("when", "did", "said", "outcome", "leaf"), asked,
            empty="Nothing was done to the log itself.",
        ),
    )  # fmt: skip
    return Report(
        "integrity", "Log integrity certificate",
        "Is the log that these reports come from whole, and who outside can vouch for it?",
        asked.period, asked.made_at, subject=log.origin, facts=facts, tables=tables,
        notes=tuple(f"It proves that {one}" for one in PROVES)
        + tuple(f"It does not prove {one}" for one in PROVES_NOT),
        act=(
            "Keep this page, or the root hash, outside the partnership: a copy at another"
            " organisation is what makes a later rewriting visible.",
            "Have the log verified whole: `commonthread audit verify`; a partner does the same with"
            " the stand-alone verifier and needs no access to the database.",
        ),
        public=True,
    )  # fmt: skip


KEEPING = frozenset({
    "audit-erase", "audit-retention", "audit-hold", "audit-hold-release", "audit-keys",
    "audit-mend", "journal-reconciled", "journal-damaged", "log-broken", "restore",
})  # fmt: skip
"""Actions that are done to the log itself."""


def _whole(size: int) -> NDArray[np.int64]:
    return np.array([[0, size - 1]], np.int64)


def _checkpoint(log: LogState, asked: Asked) -> Table:
    said = (
        ("Name of the log", log.origin or "not named"),
        ("Entries", f"{log.size:,}"),
        ("Root hash (SHA-256)", log.root or "no checkpoint yet"),
        ("Looked at", local(log.at, asked.zone) or "time not stated"),
    )
    rows = tuple(Row(one) for one in said)
    return Table(
        "checkpoint", "The checkpoint", "What the log has signed.",
        (Column("what", "What"), Column("value", "Value", "id")), rows,
    )  # fmt: skip


def _checks(log: LogState) -> Table:
    found = log.checked
    rows = () if found is None else tuple(Row((one,)) for one in found or ("Nothing is wrong.",))
    return Table(
        "checks", "What verification found", "Each event against its entry, each entry against the"
        " tree, the tree against the signature.", (Column("found", "Found"),), rows,
        empty="Not verified when this was made. Run `commonthread audit verify`.",
    )  # fmt: skip


def _witnesses(log: LogState, asked: Asked) -> Table:
    rows = tuple(
        Row((name, local(at, asked.zone), f"{size:,}"))
        for name, (at, size) in sorted(log.cosigned.items())
    )
    return Table(
        "witnesses", "Who outside cosigned", "Who saw the log grow, and until where.",
        (Column("witness", "Witness"), Column("when", "Last cosigned", "time"),
         Column("size", "Entries then")), rows,
        empty="No witness has cosigned. Until one does, only checkpoints kept outside prove that"
        " nothing was rewritten.",
    )  # fmt: skip
