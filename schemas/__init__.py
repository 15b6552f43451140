"""The words of the domain: identifiers, dates, records, items, settings, the one error tree.

No I/O, no clock, no database. Everything else imports from here; this imports nothing of ours.
"""
