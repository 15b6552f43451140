"""Runs for people: difference reports, histories, undos, as lines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from service.runs import Undo


def difference_lines(report: Mapping[str, Any]) -> list[str]:
    """What a run would change: counts, sources, limits, examples."""
    lines = [
        f"of {report['persons']:,} published persons it would join {report['joined']:,} and split"
        f" {report['split']:,}, and found {report['created']:,}; records moved"
        f" {report['moved']:,}, withdrawn {report['withdrawn']:,}"
    ]
    lines += [f"over a limit: {limit}" for limit in report["over"]]
    for source, counts in report["sources"].items():
        told = ", ".join(f"{name} {number:,}" for name, number in counts.items() if number)
        lines.append(f"{source}: records {told}")
    for example in report["examples"]:
        lines += ["", f"{example['kind']}:", *_example(example["records"])]
    return lines


def _example(records: list[Any]) -> Iterator[str]:
    """Record ids in a line, or a line a record where its demographics are shown."""
    if all(isinstance(one, int) for one in records):
        yield "  records " + ", ".join(map(str, records))
        return
    for one in records:
        named = [("; ".join(v) if isinstance(v, list) else str(v)) for v in one.values() if v]
        yield "  " + " | ".join(named)


def history_lines(shown: Mapping[str, Any]) -> list[str]:
    """A person's history, a sentence a line."""
    lines = [f"person {shown['person_id']}: {shown['now']}"]
    if shown["leads_to"] not in (None, shown["person_id"]):
        lines[0] += f", leads to {shown['leads_to']}"
    return [*lines, *(f"{said['at']}  {said['text']}" for said in shown["history"])]


def undo_document(undo: Undo) -> dict[str, Any]:
    """The undo for a script."""
    return asdict(undo)


def undo_lines(undo: Undo) -> list[str]:
    """The undo for a person."""
    if undo.active:
        nothing = (
            "no run came before it: the next `link` leaves hardly anybody published; if that is not"
            f" meant, say `person undo release {undo.run_id}` first"
        )
        return [
            f"run {undo.run_id} is undone: its records and its model count as before it, from the"
            f" next `link` on, until `person undo release {undo.run_id}`",
            *([] if undo.basis else [nothing]),
        ]
    return [f"run {undo.run_id} is released: what it did counts again, from the next `link` on"]
