"""One small demo for all tests of the folder."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest

from demo import DemoSummary, generate, settings_text
from schemas.settings import Settings
from schemas.settings_file import parse_settings
from tests.demo.tiny_parsers import Sent, records


@dataclass(frozen=True)
class Made:
    workspace: Path
    summary: DemoSummary
    settings: Settings
    sent: list[tuple[str, Sent]]
    truth: pd.DataFrame
    errors: pd.DataFrame
    groups: pd.DataFrame


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    workspace = tmp_path_factory.mktemp("demo")
    summary = generate(workspace, people=4_000, seed=7, items_per_person=1.0)
    settings = parse_settings(settings_text("someone"))
    sent = list(records(workspace, settings))
    truth, errors, groups = (
        pq.read_table(workspace / f"{name}.parquet").to_pandas()
        for name in ("truth", "truth_errors", "truth_groups")
    )
    return Made(workspace, summary, settings, sent, truth, errors, groups)
