"""Events as columns, in the words that the store, detection and reports share."""

from __future__ import annotations

import pyarrow as pa

EVENT_COLUMNS = pa.schema(
    [
        ("leaf", pa.int64()),
        ("at", pa.timestamp("us", tz="UTC")),
        ("action", pa.string()),
        ("outcome", pa.string()),
        ("actor", pa.string()),
        ("role", pa.string()),
        ("purpose", pa.string()),
        ("organisation", pa.string()),
        ("persons", pa.list_(pa.string())),
        ("details", pa.string()),
    ]
)
"""`at` in UTC, `details` as JSON."""
