"""Move files between a machine, a session and a context."""
