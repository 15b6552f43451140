"""Settings of sharing: whose word counts on staff, how long things hold, whom to ring. No I/O."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from schemas.identifiers import OdsCode, SourceId
from schemas.settings_table import Table


@dataclass(frozen=True)
class SharingSettings:
    """What a partnership decides about sharing.

    Attributes:
        staff_directory: the source whose staff entries tell who is active, in which role and team;
            None leaves it to the sign-in.
        identity_team: staff ids of the team that may see across a protected change of identity,
            beside the named staff of reviews.
        own_records: staff id → their own records, as SOURCE/LOCAL_ID: these persons and those of
            their household are refused to them.
        telephones: ODS code → number to ring, shown where something is withheld.
        break_glass_minutes: for so long break-glass opens one person's record.
        care_days_after_death: for so long a record stays open for care after a death.
        flag_months: for so long an ended safeguarding flag is still told.
    """

    staff_directory: SourceId | None = None
    identity_team: tuple[str, ...] = ()
    own_records: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    telephones: Mapping[str, str] = field(default_factory=dict)
    break_glass_minutes: int = 60
    care_days_after_death: int = 90
    flag_months: int = 12


def read_sharing(table: Table, sources: set[SourceId], members: set[OdsCode]) -> SharingSettings:
    """The [sharing] table."""
    d = SharingSettings()
    own = table.table("own_records")
    directory = table.text("staff_directory", "")
    sharing = SharingSettings(
        staff_directory=SourceId(directory) if directory else None,
        identity_team=table.texts("identity_team", d.identity_team),
        own_records={staff_id: own.texts(staff_id) for staff_id in own.values},
        telephones=table.mapping("telephones"),
        break_glass_minutes=table.whole("break_glass_minutes", d.break_glass_minutes, 1, 1_440),
        care_days_after_death=table.whole(
            "care_days_after_death", d.care_days_after_death, 0, 3_650
        ),
        flag_months=table.whole("flag_months", d.flag_months, 12, 120),
    )
    table.done()
    if sharing.staff_directory is not None and sharing.staff_directory not in sources:
        table.fault("staff_directory", "expected the id of a source in this file")
    for code in sharing.telephones:
        if code not in members:
            table.fault(f"telephones.{code}", "expected the code of an organisation in this file")
    for staff_id, records in sharing.own_records.items():
        for record in records:
            source, slash, local_id = record.partition("/")
            if not slash or not local_id or source not in sources:
                own.fault(staff_id, "expected records as SOURCE/LOCAL_ID, of a source in this file")
    return sharing
