"""Contexts on disk: versions of their files, and their synchronization with sessions."""
