r"""HL7 v2.4 feeds of two hospitals: ADT, ORU, MDM, SIU and REF messages.

Rules:
- One system sends a batch (FHS BHS ... BTS FTS), the other messages one after another, a file per
  kind. Segments end in CR.
- Every record comes in one ADT message at least (A28, or A31 for those known long); an admission
  makes it A01, or A03 once discharged; an attendance A04. Allergies, diagnoses, procedures and
  next of kin travel in that message.
- A merge is an A40 after the A28s of both records: PID names the survivor, MRG the retired id.
- The separators | ^ ~ \ & inside values are escaped (HL7 v2.4, 2.10).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from demo.catalogue import SNOMED
from demo.files import STAMP, write_feed
from demo.items import Items
from demo.names import Texts
from demo.records import View

_ESCAPES = str.maketrans({"\\": "\\E\\", "|": "\\F\\", "^": "\\S\\", "&": "\\T\\", "~": "\\R\\"})


@dataclass(frozen=True)
class Sender:
    """How one hospital writes: its assigning authority, character set and batching."""

    authority: str
    charset: str
    encoding: str
    batch: bool
    shared_authority: str = ""


SENDERS: dict[str, Sender] = {
    "acute_royal": Sender("ROYAL", "UNICODE UTF-8", "utf-8", True),
    "acute_northmoor": Sender("NMGH", "8859/1", "latin-1", False, "ROYAL"),
}

_INSIDE_ADT = {"allergy": "AL1", "condition": "DG1", "procedure": "PR1", "personal_contact": "NK1"}
_OWN_MESSAGE = {"observation": ("ORU^R01", "oru"), "document": ("MDM^T02", "mdm"),
                "appointment": ("SIU^S12", "siu"), "referral": ("REF^I12", "ref")}  # fmt: skip
_VISITS = ("admission", "encounter")
_SIU_STATUS = {"booked": "Booked", "fulfilled": "Complete", "noshow": "Noshow",
               "cancelled": "Cancelled"}  # fmt: skip


def escape(text: str) -> str:
    r"""A value with HL7's separators escaped."""
    return text.translate(_ESCAPES)


def compact(moment: str) -> str:
    """ISO date or moment as HL7 writes it: 2026-03-01T04:00:00 → 20260301040000."""
    return moment.replace("-", "").replace("T", "").replace(":", "")


def _name(c: dict[str, Texts], row: int) -> str:
    given, family = escape(c["given"][row]), escape(c["family"][row])
    first = f"{family}^{given}^{escape(c['middle'][row])}^^{c['prefix'][row].upper()}^^L"
    names = [first]
    if c["previous_family"][row]:
        names.append(f"{escape(c['previous_family'][row])}^{given}^^^^^M")
    if c["known_as"][row]:
        names.append(f"{family}^{escape(c['known_as'][row])}^^^^^N")
    return "~".join(names)


def _address(c: dict[str, Texts], row: int) -> str:
    out = []
    for prefix, use in (("", "H"), ("previous_", "BA")):
        parts = [escape(c[prefix + name][row]) for name in ("line1", "line2", "town")]
        postcode = c[prefix + "postcode"][row]
        if postcode or any(parts):
            out.append(f"{parts[0]}^{parts[1]}^{parts[2]}^^{postcode}^GBR^{use}")
    return "~".join(out)


def _telecoms(c: dict[str, Texts], row: int) -> str:
    out = []
    if c["landline"][row]:
        out.append(f"{c['landline'][row]}^PRN^PH")
    if c["mobile"][row]:
        out.append(f"{c['mobile'][row]}^PRN^CP")
    if c["email"][row]:
        out.append(f"^NET^Internet^{c['email'][row]}")
    return "~".join(out)


def _person(view: View, sender: Sender, row: int) -> str:
    """The PID and PD1 segments of a record."""
    c = view.columns
    ids = [f"{c['local_id'][row]}^^^{sender.authority}^MR"]
    if c["nhs"][row]:
        ids.append(f"{c['nhs'][row]}^^^NHS^NH")
    if c["shared_id"][row]:
        ids.append(f"{c['shared_id'][row]}^^^{sender.shared_authority}^MR")
    pid = [""] * 33
    pid[1], pid[3], pid[5] = "1", "~".join(ids), _name(c, row)
    pid[7], pid[8] = compact(c["birth"][row]), c["gender"][row]
    pid[11], pid[13], pid[22] = _address(c, row), _telecoms(c, row), c["ethnicity"][row]
    pid[29], pid[30], pid[32] = (
        compact(c["death"][row]),
        c["deceased"][row],
        c["nhs_status"][row],
    )
    pd1 = [""] * 13
    practice = c["gp_practice"][row]
    pd1[3], pd1[12] = (f"^^{practice}" if practice else ""), c["restricted"][row]
    return "PID" + "|".join(pid) + "\rPD1" + "|".join(pd1).rstrip("|") + "\r"


def _coded(items: Items, n: int) -> str:
    entry = items.entry[n]
    return (
        f"{escape(entry.code)}^{escape(entry.display)}^{'SCT' if entry.system == SNOMED else 'L'}"
    )


def _split_name(name: str) -> str:
    """A name as one text as HL7's family^given: the last word is the family name."""
    given, _, family = name.rpartition(" ")
    return f"{escape(family)}^{escape(given)}"


def _author(items: Items, n: int) -> str:
    return f"^{_split_name(items.author[n])}"


def _segment(items: Items, n: int, nth: int) -> str:
    """An item that travels inside an ADT message, as a segment."""
    name, coded = _INSIDE_ADT[items.heading], _coded(items, n)
    day = compact(items.start[n])
    match name:
        case "AL1":
            return f"AL1|{nth}|DA|{coded}|MO||{day}\r"
        case "DG1":
            return f"DG1|{nth}||{coded}||{day}|F\r"
        case "PR1":
            return f"PR1|{nth}||{coded}||{day}\r"
        case _:
            return f"NK1|{nth}|{_split_name(items.value[n])}|{coded}\r"


def _visit(items: Items, n: int) -> tuple[str, str]:
    """Event and PV1 segment of an admission or attendance."""
    began = compact(items.start[n] + "T" + items.time[n])
    ended = compact(items.end[n] + "T23:00:00") if items.end[n] else ""
    inpatient = items.heading == "admission"
    event = ("A03" if ended else "A01") if inpatient else "A04"
    pv1 = [""] * 46
    pv1[1], pv1[2], pv1[3] = "1", "I" if inpatient else "O", "WARD1" if inpatient else "OPD"
    pv1[4], pv1[7], pv1[19] = items.entry[n].code, _author(items, n), items.item_id[n]
    pv1[44], pv1[45] = began, ended
    return event, "PV1" + "|".join(pv1).rstrip("|") + "\r"


def _own_message(items: Items, n: int, person: str) -> str:
    """What follows EVN or MSH in a message of its own."""
    began = compact(items.start[n] + "T" + items.time[n])
    coded, author, item = _coded(items, n), _author(items, n), items.item_id[n]
    entry = items.entry[n]
    match items.heading:
        case "observation":
            return (f"{person}OBR|1||{item}|{coded}|||{began}\r"
                    f"OBX|1|NM|{coded}||{items.value[n]}|{escape(entry.unit)}|||||F|||"
                    f"{began}\r")  # fmt: skip
        case "document":
            text = (
                f"{escape(entry.display)} of {items.start[n]}. Nothing further is said in the demo."
            )
            return (f"{person}PV1|1|O\rTXA|1|{entry.code}|TX|{began}||{began}|||{author}|||{item}"
                    "|||||LA\r"
                    f"OBX|1|TX|{coded}||{text}||||||F\r")  # fmt: skip
        case "appointment":
            status = _SIU_STATUS[items.status[n]]
            return (f"SCH|{item}|{item}|||||{coded}|||30|min|^^^{began}||||{author}"
                    f"|||||||||{status}\r"
                    f"{person}RGS|1\rAIS|1|A|{coded}|{began}\r")  # fmt: skip
        case _:
            status = "A" if items.status[n] == "active" else "C"
            return f"RF1|{status}||{coded}|||{item}|{began}\rPRD|RP|{author[1:]}\r{person}"


class _Messages:
    """Writes messages of one system with running control ids."""

    def __init__(self, view: View, sender: Sender) -> None:
        self.view, self.sender, self.sent = view, sender, 0

    def message(self, event: str, when: str, body: str) -> str:
        """A whole message. EVN stands in ADT and MDM messages only."""
        self.sent += 1
        kind, trigger = event.split("^")
        head = (
            f"MSH|^~\\&|PAS|{self.sender.authority}|COMMONTHREAD|PARTNERSHIP|{when}||{event}|"
            f"{self.sender.authority}{self.sent:08d}|P|2.4|||||GBR|{self.sender.charset}\r"
        )
        evn = f"EVN|{trigger}|{when}\r" if kind in ("ADT", "MDM") else ""
        return head + evn + body

    def adt(self, items: list[Items]) -> Iterator[str]:
        """One ADT message per record, one more for each further visit, then the merges."""
        inside: dict[int, list[str]] = {}
        visits: dict[int, list[tuple[str, str]]] = {}
        for part in items:
            rows = part.row.tolist()
            if part.heading in _INSIDE_ADT:
                for n, row in enumerate(rows):
                    held = inside.setdefault(row, [])
                    held.append(_segment(part, n, len(held) + 1))
            elif part.heading in _VISITS:
                for n, row in enumerate(rows):
                    visits.setdefault(row, []).append(_visit(part, n))
        stamps = self.view.columns["as_at"]
        for row in range(len(self.view)):
            person = _person(self.view, self.sender, row)
            when = compact(stamps[row])
            segments = _in_order(inside.get(row, []))
            mine = visits.get(row, [])
            event, pv1 = mine[0] if mine else ("A31" if row % 3 else "A28", "PV1|1|N\r")
            yield self.message(f"ADT^{event}", when, person + _with_visit(segments, pv1))
            for event, pv1 in mine[1:]:
                yield self.message(f"ADT^{event}", when, person + pv1)
        yield from self.merges(self.view.merges, STAMP)

    def merges(self, merges: list[tuple[int, int]], stamp: str) -> Iterator[str]:
        """An A40 per (retired row, surviving row)."""
        for retired, survivor in merges:
            person = _person(self.view, self.sender, survivor)
            ids = f"{self.view.columns['local_id'][retired]}^^^{self.sender.authority}^MR"
            yield self.message("ADT^A40", f"{stamp}030000", f"{person}MRG|{ids}\r")

    def night(
        self, rows: list[int], merges: list[tuple[int, int]], deleted: list[int], stamp: str
    ) -> Iterator[str]:
        """A later night: records said anew, merged, deleted. Control ids go on from the stamp."""
        self.sent = int(stamp[4:]) * 10_000
        for row in rows:
            when = compact(self.view.columns["as_at"][row])
            person = _person(self.view, self.sender, row)
            yield self.message("ADT^A31", when, f"{person}PV1|1|N\r")
        yield from self.merges(merges, stamp)
        for row in deleted:
            ids = f"{self.view.columns['local_id'][row]}^^^{self.sender.authority}^MR"
            yield self.message("ADT^A29", f"{stamp}033000", f"PID|1||{ids}\r")

    def others(self, part: Items) -> Iterator[str]:
        """A message for each item of a heading that has messages of its own."""
        event, _ = _OWN_MESSAGE[part.heading]
        stamps = self.view.columns["as_at"]
        for n, row in enumerate(part.row.tolist()):
            person = _person(self.view, self.sender, row)
            yield self.message(event, compact(stamps[row]), _own_message(part, n, person))


_ORDER = ("NK1", "AL1", "DG1", "PR1")
"""Order of segments in ADT messages: NK1 before PV1, the others after it."""


def _in_order(segments: list[str]) -> list[str]:
    return sorted(segments, key=lambda s: _ORDER.index(s[:3]))


def _with_visit(segments: list[str], pv1: str) -> str:
    kin = "".join(s for s in segments if s.startswith("NK1"))
    return kin + pv1 + "".join(s for s in segments if not s.startswith("NK1"))


def _batch(sender: Sender, messages: Iterator[str], counter: _Messages) -> Iterator[str]:
    head = f"|^~\\&|PAS|{sender.authority}|COMMONTHREAD|PARTNERSHIP|{STAMP}040000\r"
    yield "FHS" + head
    yield "BHS" + head
    yield from messages
    yield f"BTS|{counter.sent}\rFTS|1\r"


def write_messages(folder: Path, view: View, items: list[Items]) -> list[Path]:
    """The feed of an HL7 v2 system."""
    sender = SENDERS[view.system.id]
    messages = _Messages(view, sender)
    own = [part for part in items if part.heading in _OWN_MESSAGE]

    def everything() -> Iterator[str]:
        yield from messages.adt(items)
        for part in own:
            yield from messages.others(part)

    if sender.batch:
        pieces = _batch(sender, everything(), messages)
        return [write_feed(folder / f"messages_{STAMP}.hl7", pieces, sender.encoding)]
    paths = [write_feed(folder / f"adt_{STAMP}.hl7", messages.adt(items), sender.encoding)]
    for part in own:
        path = folder / f"{_OWN_MESSAGE[part.heading][1]}_{STAMP}.hl7"
        paths.append(write_feed(path, messages.others(part), sender.encoding))
    return paths


def write_night(
    folder: Path,
    view: View,
    rows: list[int],
    merges: list[tuple[int, int]],
    deleted: list[int],
    stamp: str,
) -> list[Path]:
    """A later night's feed of an HL7 v2 system.

    Args:
        view: all its records.
        rows: those said anew; `merges`: (retired row, surviving row); `deleted`: those withdrawn.
    """
    if not (rows or merges or deleted):
        return []
    sender = SENDERS[view.system.id]
    messages = _Messages(view, sender).night(rows, merges, deleted, stamp)
    return [write_feed(folder / f"adt_{stamp}.hl7", messages, sender.encoding, stamp)]
