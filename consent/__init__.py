"""Who may see what: decisions are values with reasons. No I/O."""
