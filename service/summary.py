"""Reports as lines for a person and as documents for a script. No values of any client."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from schemas.records import Outcome

if TYPE_CHECKING:  # heavy modules, of which only the types are named here
    from service.evaluating import Evaluation
    from service.ingest import SourceReport
    from service.linking import LinkReport
    from service.looking import Explanation
    from service.nightly import NightlyReport

_MOST_REASONS = 5


def aligned(header: Sequence[str], rows: Sequence[Sequence[Any]]) -> list[str]:
    """Aligned columns: texts to the left, numbers to the right."""
    cells = [[f"{c:,}" if isinstance(c, int) else str(c) for c in row] for row in rows]
    widths = [max(len(line[i]) for line in [list(header), *cells]) for i in range(len(header))]
    numeric = [bool(rows) and all(isinstance(r[i], int) for r in rows) for i in range(len(header))]
    lines = []
    for line in [list(header), *cells]:
        padded = [
            c.rjust(w) if right else c.ljust(w)
            for c, w, right in zip(line, widths, numeric, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


def ingest_document(reports: Sequence[SourceReport]) -> list[dict[str, Any]]:
    """Per source: read, outcomes, refusals, reasons."""
    return [
        {
            "source": r.source,
            "feeds": r.feeds,
            "already_known": r.known,
            "read": r.read,
            **{o.value: r.counts[o] for o in Outcome},
            "withdrawn_by_whole_list": r.withdrawn,
            "refused": [asdict(x) for x in r.refusals],
            "quarantined_for": [
                {"field": f, "reason": why, "message": message, "units": units}
                for (f, why, message), units in r.rejected.most_common()
            ],
            "kept_as_sent": [
                {"field": f, "reason": why, "fields": n} for (f, why), n in r.issues.most_common()
            ],
            "notices": r.notices,
        }
        for r in reports
    ]


_OF_THE_MAPPING = frozenset(
    {"path not found in any record", "sheet not mapped", "hidden sheet not mapped"}
)
"""What was counted that may be a slip in the settings."""


def ingest_lines(reports: Sequence[SourceReport]) -> list[str]:
    """A table of sources, then what needs a look."""
    header = ("source", "feeds", "read", *(o.value for o in Outcome))
    rows: list[tuple[Any, ...]] = [
        (r.source, r.feeds, r.read, *(r.counts[o] for o in Outcome)) for r in reports
    ]
    if rows:
        rows.append(("all", *(sum(r[i] for r in rows) for i in range(1, len(header)))))
    lines = aligned(header, rows)
    for r in reports:
        if r.withdrawn:
            lines.append(
                f"{r.source}: {r.withdrawn:,} records withdrawn: its whole list lacks them"
            )
        lines += [f"{r.source}: {notice}" for notice in r.notices]
        lines += [
            f"{r.source}: feed {x.sha256[:12]} refused ({x.reason}): {x.message}"
            for x in r.refusals
        ]
        lines += [f"{r.source}: {name}: {why}" for name, why in r.issues if why in _OF_THE_MAPPING]
        for (name, why, message), units in r.rejected.most_common(_MOST_REASONS):
            lines.append(f"{r.source}: {units:,} quarantined, {name or 'unit'} ({why}): {message}")
        more = len(r.rejected) - _MOST_REASONS
        if more > 0:
            lines.append(f"{r.source}: and {more} more reasons; see `commonthread quarantine list`")
    return lines


def link_document(report: LinkReport) -> dict[str, Any]:
    """The link report as it stands."""
    return asdict(report)


def link_lines(report: LinkReport) -> list[str]:
    """What changed, in a few sentences."""
    if report.run_id is None:
        return ["nothing new since the last published run: persons are up to date"]
    cut = sum(int(r["cut_pairs"]) for r in report.rules)
    compared = []
    if report.differing is not None:
        compared = [
            "linked from nothing, the persons are those that the changes alone gave"
            if report.differing == 0
            else f"linked from nothing, {report.differing:,} records lie elsewhere than the changes"
            " alone put them: report this; what was published is the link from nothing"
        ]
    return [
        *compared,
        f"run {report.run_id}: {report.records:,} records, {report.persons:,} persons",
        f"persons created {report.created:,}, joined {report.joined:,}, split {report.split:,}; "
        f"records moved {report.moved:,}, withdrawn {report.withdrawn:,}",
        f"pairs compared {report.compared:,}; cut by block caps {cut:,}; "
        f"review tasks {report.tasks:,}; contested groups {report.stats.get('contested', 0):,}",
    ]


def nightly_document(report: NightlyReport, page: Path) -> dict[str, Any]:
    """The whole night for a script."""
    return {
        "sources": ingest_document(report.sources),
        "link": link_document(report.link),
        "seconds": report.seconds,
        "totals": report.totals,
        "late": report.late,
        "report": str(page),
    }


def nightly_lines(report: NightlyReport, page: Path) -> list[str]:
    """The whole night for a person."""
    stages = ", ".join(f"{k} {v:.1f}" for k, v in report.seconds.items())
    totals = ", ".join(f"{v:,} {k}" for k, v in report.totals.items())
    return [
        *ingest_lines(report.sources),
        *report.late,
        "",
        *link_lines(report.link),
        f"held now: {totals}",
        f"seconds: {stages}",
        f"report: {page}",
    ]


def person_lines(shown: dict[str, Any]) -> list[str]:
    """One person's records, a block each."""
    lines = [f"person {shown['person_id']}"]
    if shown["asked_for"] != shown["person_id"]:
        lines.append(f"({shown['asked_for']} was merged into it)")
    if shown["restricted"]:
        lines.append("RESTRICTED: whereabouts are withheld; ask the safeguarding lead")
    for record in shown["records"]:
        lines.append("")
        lines.append(f"{record['source']} / {record['local_id']}")
        for name, value in record.items():
            if name in ("source", "local_id") or value in (None, []):
                continue
            text = "; ".join(value) if isinstance(value, list) else str(value)
            lines.append(f"  {name.replace('_', ' ')}: {text}")
    if shown["items"]:
        lines += ["", "care items held (not shown here):"]
        lines += [f"  {name.replace('_', ' ')}: {n:,}" for name, n in shown["items"].items()]
    return lines


def explanation_lines(found: Explanation) -> list[str]:
    """Why two records are or are not one person."""
    header = ("field", "level", "bits against strangers", "bits against relatives")
    rows = [tuple(f.values()) for f in found.fields]
    return [
        *aligned(header, rows),
        "",
        f"match weight {found.bits:+.2f} bits (probability {found.probability:.6f}): "
        f"{found.verdict}",
        "published as one person" if found.together else "published as different persons",
    ]


def quarantine_lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line a unit."""
    if not rows:
        return ["nothing is quarantined"]
    return [
        f"{r['source']} feed {r['feed']} {r['where']}: {r['field'] or 'unit'} ({r['reason']}): "
        f"{r['message']}"
        for r in rows
    ]


def _rate(found: int, there: int) -> str:
    return f"{found / there:.4f}" if there else "-"


def evaluation_lines(found: Evaluation) -> list[str]:
    """Figures beside the baselines, then by group."""
    header = (
        "partition", "mixed persons", "per 100,000", "upper 95 %", "precision", "recall",
        "B3 precision", "B3 recall",
    )  # fmt: skip
    rows = [
        (
            name,
            int(q["mixed_persons"]),
            f"{q['mixed_per_100k']:.1f}",
            f"{q['mixed_per_100k_upper95']:.1f}",
            f"{q['precision']:.5f}",
            f"{q['recall']:.4f}",
            f"{q['b3_precision']:.5f}",
            f"{q['b3_recall']:.4f}",
        )
        for name, q in found.engines.items()
    ]
    ours = found.engines["commonthread"]
    lines = [
        f"{int(ours['records']):,} records, {int(ours['persons']):,} persons published, "
        f"{int(ours['true_persons']):,} in truth, {int(ours['true_pairs']):,} true pairs",
        *aligned(header, rows),
    ]
    if found.planted:
        lines += ["", "planted cases: records, of them in a mixed person"]
        lines += aligned(("case", "records", "mixed"), [(k, *v) for k, v in found.planted.items()])
    for kind, groups in found.recall.items():
        lines += ["", f"missed matches by {kind}"]
        lines += aligned(
            (kind, "true pairs", "found", "recall"),
            [(g, there, hit, _rate(hit, there)) for g, (hit, there) in sorted(groups.items())],
        )
    if found.unknown:
        lines.append(f"{found.unknown:,} published records are not in the truth file")
    return lines
