"""The host side of a sandbox: start it, talk to its agent, enforce its limits, clean up."""
