"""Chaos scenarios: what can go wrong, done on purpose, and what was lost by it."""
