"""Test controls of a service: faults, journal, quotas, transitions; and the pytest plugin."""
