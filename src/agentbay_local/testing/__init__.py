"""Instruments of tests: a clock, faults, a journal, limits, transitions and snapshots."""
