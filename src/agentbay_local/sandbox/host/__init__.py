"""The host side of sandboxes: start them, talk to their agents, enforce limits, clean up."""
