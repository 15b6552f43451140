"""The commands: each parses, calls a use case, prints. No logic of their own."""
