"""The matching core: tables in, tables out. No I/O, no clock, no database, no global random."""

from linkage.engine import Partition, link
from linkage.model import Model, uk_person

__all__ = ["Model", "Partition", "link", "uk_person"]
