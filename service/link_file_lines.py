"""What link-file says on a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from linkage.plan import RuleCost
from service.link_file import LinkFileReport


def link_file_lines(report: LinkFileReport, out: Path) -> list[str]:
    """What was linked and how the columns were understood."""
    lines = [f"recognised: {text}" for text in report.recognised]
    lines += [
        f"{name}: {n:,} values carry no evidence (not what the field says)"
        for name, n in report.without_evidence.items()
        if n
    ]
    if report.unused:
        lines.append(f"not used: {', '.join(report.unused)} (use --map, --identifier or --exact)")
    if report.missing_fields:
        lines.append(f"the model also compares {', '.join(report.missing_fields)}: none here")
    lines += [
        f"blocking rule '{rule['rule']}': {rule['cut_blocks']:,} blocks too large to compare were "
        f"cut ({rule['cut_pairs']:,} pairs)"
        for rule in report.rules
        if rule["cut_blocks"]
    ]
    rates = (
        f"precision {report.estimated_precision:.2%}, recall {report.estimated_recall:.2%} "
        "(estimates, without labels)"
        if report.joined_pairs
        else "nothing reached that"
    )
    lines.append(f"joined from {report.join_bits:+.1f} bits: {rates}")
    lines.append(
        f"{report.records:,} records, {report.persons:,} persons, {report.compared:,} pairs "
        f"compared; written to {out}"
    )
    return lines


def plan_lines(rules: Sequence[RuleCost]) -> list[str]:
    """What blocking would cost."""
    lines = [f"{'rule':50} {'pairs':>14} {'blocks cut':>11} {'pairs cut':>14}"]
    lines += [
        f"{cost.rule.name:50} {cost.proposed:14,} {cost.cut_blocks:11,} {cost.cut_pairs:14,}"
        for cost in rules
    ]
    lines.append(f"{sum(cost.proposed for cost in rules):,} pairs at most")
    return lines
