"""The ``agentbay`` command: a program on the public API."""
