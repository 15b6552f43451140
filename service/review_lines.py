"""Review and corrections as lines for a person. What holds a person's values is for the screen."""

from __future__ import annotations

from collections.abc import Sequence
from textwrap import wrap
from typing import Any

from schemas.codes import NumberStatus
from schemas.decisions import Standing, Verdict
from service.corrections import Correction, Viewer
from service.quality_control import Agreement, Drawn
from service.review import Answered
from service.review_queue import STILL_APART
from service.summary import aligned

_MARKS = {"agrees": "=", "partly": "~", "differs": "x", "unknown": " "}
_WIDTH = 38
_STATUS = {status.value: status.name.replace("_", " ").lower() for status in NumberStatus}
_STANCES = {
    "join": "strong enough to join", "between": "in the review band", "against": "too weak",
    "forbidden": "forbidden",
}  # fmt: skip
_LEGEND = "= agrees   ~ partly   x differs   blank: nothing to compare"


def task_lines(found: dict[str, Any]) -> list[str]:
    """The queue's head, a line a task."""
    hidden = [
        f"{n:,} more {'wait' if n != 1 else 'waits'} for {whom}"
        for n, whom in (
            (found["for_others"], "named staff or another person"),
            (found["undecided"], "their time: somebody could not decide"),
            (found["yours_waiting"], "a second person: decided by you"),
        )
        if n
    ]
    if not found["tasks"]:
        return ["nothing to review", *hidden]
    rows = [
        (t["task"], t["points"], "-" if t["bits"] is None else f"{t['bits']:+.1f}", t["records"],
         t["kind"], "; ".join(t["reasons"]))
        for t in found["tasks"]
    ]  # fmt: skip
    kinds = ", ".join(f"{n:,} {kind}" for kind, n in found["kinds"].items())
    return [
        *aligned(("task", "points", "bits", "records", "kind", "urgent because"), rows),
        "",
        f"{found['open']:,} open ({kinds})",
        *hidden,
        "look at the first: `commonthread review next`",
    ]


def shown_lines(shown: dict[str, Any], command: bool = True) -> list[str]:
    """Two records side by side, what speaks for and against, what was decided before; last, if
    wanted, the command that decides it."""
    urgent = "; ".join(shown["reasons"]) or "nothing special"
    lines = [f"task {shown['task']}   {shown['kind']}   ({urgent})", *wrap(shown["why"], 96), ""]
    if shown["restricted"]:
        lines += ["RESTRICTED: whereabouts are withheld; go by the marks", ""]
    lines += [*_side_by_side(shown), "", _LEGEND, ""]
    lines += _others(shown)
    fields = [(f["field"], f["level"], f["bits_against_strangers"], f["bits_against_relatives"])
              for f in shown["fields"] if f["level"] != "missing"]  # fmt: skip
    lines += aligned(("field", "level", "bits, strangers", "bits, relatives"), fields)
    lines += [
        "",
        f"match weight {shown['bits']:+.2f} bits (probability {shown['probability']:.6f}): "
        f"{shown['verdict_of_the_model']}",
        f"shown now as {'one person' if shown['published_as_one'] else 'two persons'}",
        *_across(shown),
        *_thirds(shown),
    ]
    if shown["decisions"]:
        lines += ["", "decided before about either record:", *_acts(shown["decisions"])]
    if not command:
        return lines
    decide = f"commonthread review decide {shown['task']} same|different|undecided --reason '…'"
    return [*lines, "", decide]


def _side_by_side(shown: dict[str, Any]) -> list[str]:
    one, two = shown["records"]
    lines = [
        _row("", f"{one['source']} / {one['local_id']}", f"{two['source']} / {two['local_id']}")
    ]
    names = [name for name in one if name not in ("source", "local_id")]
    first = [name for name in shown["marks"] if name in names]
    for name in [*first, *(name for name in names if name not in first)]:
        left, right = (_texts(_worded(name, side[name])) for side in (one, two))
        if not left and not right:
            continue
        mark = _MARKS[shown["marks"].get(name, "unknown")]
        for at in range(max(len(left), len(right), 1)):
            label = name.replace("_", " ") if not at else ""
            cells = [side[at] if at < len(side) else "" for side in (left, right)]
            lines.append(_row(label, cells[0], cells[1], "" if at else mark))
    return lines


def _others(shown: dict[str, Any]) -> list[str]:
    """The other records of both persons, a line each: the answer is about the persons."""
    lines = []
    sides = ("both",) if shown["published_as_one"] else ("left", "right")
    for side, others in zip(sides, shown["others"], strict=True):
        lines += [f"also {side}: {_known(other)}" for other in others]
    return [*lines, ""] if lines else []


def _across(shown: dict[str, Any]) -> list[str]:
    """What the pairs of records across both persons say, and whether one person is enough."""
    found = shown["across"]
    if found is None:
        return []
    lines = []
    if found["pairs"] > 1:
        counts = ", ".join(
            f"{found[name]:,} {words}" for name, words in _STANCES.items() if found[name]
        )
        some = "" if found["compared"] == found["pairs"] else f", {found['compared']:,} compared"
        lines += ["", f"{found['pairs']:,} pairs of records across the two{some}: {counts}"]
        lines += [f"against: {_pair(one)}" for one in found["worst"]]
    if found["second_person"]:
        lines.append(f"`same` would wait for a second person: {found['second_person']}")
    return lines


def _thirds(shown: dict[str, Any]) -> list[str]:
    lines = []
    for third in shown["thirds"]:
        more = f" and {third['records'] - 1:,} more" if third["records"] > 1 else ""
        lines += ["", f"also in question: {_known(third['record'])}{more}"]
        for side in ("left", "right"):
            one = third[side]
            lines.append(f"   with {side}: {_STANCES[one['stance']]}: {_pair(one)}")
            persons = shown["records"][side == "right"]["person_id"], third["person_id"]
            if shown["kind"] == STILL_APART and one["stance"] == "forbidden" and all(persons):
                lines.append(
                    "   that is in the way. If they are one too: `commonthread person merge"
                    f" {persons[0]} {persons[1]} --reason '…'`; if not, revoke what is wrong"
                )
    return lines


def _pair(one: dict[str, Any]) -> str:
    """A pair of records, its weight, and what counts against it."""
    fields = [f"{f['field']} {f['level']} {f['bits']:+.1f}" for f in one["fields"]]
    why = "; ".join([one["guard"]] if one["guard"] else fields)
    return f"{one['records'][0]} with {one['records'][1]}, {one['bits']:+.1f} bits" + (
        f" ({why})" if why else ""
    )


def _known(record: dict[str, Any]) -> str:
    """A record on one line."""
    where = record["addresses"]
    known = [
        "; ".join(record["names"]), record["birth_date"], record["gender"], record["nhs_number"],
        where[0] if isinstance(where, list) and where else None,
        f"{record['source']} / {record['local_id']}",
    ]  # fmt: skip
    return ", ".join(str(v) for v in known if v)


def _row(label: str, left: str, right: str, mark: str = "") -> str:
    return f"{mark or ' '} {label:<18} {left:<{_WIDTH}}  {right}".rstrip()


def _worded(name: str, value: Any) -> Any:
    return _STATUS.get(value, value) if name == "nhs_number_status" else value


def _texts(value: Any) -> list[str]:
    """A value as lines that fit a column."""
    if value is None:
        return []
    entries = value if isinstance(value, list | tuple) else [value]
    return [line for entry in entries for line in wrap(str(entry), _WIDTH) or [""]]


def decision_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line a decision."""
    if not rows:
        return ["nothing is decided"]
    return [
        f"decision {d['decision']} ({d['origin']}, task {d['task']}): {d['verdict']}, "
        f"{d['standing']}{', rests' if d.get('rests') else ''}; {d['author']} on "
        f"{d['decided_at'][:10]}: {d['reason']}"
        + (f"; confirmed by {d['confirmed_by']}" if d["confirmed_by"] else "")
        + (f"; ended by {d['revoked_by']}: {d['revoked_reason']}" if d["revoked_by"] else "")
        for d in rows
    ]


def _acts(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line for all that was decided in one go and stands alike."""
    found: dict[tuple[int, str], list[dict[str, Any]]] = {}
    for row in rows:
        found.setdefault((row["act"], row["standing"]), []).append(row)
    return [
        decision_lines(some[:1])[0] + (f" (and {len(some) - 1:,} more pairs)" if some[1:] else "")
        for some in found.values()
    ]


def decided_lines(answered: Answered) -> list[str]:
    """What became of a decision, and what is left."""
    one = answered.decision
    told = {
        Standing.PENDING: f"waits for a second person ({one.awaits}); no effect until then",
        Standing.LABEL: "kept as a judgement; nothing changes",
        Standing.LIVE: "holds; the next link publishes it",
    }
    if one.verdict is Verdict.UNDECIDED:
        told[Standing.LIVE] = f"nothing changes; the task comes back in {answered.days} days"
    many = f", of {answered.pairs:,} pairs of records" if answered.pairs > 1 else ""
    lines = [f"decision {one.decision_id}: {one.verdict.value}{many}; {told[one.standing]}"]
    if answered.against:
        ids = ", ".join(str(d.decision_id) for d in answered.against)
        lines.append(f"it contradicts decision {ids}: revoke that, and it can act")
    return [*lines, f"{answered.left:,} open; `commonthread review next` shows the next"]


def correction_lines(done: Correction, published: str) -> list[str]:
    """What a correction wrote and when it shows."""
    lines = [f"{done.decisions:,} decisions written, from {done.first_decision}"]
    if done.ended:
        lines.append(f"{done.ended:,} decisions that stood against it are ended")
    if done.awaits:
        lines.append(
            f"no effect until a second person confirms it ({done.awaits}); they find it with"
            " `commonthread review next --kind 'second person'`"
        )
        return lines
    return [*lines, published]


def viewer_lines(done: Correction) -> list[str]:
    """Who saw the mixed record."""
    if done.mixed_since is None:
        return ["the records were never shown as one person"]
    header = ("account", "role", "purpose", "did", "times", "first", "last")
    lines = [f"shown as one person since {done.mixed_since}", ""]
    for title, rows in (
        ("who saw it since:", done.viewers),
        ("extracts of everybody since:", done.exports),
    ):
        lines.append(title if rows else f"{title} nobody")
        if rows:
            lines += [*aligned(header, [_viewer(v) for v in rows]), ""]
    return lines


def _viewer(v: Viewer) -> tuple[Any, ...]:
    return v.actor, v.role, v.purpose, v.action, v.times, v.first, v.last


def drawn_lines(drawn: Sequence[Drawn]) -> list[str]:
    """How many pairs were drawn of each stratum."""
    rows = [(f"{d.low:+.1f}", d.pairs, d.drawn) for d in drawn]
    total = sum(d.drawn for d in drawn)
    return [
        *aligned(("from bits", "joined pairs", "drawn"), rows),
        "",
        f"{total:,} pairs are tasks of quality control now",
    ]


def agreement_lines(found: Agreement) -> list[str]:
    """Agreement of reviewers, then precision."""
    if not found.judged:
        return ["nothing is judged yet: `commonthread review sample`, then `review list`"]
    lines = [f"{found.judged:,} pairs judged, {found.twice:,} of them by two people or more"]
    if found.twice:
        lines.append(f"agreed on {found.agreed:,} of {found.twice:,}")
        rows = [
            (r.one, r.two, r.pairs, r.agreed, "-" if r.kappa is None else f"{r.kappa:+.3f}")
            for r in found.reviewers
        ]
        lines += aligned(("reviewer", "reviewer", "pairs", "agreed", "kappa"), rows)
    strata = [
        (f"{s.low:+.1f}", s.pairs, s.drawn, s.same, s.different, s.unsure,
         "-" if s.precision is None else f"{s.precision:.4f}", f"{s.lower:.4f} to {s.upper:.4f}")
        for s in found.strata
    ]  # fmt: skip
    header = (
        "from bits", "pairs", "drawn", "same", "different", "unsure", "precision", "95 % interval",
    )  # fmt: skip
    lines += ["", f"draw of {found.drawn_at}", *aligned(header, strata)]
    if found.precision is not None:
        lines.append(
            f"precision {found.precision:.4f} (95 % interval {found.lower:.4f} to "
            f"{found.upper:.4f}), of {found.covered:.0%} of the joined pairs"
        )
    return lines
