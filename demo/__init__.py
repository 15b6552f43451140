"""The synthetic partnership: 17 organisations, 14 systems, each feed in its system's own format."""
