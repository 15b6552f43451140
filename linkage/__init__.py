"""The matching core: tables in, tables out. No I/O, no clock, no database, no global random."""

from linkage.api import Linked, link
from linkage.comparators import register
from linkage.model import Model, uk_person

__all__ = ["Linked", "Model", "link", "register", "uk_person"]
