"""What becomes of messages that real senders and conformance tests publish (tests/spec)."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.adapters.hl7v2_feeds import read, spec_rows

SAMPLES = Path(__file__).parents[3] / "shared" / "data" / "hl7v2"


@pytest.fixture
def samples() -> Path:
    """The public samples beside the checkout; only the checks on them are skipped without."""
    if not SAMPLES.is_dir():
        pytest.skip("the public HL7 v2 samples are not here")
    return SAMPLES


SAMPLE_ROWS = spec_rows("hl7v2_samples.txt")


@pytest.mark.parametrize(
    ("name", "fate", "record", "items", "merges"), SAMPLE_ROWS, ids=[row[0] for row in SAMPLE_ROWS]
)
def test_fate_of_each_public_sample(tmp_path, samples, name, fate, record, items, merges):
    (batch,) = read(tmp_path, (samples / name).read_bytes())
    assert batch.units == 1
    assert (" ".join(r.reason for r in batch.rejected) or "loaded") == fate
    assert (" ".join(batch.records["local_id"].to_pylist()) or "-") == record
    assert (" ".join(sorted(batch.items["heading"].to_pylist())) or "-") == items
    pairs = zip(
        batch.merges["retired"].to_pylist(), batch.merges["survivor"].to_pylist(), strict=True
    )
    assert (" ".join(f"{a}>{b}" for a, b in pairs) or "-") == merges


def test_every_public_sample_is_in_the_table(samples):
    found = {
        str(path.relative_to(samples))
        for path in [*samples.glob("*.hl7"), *samples.glob("openhie/*.txt")]
    }
    assert found == {row[0] for row in SAMPLE_ROWS}


def test_all_public_samples_in_one_file(tmp_path, samples):
    bodies = [(samples / row[0]).read_bytes().strip() + b"\n" for row in SAMPLE_ROWS]
    (batch,) = read(tmp_path, b"".join(bodies))
    loaded = sum(row[1] == "loaded" for row in SAMPLE_ROWS)
    assert (batch.units, batch.units - len(batch.rejected)) == (len(SAMPLE_ROWS), loaded)
