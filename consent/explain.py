"""The policies in plain words: a page for an information governance officer. Pure.

What the page says is read from the policies and the table of roles themselves, so it says what the
program does.
"""

from __future__ import annotations

from collections.abc import Sequence

from consent.policy_files import Policies, Policy, packaged_texts
from consent.roles import COLUMNS, GRANTS, ROLES, Power, Role
from consent.shared import Tell
from consent.terms import Terms
from schemas.codes import PURPOSES
from schemas.items import HEADINGS, Heading
from schemas.sharing import ACT_REASONS, BREAK_GLASS_REASONS, PERSONAL, Category

_RULES: dict[str, str] = {
    "sharing": "the rules of sharing",
    "1": "rule 1, silence is never an answer",
    "2": "rule 2, restriction",
    "3": "rule 3, protected identity changes",
    "4": "rule 4, opt-outs and dissent",
    "5": "rule 5, children and proxies",
    "6": "rule 6, people who could harm",
    "7": "rule 7, own-record views",
    "8": "rule 8, freshness",
    "9": "rule 9, every path is a disclosure path",
    "10": "rule 10, lawful basis",
}
_POWERS: dict[Power, str] = {
    Power.TRACE: "looks for people",
    Power.LOCATE: "looks for people by address too, and is shown it",
    Power.BREAK_GLASS: "breaks the glass",
    Power.EMERGENCY: "declares an emergency",
    Power.CLAIM: "claims a relationship",
    Power.FLAGS: "is told of safeguarding flags",
    Power.WISHES: "writes down wishes",
    Power.BAR: "bars named staff",
    Power.ADMINISTER: "administers agreements, break-glass and the log",
    Power.DISCLOSE: "draws extracts",
}
_COLUMN_TITLES: dict[str, str] = {
    "who": "Demographics",
    "where": "Whereabouts",
    "problems": "Problems, procedures, results",
    "medicines": "Medicines, allergies, vaccinations",
    "contacts": "Attendances, admissions, referrals, caseloads",
    "people": "Contacts, professional and personal",
    "plans": "Plans",
    "needs": "Assessments",
    "alerts": "Alerts",
    "safeguard": "Safeguarding",
    "appoint": "Appointments",
    "papers": "Documents",
    "wishes": "Sharing preferences",
}


def explain(policy: Policy) -> str:
    """One policy in words: what it says, what the requester is told, what would change it."""
    parts = [policy.sentence]
    if policy.otherwise:
        parts.append(f'Otherwise: "{policy.otherwise}"')
    if policy.tell is Tell.SILENT:
        parts.append("Who is refused is not told: it looks as if there were nothing.")
    elif policy.tell is Tell.MAY_BE_TOLD:
        parts.append(f"Who is refused is told, and to ring the {policy.ring}.")
    changes = [c for c in (policy.remedy, policy.remedy_claim, policy.remedy_glass) if c]
    if changes:
        parts.append(f"What would change the answer: {'; '.join(changes)}.")
    if policy.obliges:
        parts.append(f"It obliges the program to: {policy.obliges.value.replace('-', ' ')}.")
    if policy.escalate:
        parts.append("The attempt is reported without their knowing.")
    return " ".join(parts)


def page(policies: Policies | None = None, terms: Terms | None = None) -> str:
    """The whole of the policy as a page of Markdown."""
    held = policies or Policies()
    lines = [
        "# Who may see what, in sentences",
        "",
        "This page is made from the policies and the table of roles that the program runs on;",
        "`commonthread consent explain-policy` prints it. What forbids outranks what permits, and",
        "what nothing permits is refused. Each policy has an id, which stands in the audit log",
        "beside every decision.",
        "",
    ]
    lines += _roles() + _purposes() + _periods(terms or Terms())
    titles = {name: _title(text) for name, text in packaged_texts().items()}
    for name, title in titles.items():
        lines += [f"## {title}", ""]
        lines += _policies([one for one in held.policies if one.file == name])
    return "\n".join(lines).rstrip() + "\n"


def _title(text: str) -> str:
    return text.splitlines()[0].removeprefix("//").strip().rstrip(".")


def _policies(policies: Sequence[Policy]) -> list[str]:
    lines: list[str] = []
    for one in policies:
        word = "Permits" if one.permits else "Forbids"
        lines += [f"- **{one.id}** ({word}; {_RULES[one.rule]}). {explain(one)}"]
    return [*lines, ""]


def _roles() -> list[str]:
    titles = [_COLUMN_TITLES[column] for column in COLUMNS]
    lines = [
        "## Roles",
        "",
        "R: reads. A: only that there was one, and when. P: that there is an entry and whom to",
        "ring; it reads the entry for the purpose `safeguarding`. Unclassified items: nobody.",
        "",
        f"| role | {' | '.join(titles)} |",
        f"|---|{'---|' * len(titles)}",
    ]
    for line in GRANTS.strip().splitlines()[1:]:
        key, _, _, *cells = line.split()
        shown = " | ".join("" if cell == "." else cell for cell in cells)
        lines.append(f"| {ROLES[key].title} (`{key}`) | {shown} |")
    lines += ["", "| role | asks for | may also |", "|---|---|---|"]
    lines += [_powers(role) for role in ROLES.values()]
    return [*lines, "", *_columns()]


def _powers(role: Role) -> str:
    purposes = [p for p in PURPOSES if p in role.purposes]
    powers = "; ".join(_POWERS[power] for power in Power if role.may(power))
    return f"| {role.title} | {', '.join(purposes)} | {powers} |"


def _columns() -> list[str]:
    lines = ["| column | headings |", "|---|---|"]
    for column, categories in COLUMNS.items():
        names = [_heading(one) for one in categories]
        lines.append(f"| {_COLUMN_TITLES[column]} | {', '.join(names)} |")
    return [*lines, ""]


def _heading(category: Category) -> str:
    if category in PERSONAL:
        return category.value
    return HEADINGS[Heading(category.value)].title


def _purposes() -> list[str]:
    lines = ["## Purposes", "", "| purpose | meaning | v3 ActReason |", "|---|---|---|"]
    lines += [f"| `{key}` | {text} | {ACT_REASONS[key]} |" for key, text in PURPOSES.items()]
    return [*lines, ""]


def _periods(terms: Terms) -> list[str]:
    years, flag = "years", terms.flag_months
    rows = (
        ("A broken glass opens one record for", f"{terms.break_glass_minutes} minutes"),
        ("A record stays open for care after a death for", f"{terms.care_days_after_death} days"),
        ("An ended safeguarding flag is still told for", f"{flag} months"),
        ("A child sees the own record from", f"{terms.own_view_age} {years}"),
        ("Own choice on the National Data Opt-out from", f"{terms.national_opt_out_age} {years}"),
        ("Parental access is reviewed at", f"{terms.proxy_review_age} {years}"),
        ("Parental access ends, unless renewed, at", f"{terms.proxy_end_age} {years}"),
    )
    lines = ["## Periods and ages", "", "| what | how long |", "|---|---|"]
    lines += [f"| {what} | {value} |" for what, value in rows]
    lines += ["", "Reasons for break-glass:", ""]
    lines += [f"- `{key}`: {text}" for key, text in BREAK_GLASS_REASONS.items()]
    return [*lines, ""]
