"""The synthetic partnership: 17 organisations, 14 systems, each feed in its system's own format."""

from demo.generate import DemoSummary, generate
from demo.settings_text import settings_text

__all__ = ["DemoSummary", "generate", "settings_text"]
