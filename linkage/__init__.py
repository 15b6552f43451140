"""The matching core: tables in, tables out. No I/O, no clock, no database, no global random."""
